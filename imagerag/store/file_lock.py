"""Lock a run or a library; the operating system releases the lock, however its holder ends.

Own code, not `filelock`: that has no shared flock that can become an exclusive one, opens a lock for writing in order
to look at it (a home may be read-only), and leaves its file behind.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagerag.agent.errors import RunStateError
from imagerag.store.storage_errors import storage_errors

if sys.platform != "win32":
    import fcntl


@contextmanager
def run_lock(path: Path, run_id: str) -> Iterator[None]:
    """Hold a run while it is made, so that no other process, and nobody else in this one, makes it too.

    The lock is the kernel's: a process that is killed lets go of it at once.

    Args:
        path: the lock's file; it is gone when nobody holds it.

    Raises:
        RunStateError: somebody holds it.
    """
    if sys.platform == "win32":  # nothing is held there
        yield
        return
    with storage_errors(path, "cannot write"):
        file = locked(path)
    if file is None:
        raise RunStateError(f"run {run_id} is being made right now: imagerag show {run_id} --watch follows it")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def is_locked(path: Path) -> bool:
    """Whether somebody is at the run; where there are no such locks, somebody may be."""
    if sys.platform == "win32":
        return True
    if not path.exists():
        return False
    file = locked(path, create=False)
    if file is not None:
        os.close(file)
    return file is None and path.exists()


def waiting_lock(path: Path, *, alone: bool) -> int | None:
    """An open file that is locked until it is closed, alone or with others; None where there are no such locks."""
    if sys.platform == "win32":
        return None
    with storage_errors(path, "cannot write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    return file


@contextmanager
def shared_or_alone(path: Path, *, alone: bool) -> Iterator[bool]:
    """Hold a lock together with others, or alone if that can be had at once. Gives whether it is held alone."""
    file = waiting_lock(path, alone=False)
    try:
        yield alone and file is not None and alone_now(file)
    finally:
        if file is not None:
            os.close(file)


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Hold a lock alone; waits for whoever has it."""
    file = waiting_lock(path, alone=True)
    try:
        yield
    finally:
        if file is not None:
            os.close(file)


def alone_now(file: int) -> bool:
    """Whether a file that is locked together with others could be locked alone, at once."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def locked_together(path: Path) -> int | None:
    """A file that is locked together with others until it is closed; None when somebody holds it alone."""
    return locked(path, together=True)


def locked(path: Path, *, create: bool = True, together: bool = False) -> int | None:
    """A file that is locked until it is closed; None when another holds it, or without `create`, when there is none.

    Args:
        together: hold it with others who do so too.
    """
    if sys.platform == "win32":
        return None
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            # Without `create` it is only looked at, which has to work in a read-only home.
            file = os.open(path, os.O_RDWR | os.O_CREAT if create else os.O_RDONLY, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        # Whoever held it before may have removed the file between the two calls: then this is no lock on the path.
        if os.fstat(file).st_nlink:
            return file
        os.close(file)
