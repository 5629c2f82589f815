"""Decoding in processes of its own, for image files that may take long: each has limits, and can be ended.

A process has a limit of processor time and of memory for every image, is started when there is none idle, and knows
none of this one's keys. Small images never wait behind large ones, and large ones share a number of pixels.
"""

import atexit
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Timer
from typing import IO, Any, Final

from imagerag.agent.errors import ImageTooLargeError, UsageError
from imagerag.agent.threads import CallCancelledError, cancellation

__all__ = ["DecodedFile", "decode_in_process", "processor_seconds"]

LARGE_PIXELS: Final = 25_000_000
"""From here on images share `_LARGE`, so that a batch of them needs the memory of one or two."""

_UNKNOWN_PIXELS: Final = 12_000_000
"""What a file counts as whose size was not looked up."""

_MOST_PIXELS: Final = 200_000_000
"""Of all images of a kind, small or large, that are decoded at the same time."""

_IDLE: Final = min(8, max(2, os.cpu_count() or 1))
"""Processes that are kept for the next image, and that are at work before another one is started at once."""

_PATIENCE_S: Final = 0.5
"""How long one at work is waited for: most images take less than the start of a process, and bombs hold up nobody."""

_ENVIRONMENT: Final = (
    "PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUTF8", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL",
    "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "VIRTUAL_ENV",
)  # fmt: skip
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from imagerag.agent.images.decoding_worker import main; main()"
)


def processor_seconds(pixels: int) -> int:
    """Time limit for decoding an image of so many pixels: several times what the slowest format does."""
    return 4 + pixels // 5_000_000


@dataclass(frozen=True)
class DecodedFile:
    """Response of a decoding process for a file.

    Attributes:
        head: everything that is said of the image.
        pixels: its bytes, row by row.
    """

    head: dict[str, Any]
    pixels: bytes


def decode_in_process(data: bytes, side: int | None, pixels: int | None) -> DecodedFile:
    """Have a file decoded.

    Args:
        data: the file.
        side: as `images.decode` takes it.
        pixels: as many as the header says, where that was looked up.

    Raises:
        UsageError: it cannot be decoded, or not within its limits; the message is the reason, without a file name.
        CallCancelledError: nobody waits for it any more.
    """
    pixel_count = min(pixels or _UNKNOWN_PIXELS, _MOST_PIXELS)  # a header may say anything
    with (_LARGE if pixel_count > LARGE_PIXELS else _SMALL).shared(pixel_count):
        pool = _POOL
        process = pool.take()
        answer, reusable = None, False
        try:
            answer = process.ask(data, side, pixel_count)
            reusable = True
        finally:
            pool.give_back(process, reusable=reusable)
    problem = answer.head.get("problem")
    if problem is not None:
        raise (ImageTooLargeError if answer.head.get("too_large") else UsageError)(str(problem))
    return answer


class _Shares:
    """Pixels that images may have in all while they are decoded; one that has more than all of them is alone."""

    def __init__(self, pixels: int) -> None:
        self._free = self._all = pixels
        self._changed = Condition()

    @contextmanager
    def shared(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for an image, and have it."""
        share = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()


_LARGE: Final = _Shares(_MOST_PIXELS)
_SMALL: Final = _Shares(_MOST_PIXELS)


class _Process:
    """A process that decodes, one image at a time."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        path = [os.path.abspath(entry) for entry in sys.path]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"the process that decodes such images cannot be started: {reason}") from error

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def ask(self, data: bytes, side: int | None, pixels: int) -> DecodedFile:
        """Its answer.

        Raises:
            UsageError: it ended instead.
            CallCancelledError: the call that waits for it was cancelled.
        """
        # A limit of processor time ends it; this is for systems without, and for machines out of memory.
        late = Timer(10 * processor_seconds(max(pixels, LARGE_PIXELS)), self._process.kill)
        late.daemon = True
        ending = cancellation()
        with ending.calling(self._process.kill):
            late.start()
            try:
                return self._answer(data, side)
            except (OSError, EOFError, ValueError, struct.error):
                ended = self._kill()
            finally:
                late.cancel()
        if ending.cancelled:
            raise CallCancelledError
        raise UsageError(ended)

    def _answer(self, data: bytes, side: int | None) -> DecodedFile:
        asking, answering = self._process.stdin, self._process.stdout
        assert asking, "asked for above"
        assert answering, "asked for above"
        asking.write(struct.pack(">QQ", len(data), side or 0))
        asking.write(data)
        asking.flush()
        head_size, pixels_size = struct.unpack(">QQ", _read(answering, 16))
        return DecodedFile(json.loads(_read(answering, head_size)), _read(answering, pixels_size))

    def _kill(self) -> str:
        self._process.kill()
        code = self._process.wait()
        if code == -24:  # SIGXCPU
            return "decoding it takes far more work than an image of its size does"
        return "decoding it was ended: it takes far more time or memory than an image does"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was not written any more
        self._process.wait()


def _read(pipe: IO[bytes], size: int) -> bytes:
    if size > 2**32:
        raise ValueError("no answer has so much")
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


@dataclass
class _Pool:
    """The processes that are idle."""

    _idle: list[_Process] = field(default_factory=list)
    _busy: int = 0
    _changed: Condition = field(default_factory=Condition)
    _owner: int = field(default_factory=os.getpid)

    def take(self) -> _Process:
        """An idle process, or a new one; the caller gives it back."""
        with self._changed:
            if self._owner != os.getpid():  # after a fork: those belong to the other one
                self._idle.clear()
                self._owner, self._busy = os.getpid(), 0
            if self._busy >= _IDLE:
                self._changed.wait_for(lambda: bool(self._idle) or self._busy < _IDLE, _PATIENCE_S)
            self._busy += 1
            while self._idle:
                process = self._idle.pop()
                if process.runs:
                    return process
                process.close()
        try:
            return _Process()
        except UsageError:
            with self._changed:
                self._busy -= 1
            raise

    def give_back(self, process: _Process, *, reusable: bool) -> None:
        """Keep it for the next image, or end it."""
        with self._changed:
            self._busy -= 1
            self._changed.notify()
            if reusable and len(self._idle) < _IDLE:
                self._idle.append(process)
                return
        process.close()

    def close(self) -> None:
        """End those that are idle."""
        with self._changed:
            while self._owner == os.getpid() and self._idle:
                self._idle.pop().close()


_POOL: Final = _Pool()
atexit.register(_POOL.close)
