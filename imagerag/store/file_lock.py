"""File locks of runs and libraries; the operating system releases a lock when its process ends, also after a kill.

Own code instead of `filelock`: that has no shared lock that can be upgraded to an exclusive one, opens the file for
writing even to check a lock (a home may be read-only), and leaves its file behind.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from imagerag.agent.completion import to_completion
from imagerag.agent.errors import RunStateError
from imagerag.formatting.interface_terms import python_call
from imagerag.store.storage_errors import storage_errors

if sys.platform != "win32":
    import fcntl


@contextmanager
def run_lock(path: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while it is made, against other processes and other tasks of this one.

    The kernel releases the lock at once when a process is killed.

    Args:
        path: the lock file, which names this process; it is removed when the lock is released.

    Raises:
        RunStateError: the lock is held already.
    """
    with _run_lock(path, run_id) as file:
        _name_holder(file)
        yield


@asynccontextmanager
async def run_lock_off_loop(path: Path, run_id: str) -> AsyncIterator[None]:
    """`run_lock` for an event loop: its folder is made, and its file written and removed, in a thread.

    It is taken in the loop: a task that is cancelled while a thread took it would never release it.
    """
    with storage_errors(path, "cannot write"):
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    with ExitStack() as held:
        file = held.enter_context(_run_lock(path, run_id))
        try:
            await to_completion(asyncio.to_thread(_name_holder, file))
            yield
        finally:
            await to_completion(asyncio.to_thread(held.close))


@contextmanager
def _run_lock(path: Path, run_id: str) -> Iterator[int | None]:
    """Hold the lock; yields its open file, None on systems without such locks."""
    if sys.platform == "win32":
        yield None
        return
    with storage_errors(path, "cannot write"):
        file = locked(path)
    if file is None:
        raise RunStateError(under_way(path, run_id))
    try:
        yield file
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _name_holder(file: int | None) -> None:
    if file is not None:
        with suppress(OSError):  # a full disk: nobody will know which process it is
            os.ftruncate(file, 0)
            os.write(file, str(os.getpid()).encode())


def is_locked(path: Path) -> bool:
    """Whether the run is being made; always true on systems without such locks, where it cannot be known."""
    if sys.platform == "win32":
        return True
    if not path.exists():
        return False
    file = locked(path, create=False)
    if file is not None:
        os.close(file)
    return file is None and path.exists()


def is_held(path: Path) -> bool:
    """Whether the run is known to be being made; never on systems without such locks."""
    return sys.platform != "win32" and is_locked(path)


def is_left(path: Path) -> bool:
    """Whether the file of a lock is there that nobody holds: its process was killed."""
    return path.exists() and not is_locked(path)


def under_way(path: Path, run_id: str) -> str:
    """Sentence about a run that is being made: by which process and since when, as far as known, and what to type."""
    who = []
    with suppress(OSError):
        holder, since = path.read_text("ascii", "replace"), datetime.fromtimestamp(path.stat().st_mtime, UTC)
        who = [f"by process {holder}"] if holder.isdecimal() else []
        who.append(f"since {since:%Y-%m-%d %H:%M:%S} UTC")
    known = f" ({', '.join(who)})" if who else ""
    return f"run {run_id} is being made right now{known}: {python_call('runs.steps', run_id)} shows how far it is"


def waiting_lock(path: Path, *, alone: bool) -> int | None:
    """Wait for a lock, exclusive or shared; returns the open file, locked until it is closed, or None on systems
    without such locks."""
    if sys.platform == "win32":
        return None
    with storage_errors(path, "cannot write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    return file


@contextmanager
def shared_or_alone(path: Path, *, alone: bool) -> Iterator[bool]:
    """Hold a shared lock, or an exclusive one if it is free at once. Yields whether it is exclusive."""
    file = waiting_lock(path, alone=False)
    try:
        yield alone and file is not None and alone_now(file)
    finally:
        if file is not None:
            os.close(file)


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; waits for other holders."""
    file = waiting_lock(path, alone=True)
    try:
        yield
    finally:
        if file is not None:
            os.close(file)


def alone_now(file: int) -> bool:
    """Try to upgrade a shared lock to an exclusive one without waiting; returns whether it worked."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def locked_together(path: Path) -> int | None:
    """Take a shared lock, held until the file is closed; None when another holds it exclusively."""
    return locked(path, together=True)


def locked(path: Path, *, create: bool = True, together: bool = False) -> int | None:
    """Take a lock, held until the file is closed; None when another holds it or, without `create`, when there is no
    file.

    Args:
        together: take a shared lock.
    """
    if sys.platform == "win32":
        return None
    if create and not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            # Without `create` the lock is only checked, which has to work in a read-only home.
            file = os.open(path, os.O_RDWR | os.O_CREAT if create else os.O_RDONLY, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        # The previous holder may have removed the file between the two calls: then this lock is not on the path.
        if os.fstat(file).st_nlink:
            return file
        os.close(file)
