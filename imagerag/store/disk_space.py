"""Check the disk space before any call is paid."""

import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

from imagerag.store.storage_errors import because, existing, storage_errors

RUN_BYTES: Final = 16 * 2**20
"""Bytes that must be free before a model is asked: a large image, its reference copies, and what is said of it."""

_PROBE: Final = 2**20


def check_space(folder: Path, need: int = RUN_BYTES) -> None:
    """Refuse to begin where a response could not be stored. Takes microseconds and writes nothing.

    Raises:
        StorageError: the disk is full, read-only, or permission is missing.
    """
    there = existing(folder)
    with storage_errors(folder, "cannot write into"):
        if hasattr(os, "statvfs"):
            status = os.statvfs(there)
            if status.f_flag & os.ST_RDONLY:
                raise because(errno.EROFS, folder, "cannot write into")
            if status.f_files and not status.f_ffree:
                raise because(errno.ENOSPC, folder, "cannot write into", "it can hold no more files")
        if not os.access(there, os.W_OK | os.X_OK):
            raise because(errno.EACCES, folder, "cannot write into")
        free = shutil.disk_usage(there).free
    if free < need:
        detail = f"{free / 2**20:.1f} MB left, {need / 2**20:.0f} MB needed"
        raise because(errno.ENOSPC, folder, "cannot write into", detail)


def check_writable(folder: Path, need: int = RUN_BYTES) -> None:
    """As `check_space`, but also write a file: quotas and process limits show only then. Creates the folder.

    Raises:
        StorageError: nothing can be stored there.
    """
    check_space(folder, need)
    with storage_errors(folder, "cannot write into"):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".tmp-{uuid.uuid4().hex}"
        handle = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(handle, need)  # a limit on file sizes raises here, before anything is written
            os.ftruncate(handle, 0)
            _allocate(handle)
        finally:
            os.close(handle)
            probe.unlink(missing_ok=True)


def _allocate(handle: int) -> None:
    if not hasattr(os, "posix_fallocate"):
        os.write(handle, bytes(_PROBE))
        return
    try:
        os.posix_fallocate(handle, 0, _PROBE)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
