"""Changes below folders, as reported by the operating system."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagerag.store.library.sources.file_selection import IGNORE_FILE, ExcludedFiles
from imagerag.store.library.sources.path_patterns import base_of

QUIET_MS: Final = 2000
"""Changes are told when nothing more happened for so long: a camera's card is not indexed file by file."""

AT_LATEST_MS: Final = 30_000
"""They are told after so long in any case."""

AWAY_S: Final = 2.0
"""Seconds between looks for a path that is gone."""

CALIBRATED_S: Final = 20.0
"""Seconds without a change after which the threshold is measured: that takes many times longer than one image."""

CALIBRATED_AT_LATEST_S: Final = 300.0
"""Seconds after the first change at which it is measured in any case."""


@dataclass
class CalibrationDelay:
    """Time of the next calibration of a watched library.

    Attributes:
        first: time of the first change since the last calibration; None without a change.
        last: time of the last change.
    """

    first: float | None = None
    last: float = 0.0

    def begin(self) -> None:
        """Record a change."""
        self.last = time.monotonic()
        self.first = self.last if self.first is None else self.first

    def end(self) -> None:
        """Record a calibration."""
        self.first = None

    def remaining(self) -> float | None:
        """Seconds until the next calibration; None without a change."""
        if self.first is None:
            return None
        due = min(self.last + CALIBRATED_S, self.first + CALIBRATED_AT_LATEST_S)
        return max(0.0, due - time.monotonic())


def missing(paths: Sequence[Path]) -> list[Path]:
    """Those of the paths that are not there now; of a pattern, its folder."""
    return [path for path in paths if not base_of(path).exists()]


async def changes(
    paths: Sequence[Path], exclude: Sequence[str] = (), *, home: Path | None = None
) -> AsyncIterator[set[Path]]:
    """Yield the changed files and folders after each change, without those that are never indexed. Ignore files count:
    they decide what is indexed.

    Args:
        exclude: patterns, as of `ExcludedFiles`.
        home: the data folder of imagerag, into which indexing itself writes; what changes in it is not told.

    Where a path is gone, as with a disk that is not mounted, an empty set is yielded, and all paths when it is back.
    """
    import watchfiles

    excluded = ExcludedFiles(exclude)
    own_folder = set() if home is None else {home.absolute(), home.resolve()}
    roots = [base_of(path).absolute() for path in paths]

    def counts(change: object, name: str) -> bool:
        path = Path(name)
        below = [root for root in roots if path != root and path.is_relative_to(root)]
        parts = path.parents if path.name == IGNORE_FILE else (path, *path.parents)
        if any(part in own_folder and root in part.parents for root in below for part in parts):
            return False
        return not any(excluded.below(root)(part) for root in below for part in parts if root in part.parents)

    now = _identities(roots)
    while True:
        if now is None:
            yield set()
            while (now := _identities(roots)) is None:  # noqa: ASYNC110, nothing tells that a disk is back
                await asyncio.sleep(AWAY_S)
            yield {*roots}
        before = now
        async for events in watchfiles.awatch(
            *roots,
            watch_filter=counts,
            debounce=AT_LATEST_MS,
            step=QUIET_MS,
            rust_timeout=500,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            changed = {Path(name) for _, name in events}
            now = _identities(roots)
            # The system follows what was there under a name, not what comes under that name later.
            is_replaced = now != before or not changed.isdisjoint(roots)
            if changed and now is not None:
                yield changed
            if is_replaced:
                break
        if now is not None and now != before:
            yield {*roots}


def _identities(roots: Sequence[Path]) -> list[tuple[int, int]] | None:
    """What is under each path now, by device and inode; None where one is gone."""
    try:
        return [(status.st_dev, status.st_ino) for status in map(os.stat, roots)]
    except OSError:
        return None
