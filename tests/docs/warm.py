"""Processes that begin with the slow imports done: each command of a document gets one of its own, forked from here.

A command that looks through a CLIP spends most of its time importing torch; the documents run a hundred of them.
"""

import json
import os
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

SHELL = frozenset("|&;<>()$`\\*?[]#~{}\n")
"""A command with any of these is the shell's to run."""


class Warm:
    """The process that the others are forked from."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def run(self, command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str] | None:
        """The exit code, and everything the command said; None when it is none that can be run here."""
        asked: dict[str, Any] = {"cwd": str(folder), "env": environment, "out": str(folder.parent / "said")}
        if command[:2] == [sys.executable, "-c"]:
            asked["source"] = command[2]
        elif command[0] == "bash" and command[2].startswith("imagerag ") and not SHELL & set(command[2]):
            asked["arguments"] = shlex.split(command[2])[1:]
        else:
            return None
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        code = json.loads(self._server.stdout.readline())
        return code, Path(asked["out"]).read_text("utf-8", "replace")

    def close(self) -> None:
        """End it."""
        self._server.communicate()


def serve() -> None:
    """Fork a process for every line on stdin, and tell its exit code."""
    import open_clip
    import torch

    assert torch
    assert open_clip
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def work(asked: dict[str, Any]) -> None:
    """Be the command, and end with it."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    said = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.path[0] = ""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code: Any = 0
    try:
        if "source" in asked:
            sys.argv = ["-c"]
            exec(compile(asked["source"], "<block>", "exec"), {"__name__": "__main__"})
        else:
            from imagerag.cli import main

            sys.argv = ["imagerag", *asked["arguments"]]
            main()
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve()
