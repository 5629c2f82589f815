"""Files that killed processes left in a home before they were complete.

Whoever writes or deletes a file or a folder of a home names it `.tmp-…` until it is complete or gone. What is named so
inside a library's folder `optimize` removes.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from imagerag.store.data_dir import DataDir
from imagerag.store.disk_usage import file_sizes

AGE_S: Final = 24 * 3600.0
"""A file that was not written for so long belongs to no process."""


def remove_unfinished(home: DataDir, *, age_s: float = AGE_S) -> int:
    """Delete unfinished files of processes that were killed; returns the number of bytes. Blocks.

    Args:
        age_s: files that were written since are left: their process may still run.
    """
    until, freed = time.time() - age_s, 0
    for path in _unfinished(home):
        with suppress(OSError):
            if _last_written(path) <= until:
                freed += sum(file_sizes(path).values())
                delete(path)
    return freed


def _unfinished(home: DataDir) -> Iterator[Path]:
    folders = (home.root, home.libraries, home.image_links, home.earlier_image_links, *home.blobs.glob("*"))
    for folder in folders:
        yield from folder.glob(".tmp-*")


def _last_written(path: Path) -> float:
    """The newest time of a file, or of a folder and all that is below it."""
    paths = [str(path)]
    if not path.is_symlink():
        for root, folders, names in os.walk(path):
            paths += (os.path.join(root, name) for name in (*folders, *names))
    return max(os.lstat(one).st_mtime for one in paths)


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, where there is one; of a link only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
