"""Changes below folders, as reported by the operating system."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagerag.store.library.sources.file_selection import ExcludedFiles
from imagerag.store.library.sources.path_patterns import base_of

QUIET_MS: Final = 2000
"""Changes are told when nothing more happened for so long: a camera's card is not indexed file by file."""

AT_LATEST_MS: Final = 30_000
"""They are told after so long in any case."""

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


async def changes(paths: Sequence[Path], exclude: Sequence[str] = ()) -> AsyncIterator[set[Path]]:
    """Yield the changed files and folders after each change, without those that are never indexed."""
    import watchfiles

    excluded = ExcludedFiles(exclude)
    roots = [base_of(path).absolute() for path in paths]

    def counts(change: object, name: str) -> bool:
        path = Path(name)
        below = [root for root in roots if path != root and path.is_relative_to(root)]
        parts = (path, *path.parents)
        return not any(excluded.below(root)(part) for root in below for part in parts if root in part.parents)

    watched = watchfiles.awatch(
        *roots,
        watch_filter=counts,
        debounce=AT_LATEST_MS,
        step=QUIET_MS,
        rust_timeout=500,
        ignore_permission_denied=True,
    )
    async for events in watched:
        yield {Path(name) for _, name in events}
