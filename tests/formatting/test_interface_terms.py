"""Messages name parameters and calls of the Python API; the command line shows options and commands instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imagerag
from imagerag import ImageRAG
from imagerag.agent.run_record import RunRecord
from imagerag.assistants.error_text import format_error
from imagerag.assistants.tool_terms import tool_terms
from imagerag.formatting.interface_terms import (
    _COMMANDS,
    PATH,
    Placeholder,
    as_commands,
    document_in_commands,
    in_commands,
    python_call,
)

ROOT = Path(imagerag.__file__).parent
DOORS = {"cli", "mcp", "ui", "chat", "assistants", "http_server"}
"""Packages that speak to one kind of user; what the server's operator and an assistant's user type is named there."""
ELSEWHERE = {
    "env_file.py", "access_policy.py", "pytest_plugin.py", "assistant_steps.py", "interface_terms.py", "recipes.py",
}  # fmt: skip
"""What only a command line hands in (an `--env-file`, the folders that a server may read), pytest's own option,
what an assistant tells its user to type, and options of other programs' servers."""
PROGRAMS = {"bench", "training"}
"""Programs with options of their own."""
WITHOUT_CALL = re.compile(r"(?:imagerag (?:doctor|prices|trust|eval)\b|pip install|--limit-mm).*", re.S)
"""Commands that no method stands for."""
WITH_CALL = re.compile(
    rf"\bimagerag (?:{'|'.join(sorted({re.escape(one.partition(' --')[0]) for one in _COMMANDS.values()}))})\b"
)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("say which library: `library=NAME`", "say which library: --library NAME"),
        ("leave out `edit` or `subjects`", "leave out --edit or --subject"),
        ("needs an image: `images=FILE`", "needs an image: --image FILE"),
        ("go on with `resume=True`, or name another", "go on with --resume, or name another"),
        ("`edit` and `edit_library` name two", "--edit and --edit-library name two"),
        ("no library 'a `b`'; say `make_generator`", "no library 'a `b`'; say `make_generator`"),
        ("(or `choose=[]`)", "(or --select none)"),
        ("`rag.runs.resume('r1', choose=[1, 2])`", "imagerag resume r1 --select 1,2"),
        ("`rag.runs.continue_('r1', add_images=['ab', 'cd'])`", "imagerag continue r1 --add-image ab --add-image cd"),
        ("`rag.generate('a cat', library='l', patience_s=5)`", "imagerag generate 'a cat' --library l --patience-s 5"),
        ("`rag.libraries.index(PATH, library='l', prune=True)`", "imagerag index PATH --library l --prune"),
        ("`rag.libraries.index(..., manifest='a b.csv')`", "imagerag index … --manifest 'a b.csv'"),
        ("`rag.runs.replay('r1', STEP, library='l@s')`", "imagerag replay r1 --from STEP --library l@s"),
        ("`rag.libraries.remove('ab12', library='my l')`", "imagerag library remove 'my l' ab12"),
        ("`rag.libraries.export(FILE, library='l', with_bytes=True)`", "imagerag library export l FILE --bytes"),
        ("`rag.libraries.snapshots.restore('v1', library='l')`", "imagerag library snapshot restore l v1"),
        ("`rag.runs.steps('r1')`", "imagerag show r1 --watch"),
        ("`rag.libraries.search(QUERY, library='l')[0].image.sha256`", "imagerag search QUERY --library l --json"),
        ("`rag.runs.get('r1')` and `rag.no_such(1)`", "imagerag show r1 and `rag.no_such(1)`"),
        ("`rag.libraries.index(`", "`rag.libraries.index(`"),
    ],
)
def test_parameters_and_calls_are_shown_as_options_and_commands(message: str, shown: str) -> None:
    assert as_commands(message) == shown


@given(st.text(max_size=40), st.lists(st.text(max_size=10), max_size=3))
def test_a_call_with_any_text_is_one_command_of_one_line(prompt: str, images: list[str]) -> None:
    shown = as_commands(python_call("generate", prompt, subjects=images))
    assert shown.startswith("imagerag generate ")
    assert "`" in "".join(images) or shown.count("--subject") >= len(images)


@given(st.text(max_size=200))
def test_other_text_stays(text: str) -> None:
    if "`" not in text:
        assert as_commands(text) == text


def test_every_method_exists_and_its_command_too() -> None:
    from imagerag.cli import main

    for method, command in _COMMANDS.items():
        found: Any = ImageRAG(preset="sketch")
        for name in method.split(".")[:-1]:
            found = getattr(found, name)
        assert callable(getattr(found, method.split(".")[-1])), method
        group: click.Command | None = main
        for word in command.split():
            if not word.startswith("--"):
                assert isinstance(group, click.Group), command
                group = group.get_command(click.Context(group), word)
        assert group is not None, command


def test_the_record_of_a_run_speaks_python_and_the_command_line_commands() -> None:
    record = RunRecord(
        run_id="r1", status="ended", prompt="p", outcome="best_effort", reason="say `max_cost_usd=2`",
        next_steps=["allow more rounds: `rag.runs.continue_('r1', more_rounds=3)`"],
        warnings=["`judge=SPEC`"],
    )  # fmt: skip
    shown = in_commands(record)
    assert shown.next_steps == ["allow more rounds: imagerag continue r1 --more-rounds 3"]
    assert (shown.reason, shown.warnings) == ("say --max-cost-usd 2", ["--judge SPEC"])
    assert document_in_commands(record.as_json())["next_steps"] == shown.next_steps
    assert document_in_commands({"verdict": {"reason": "`x=1`"}, "prompt": "`x=1`"}) == {
        "verdict": {"reason": "`x=1`"}, "prompt": "`x=1`",
    }  # fmt: skip


def test_assistants_are_told_arguments_of_the_tools_or_options_of_the_server() -> None:
    assert tool_terms("allow more: `max_cost_usd=2`") == "allow more: max_cost_usd=2"
    assert tool_terms("name another: `judge=SPEC`") == "name another: the server's --judge SPEC"
    assert tool_terms(python_call("libraries.index", PATH, library=Placeholder("NAME"))) == (
        "imagerag index PATH --library NAME"
    )
    from imagerag.agent.errors import RunStateError

    assert "rag." not in format_error(RunStateError(f"run r1 has ended: {python_call('runs.get', 'r1')}"))


OPTION = re.compile(r"(?<![\w-])--[a-z]")


def messages() -> Iterator[str]:
    """The texts below the front doors that are shown to users, with their places: all but docstrings.

    Of files in which no option stands, there are none: to parse all of them takes seconds.
    """
    for file in sorted(ROOT.rglob("*.py")):
        parts = set(file.relative_to(ROOT).parts)
        text = file.read_text("utf-8")
        if parts & (DOORS | PROGRAMS) or file.name in ELSEWHERE or not re.search("--[a-z]", text):
            continue
        nodes = list(ast.walk(ast.parse(text)))
        docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        inside = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                yield f"{file.name}:{node.lineno}: " + "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | inside):
                yield f"{file.name}:{node.lineno}: {node.value}"


def test_no_message_below_the_doors_names_an_option() -> None:
    bare = [text for text in messages() if OPTION.search(WITHOUT_CALL.sub("", text))]
    assert not bare


def test_no_message_below_the_doors_spells_a_command_that_a_method_stands_for() -> None:
    assert [text for text in messages() if WITH_CALL.search(WITHOUT_CALL.sub("", text))] == []
