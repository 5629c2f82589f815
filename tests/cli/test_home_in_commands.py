"""Commands that are printed name the home that was given, so that they can be typed as they are."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagerag.assistants.error_text import without_command
from imagerag.cli import COMMANDS, main
from imagerag.formatting import interface_terms
from imagerag.formatting.interface_terms import as_commands, in_home, python_call, use_home
from tests.cli.conftest import KNOWN, Imagerag, document


def test_the_commands_are_those_of_the_command_line() -> None:
    assert set(interface_terms.COMMANDS) == set(COMMANDS)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    folder = "/my data/home"
    use_home(folder)
    yield "imagerag --home '/my data/home'"
    use_home(None)


def test_calls_and_commands_name_it_once(elsewhere: str) -> None:
    assert as_commands(python_call("runs.get", "r")) == f"{elsewhere} show r"
    told = f"{elsewhere} index PATH --library x"
    assert in_home("imagerag index PATH --library x") == in_home(told) == as_commands(told) == told
    assert without_command(f"there is none: {told}") == "there is none"
    assert in_home("imagerag needs Python; imagerag.toml") == "imagerag needs Python; imagerag.toml"


def test_every_command_that_is_printed_names_the_home_that_was_given(
    imagerag: Imagerag, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGERAG_HOME")
    result = imagerag("--home", home, "generate", KNOWN, "-q", "--max-rounds", "0")
    assert f"imagerag --home {home} show " in result.stdout
    assert imagerag("--home", home, "show", "nosuch").stderr.endswith(f"imagerag --home {home} runs lists all\n")
    refused = document(imagerag("--home", home, "resume", "last", "--json"))
    assert f"imagerag --home {home} show " in refused["message"]
    record = json.loads(imagerag("--home", home, "generate", "a black solid hexagon", "-q", "--json").stdout)
    assert f"imagerag --home {home} index FILE" in " ".join(record["next_steps"])
    assert main.name == "imagerag"


def test_a_home_of_the_environment_is_not_named(imagerag: Imagerag) -> None:
    assert "--home" not in imagerag("generate", KNOWN, "-q", "--max-rounds", "0").stdout
