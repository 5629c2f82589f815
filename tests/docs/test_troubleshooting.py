"""Every message that the page on troubleshooting quotes is one that the program says."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from imagerag.formatting.interface_terms import as_commands
from tests.docs.generated import DOCS, ROOT

PAGE: Final = (DOCS / "troubleshooting.md").read_text("utf-8")
QUOTED: Final = re.findall(r"```text\n(.*?)\n```", PAGE, re.S)
GAP: Final = "…"


def texts(file: Path) -> Iterator[str]:
    """The texts in a module; of an f-string, each value is a gap."""
    nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    told = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield " ".join("".join(_constant(part) for part in node.values).split())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield re.sub(r"%[sdr]", GAP, node.value)


def _constant(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue) and ast.unparse(part.value).startswith("python_call("):
        return _call(part.value)
    return str(part.value) if isinstance(part, ast.Constant) else GAP


def _call(node: ast.expr) -> str:
    """A call that a message names; each value that is not a placeholder is a gap."""
    assert isinstance(node, ast.Call)
    method, *values = node.args
    assert isinstance(method, ast.Constant)
    written = [one.id if isinstance(one, ast.Name) and one.id.isupper() else repr(GAP) for one in values]
    named = [f"{one.arg}={True if isinstance(one.value, ast.Constant) else repr(GAP)}" for one in node.keywords]
    return f"`rag.{method.value}({', '.join([*written, *named])})`"


@cache
def said_anywhere() -> list[str]:
    """The texts of the whole package as a command shows them, which takes seconds, and only in this process."""
    files = sorted((ROOT / "imagerag").rglob("*.py"))
    return [as_commands(text).replace("'…'", GAP) for file in files for text in texts(file) if " " in text]


def pattern(message: str) -> re.Pattern[str]:
    """What a message matches: a gap is anything, names of files and variables among it."""
    return re.compile(".*?".join(re.escape(part) for part in message.split(GAP)), re.S)


def said(message: str) -> bool:
    """Whether the program says a message; one that it puts together is said by its parts."""
    parts, whole = message.split(GAP), pattern(message)
    return any(all(part in text for part in parts) and whole.search(text) for text in said_anywhere())


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_one_that_the_program_says(message: str) -> None:
    assert said(message), f"docs/troubleshooting.md quotes what nothing says; nearest: {nearest(message)}"


def nearest(message: str) -> str:
    """The text that shares most words with a message."""
    words = set(message.split())
    return max(said_anywhere(), key=lambda text: len(words & set(text.split())) - len(text) / 10_000)


def test_what_nobody_says_is_seen() -> None:
    assert len(QUOTED) > 40
    assert not said("the … is made of green cheese")
    assert [message for message in QUOTED if len(message.replace(GAP, "").strip()) < 12] == []
