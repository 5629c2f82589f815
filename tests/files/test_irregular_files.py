"""A pipe, a device or a socket where a file is named: refused at once, by every command, and by every file's lines."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from imagerag.agent.errors import ImageTooLargeError, UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.regular_files import read_regular
from imagerag.files.inputs import read_image
from tests.command_lines import ARGUMENTS, COMMANDS, Place, place

pytestmark = [pytest.mark.timeout(120), pytest.mark.skipif(os.name != "posix", reason="no such files here")]

KINDS = {"pipe": "it is a pipe", "device": "it is a device", "socket": "it is a socket"}

NAMED = ("FILE", "PATH", "TOML")
"""What a parameter says that takes a file."""

WAITS = {("mcp", "--token-file"), ("ui", "--token-file")}
"""`--token-file <(pass show token)` is a pipe, and somebody writes into it."""


def put(kind: str, path: Path) -> Path:
    """Something there that is no file."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        here = Path.cwd()
        os.chdir(path.parent)  # an address of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)
    return path


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, sketch_home: Path) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("place"), sketch_home) as (made, _):
        yield made


def parameters() -> Iterator[tuple[str, str]]:
    """Every parameter of every command that takes a file, as the program has them."""
    for name, command in COMMANDS.items():
        for parameter in command.params:
            argument = isinstance(parameter, click.Argument)
            takes_one = any(word in (parameter.metavar or "") for word in NAMED)
            if (takes_one or parameter.name in ("prompts", "suite")) and (name, parameter.opts[0]) not in WAITS:
                yield name, str(parameter.name) if argument else parameter.opts[0]


def with_file(there: Place, name: str, parameter: str, file: str) -> list[str]:
    """The command's line, with this file there."""
    words = there.line(name)
    if parameter in words:  # an option that is given already
        words[words.index(parameter) + 1] = file
    elif parameter.startswith("-"):
        words = [word for word in words if name != "search" or word not in ARGUMENTS["query"]]  # one of the two
        words += [parameter, file]
        if parameter == "--mask":
            words += ["--subject", str(there.root / "pictures" / "first.png")]
    else:
        (before,) = ARGUMENTS[parameter]
        words[words.index(before.format(root=there.root))] = file
    return words


@pytest.mark.parametrize(("name", "parameter"), list(parameters()))
def test_no_command_waits_for_a_pipe(name: str, parameter: str, there: Place, tmp_path: Path) -> None:
    for file in (put("pipe", tmp_path / f"pipe.{suffix}") for suffix in ("jsonl", "csv", "png", "html")):
        value = f"prompts:{file}" if parameter == "suite" else str(file)
        result = there.invoke(*with_file(there, name, parameter, value))
        assert result.exit_code in (1, 2), result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "pipe." in result.output, result.output


@pytest.mark.parametrize("kind", KINDS)
def test_the_message_says_what_it_is(kind: str, tmp_path: Path) -> None:
    path = put(kind, tmp_path / "a.png")
    with pytest.raises(OSError, match=KINDS[kind]):
        read_regular(path)
    with pytest.raises(UsageError, match=f"a.png.*{KINDS[kind]}"):
        read_image(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["subjects", "initial_image", "mask"])
def test_a_line_of_a_batch_that_names_one_fails_and_the_next_is_drawn(
    kind: str, role: str, there: Place, tmp_path: Path
) -> None:
    put(kind, tmp_path / "odd.png")
    (tmp_path / "fine.png").write_bytes((there.root / "pictures" / "first.png").read_bytes())
    odd = {"id": "odd", "prompt": "a red circle", role: ["odd.png"] if role == "subjects" else "odd.png"}
    lines = [odd | ({"subjects": ["fine.png"]} if role == "mask" else {}), {"id": "fine", "prompt": "a red circle"}]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = there.invoke(
        "batch", str(tmp_path / "prompts.jsonl"), "--out", str(tmp_path / "out"), "--json", "--allow-outside"
    )
    assert result.exit_code in (0, 1, 3), result.output
    told = {line["id"]: line for line in map(json.loads, (tmp_path / "out/results.jsonl").read_text().splitlines())}
    assert KINDS[kind] in json.dumps(told["odd"])
    assert told["fine"]["outcome"] == "aligned"


@pytest.mark.parametrize("kind", KINDS)
def test_indexing_one_is_refused_and_one_among_the_files_of_a_folder_is_left_out(
    kind: str, there: Place, tmp_path: Path
) -> None:
    (tmp_path / "fine.png").write_bytes((there.root / "pictures" / "first.png").read_bytes())
    odd = put(kind, tmp_path / "odd.png")
    refused = there.invoke(
        "index", str(tmp_path / "fine.png"), str(odd), "--library", f"odd-{kind}", "--embedder", "sketch"
    )
    assert (refused.exit_code, "odd.png is a device, a pipe or a socket" in refused.output) == (2, True), refused.output
    for named in (tmp_path, tmp_path / "*.png"):
        listed = there.invoke("index", str(named), "--library", f"odd-{kind}", "--embedder", "sketch")
        assert (listed.exit_code, "not a regular file" in listed.output) == (0, True), listed.output


@pytest.mark.parametrize("kind", KINDS)
def test_a_suite_and_a_manifest_that_name_one(kind: str, there: Place, tmp_path: Path) -> None:
    put(kind, tmp_path / "odd.png")
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": "a red circle", "subjects": ["odd.png"]}))
    suite = there.invoke(
        "eval", "run", f"prompts:{tmp_path}/prompts.jsonl", "--out", str(tmp_path / "out"), "--allow-outside"
    )
    assert (suite.exit_code, KINDS[kind] in suite.output) == (2, True), suite.output
    (tmp_path / "manifest.csv").write_text("file,caption\nodd.png,odd\n")
    listed = there.invoke("index", str(tmp_path), "--manifest", str(tmp_path / "manifest.csv"), "--library", "odd")
    assert listed.exit_code == 2  # of two files none is a picture
    assert "odd.png: it is not a regular file" in listed.output


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "long.png").open("wb") as file:
        file.truncate(2**40)  # takes no room
    assert MAX_BYTES < 2**40
    with pytest.raises(ImageTooLargeError, match=r"1,048,576 MB; at most 64 MB"):
        read_image(tmp_path / "long.png")
