"""Every command of the program on a disk that is full, and on one that is read-only: it works, or it says why not.

Where it does not, the message names the cause and a path, the exit code tells it, and nothing was paid. The commands
come from the program itself.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from imagerag.tools.testing.mock_openai import MockOpenAIServer
from tests.command_lines import CHANGES, COMMANDS, Place, place
from tests.small_disk import SmallDisk, mounted

CAUSES = {"full": "the disk is full", "read-only": "the file system is read-only"}

READS = {
    "search", "similarity", "runs", "show", "diff", "library info", "library list",
    "library check", "library dedupe", "library stats", "library unmatched", "library verify",
    "eval study-results", "eval list", "eval search", "prices list", "mcp",
}  # fmt: skip
"""What does all of its work without writing."""

ELSEWHERE = {"trust", "eval judge"}
"""What writes into the user's own configuration, or into a temporary folder: that disk is another one. A test of a
judge keeps nothing: it may be asked."""


SERVES = {"ui"}
"""What goes on until it is stopped; `tests/ui` has a home that cannot be written."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with mounted(tmp_path_factory.mktemp("disk"), 80) as disk:
        yield disk


@pytest.fixture(scope="module")
def there(disk: SmallDisk, sketch_home: Path) -> Iterator[tuple[Place, MockOpenAIServer]]:
    root = disk.path / "place"
    root.mkdir()
    with place(root, sketch_home) as made:
        yield made


def asked(server: MockOpenAIServer) -> int:
    """How often a model was asked; whether a service is there may be."""
    return sum(request.method == "POST" for request in server.requests)


@pytest.mark.parametrize("state", CAUSES)
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in SERVES])
def test_a_command_works_or_says_why_not(
    name: str, state: str, there: tuple[Place, MockOpenAIServer], disk: SmallDisk
) -> None:
    made, server = there
    if name in CHANGES:  # what the last one removed or renamed
        made.invoke("library", "remove", "renamed", "--whole-library", "--yes")
        assert made.invoke(*made.line("index")).exit_code == 0
        made.invoke(*made.line("library snapshot remove"))
        if name in ("library snapshot remove", "library snapshot restore"):
            assert made.invoke(*made.line("library snapshot create")).exit_code == 0
    paid = asked(server)
    if state == "full":
        disk.fill()
    try:
        with disk.read_only() if state == "read-only" else nullcontext():
            result = made.invoke(*made.line(name))
    finally:
        disk.free()
    told = f"{result.output[-800:]} {result.exception!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert "Traceback" not in result.output, told
    assert "unexpected " not in result.output, told
    if name in READS | ELSEWHERE:
        assert result.exit_code in (0, 3), told
    if result.exit_code not in (0, 3):
        flat = " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())
        assert CAUSES[state] in flat, told
        assert str(disk.path) in flat or "…/" in flat, told
        assert result.exit_code in (1, 2), told
        assert asked(server) == paid, "nothing was asked of a model"
