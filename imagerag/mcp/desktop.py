"""The MCP server as a desktop bundle starts it: what a person filled in comes as arguments and variables.

Claude Desktop leaves the placeholder of a field that was left empty where it stood: those are dropped.
"""

import os
import runpy
import sys
from collections.abc import Sequence
from typing import Final

PLACEHOLDER: Final = "${user_config."


def arguments(filled: Sequence[str]) -> list[str]:
    """Arguments of `imagerag` for what was filled in: options as they are, other words are folders.

    Args:
        filled: `--name=value` and folders, some of them placeholders.
    """
    given = [one for one in filled if PLACEHOLDER not in one and not one.endswith("=")]
    return ["mcp", *(one if one.startswith("--") else f"--root={one}" for one in given if one)]


def main() -> None:
    """Serve over stdio until the client leaves."""
    for name, value in list(os.environ.items()):
        if not value or PLACEHOLDER in value:
            del os.environ[name]
    sys.argv = ["imagerag", *arguments(sys.argv[1:])]
    runpy.run_module("imagerag", run_name="__main__", alter_sys=True)
