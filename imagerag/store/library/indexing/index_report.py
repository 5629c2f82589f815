"""What indexing did, or would do."""

import time
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

EXAMPLES: Final = 10
"""Paths that are kept of each kind: the first ones in their order."""


@dataclass
class IndexReport:
    """What indexing did, or with `dry_run` would do.

    Each file counts once: `seen` is how many there are. And images add up: those before and `added`, without `removed`,
    are those after.

    Attributes:
        added: images that were not in the library, and are there beside those that were.
        updated: images whose description changed; their vectors were kept.
        unchanged: images that were there already, just so.
        moved: images that were there already, under another path.
        changed: images in place of others that went, because their files have other bytes now.
        removed: images taken out, because none of their files is there any more, or has their bytes.
        paths_removed: files that are gone, of images that have another one.
        missing: images whose files are gone, and that were kept all the same; `warnings` says why.
        duplicates: files with the same bytes as another one.
        removed_before: files of images that somebody took out of the library; they stay out.
        skipped: (path, reason) of every file or manifest row that could not be used.
        captions: images of this run that have a caption.
        notes: (path, what is wrong) of what is said of an image and was left out; the image was not.
        columns: what each column of the manifest was read as: one of our fields, or "metadata".
        manifest_captions: how many captions came with the manifest; None without one.
        warnings: what is likely to be wrong with the library as it is now, and what to type.
        seconds: wall time by stage: scan, read, embed, write, calibrate. Stages overlap.
        elapsed: wall time in all, calibration left out.
        examples: kind (`added`, `moved`, …) → some of the paths, sorted.
        followed: whether the files are watched, so that nobody has to index them again.
        dry_run: whether nothing was written; damaged files show only when they are decoded, and are not told.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    changed: int = 0
    removed: int = 0
    paths_removed: int = 0
    missing: int = 0
    duplicates: int = 0
    removed_before: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    captions: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    manifest_captions: int | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    examples: dict[str, list[str]] = field(default_factory=dict)
    followed: bool = False
    dry_run: bool = False

    def warned(self, warning: str, warn: "Callable[[str], None] | None") -> None:
        """Keep a warning, and tell it at once."""
        self.warnings.append(warning)
        if warn:
            warn(warning)

    def count(self, kind: str, path: str = "") -> None:
        """Count one image or file of a kind, and keep its path as an example."""
        setattr(self, kind, getattr(self, kind) + 1)
        if path:
            paths = self.examples.setdefault(kind, [])
            insort(paths, path)
            del paths[EXAMPLES:]

    def skip_changed(self, path: str) -> None:
        """List a file that was changed while it was read."""
        then = "the next pass takes it" if self.followed else "index it again"
        self.skipped.append((path, f"it was changed while it was read: {then}"))

    @property
    def seen(self) -> int:
        """Files looked at, good and bad, and manifest rows without a file."""
        known = self.updated + self.unchanged + self.moved + self.duplicates
        return self.added + self.changed + known + self.removed_before + len(self.skipped)

    @property
    def did_something(self) -> bool:
        """Whether anything is different now."""
        return bool(self.rows_changed)

    @property
    def rows_changed(self) -> int:
        """About how many rows were written or taken out."""
        return self.added + self.changed + self.moved + self.updated + self.removed + self.paths_removed

    @property
    def images_per_s(self) -> float:
        """Files a second, calibration left out; 0 when nothing was timed."""
        return (self.seen / self.elapsed) if self.elapsed else 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
