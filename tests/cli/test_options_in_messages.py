"""The Python API's errors name its parameters; the command line says its options instead."""

import ast
import re
from pathlib import Path

import pytest

import imagerag
from imagerag.cli.exit_codes import with_options

PACKAGES = ("agent", "batch", "client", "files", "graphs", "store")
ELSEWHERE = {"env_file.py", "access_policy.py"}
"""What only a command line hands in: an `--env-file`, and the folders that a server may read."""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("say which library: `library=NAME`", "say which library: --library NAME"),
        ("leave out `edit` or `subjects`", "leave out --edit or --subject"),
        ("needs an image: `images=FILE`", "needs an image: --image FILE"),
        ("go on with `resume=True`, or name another", "go on with --resume, or name another"),
        ("`edit` and `edit_library` name two", "--edit and --edit-library name two"),
        ("no library 'a `b`'; say `make_generator`", "no library 'a `b`'; say `make_generator`"),
    ],
)
def test_parameters_are_shown_as_options(message: str, shown: str) -> None:
    assert with_options(message) == shown


def raised_texts() -> list[str]:
    """The texts of errors that the Python API raises where they are written, with their places."""
    root, found = Path(imagerag.__file__).parent, []
    for file in (path for package in PACKAGES for path in (root / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and node.exc is not None and file.name not in ELSEWHERE:
                texts = [one.value for one in ast.walk(node.exc) if isinstance(one, ast.Constant)]
                found.append(f"{file.name}:{node.lineno}: {''.join(text for text in texts if isinstance(text, str))}")
    return found


def test_no_error_of_the_api_names_an_option_outside_a_command() -> None:
    bare = [text for text in raised_texts() if re.search(r"(?<![\w-])--[a-z]", re.sub(r"imagerag [a-z].*", "", text))]
    assert not bare
