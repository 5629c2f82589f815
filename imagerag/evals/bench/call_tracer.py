"""Count how often execution crosses from one file of imagerag into another.

A crossing is one step from a function in one file of imagerag directly into a function in another: a call, or the
resumption of a suspended coroutine or generator (a chain of awaiting coroutines is resumed frame by frame, so each
frame in another file than the frame before counts again). A call through other code (LangGraph, contextlib, C) does not
count. Bodies of modules and classes, which run on import, are not counted.
"""

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = str(Path(__file__).resolve().parents[2])
_FUNCTION: Final = 0x2
"""`CO_NEWLOCALS`: set on the code of functions, not on that of modules and classes."""

_OWN: Final = str(Path(__file__).resolve().relative_to(ROOT))


class CallTracer:
    """Counts files and crossings in its `with` block, in this thread and in threads that are started meanwhile.

    Attributes:
        files: the files of imagerag that were entered, relative to the package.
        crossings: (from, to) → number of crossings from one file into the other.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.crossings: Counter[tuple[str, str]] = Counter()
        self._names: dict[str, str] = {}
        self._counts = False

    @property
    def total(self) -> int:
        """The number of all crossings."""
        return self.crossings.total()

    def __enter__(self) -> "CallTracer":
        self._counts = True
        threading.setprofile(self._count)
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._counts = False  # a thread that was started meanwhile keeps its profiler
        sys.setprofile(None)
        threading.setprofile(None)

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not self._counts or not frame.f_code.co_flags & _FUNCTION:
            return
        entered = self._file(frame.f_code.co_filename)
        if not entered or entered == _OWN:
            return
        self.files.add(entered)
        caller = self._file(frame.f_back.f_code.co_filename) if frame.f_back else ""
        if caller and caller != entered:
            self.crossings[caller, entered] += 1

    def _file(self, path: str) -> str:
        """The file relative to the package; empty for a file outside of it."""
        name = self._names.get(path)
        if name is None:
            inside = path.startswith(ROOT) and Path(path).is_relative_to(ROOT)
            name = self._names[path] = str(Path(path).relative_to(ROOT)) if inside else ""
        return name
