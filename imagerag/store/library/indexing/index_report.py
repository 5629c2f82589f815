"""The report of indexing or of a dry run."""

import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from imagerag.store.library.check.library_check import LibraryCheck

from imagerag.agent.types import DescriptionEstimate
from imagerag.formatting.numbers import counted
from imagerag.store.library.metadata.metadata_values import MAX_VALUE

EXAMPLES: Final = 10
"""Paths that are kept of each kind: the first ones in their order."""


@dataclass
class IndexReport:
    """Counts of what indexing changed, or with `dry_run` would change.

    Each file counts once; `seen` is their number. The number of images after indexing is the number before plus `added`
    minus `removed`.

    Attributes:
        added: images that are new to the library.
        updated: images whose description changed; their vectors were kept.
        unchanged: images that were in the library and have not changed.
        moved: images that were in the library under another path.
        changed: images that replace others, because the bytes of their files changed.
        removed: images removed, because none of their files exists or still has their bytes.
        paths_removed: missing files of images that have another file.
        missing: images that were kept although their files are missing; `warnings` has the reason.
        duplicates: files with the same bytes as another one.
        removed_before: files of images that a user removed from the library; they stay removed.
        skipped: (path, reason) of every file or manifest row that could not be used.
        captions: images of this run that have a caption.
        captions_encoded: captions that were encoded for searches by captions.
        ocr_read: images that OCR read; `ocr_words`: those in which it found words.
        described: images that a model described; `low_confidence`: those whose description probably does not fit.
        description_calls: how often the model was called; `description_cost_usd`: what that cost, None where a price is
            not known.
        descriptions_left: images that still have no description, because the budget was spent, or the service failed;
            `descriptions_stopped` is the reason.
        descriptions_expected: calls and cost that were estimated before the first call; None without images to
            describe.
        describer: the model that describes images of this library; empty without one.
        region_images: images whose regions were encoded; `regions`: how many these have.
        notes: (path, problem) of metadata that was left out; the image was indexed.
        columns: what each column of the manifest was read as: one of our fields, or "metadata".
        manifest_captions: number of captions in the manifest; None without a manifest.
        warnings: likely problems of the library, with the command to type.
        check: the short check after the first indexing that brought captions, with a verdict on each way to search.
        seconds: wall time by stage: scan, read, embed, write, ocr, regions, describe, captions, calibrate, check. They
            overlap.
        elapsed: total wall time without calibration.
        examples: kind (`added`, `moved`, …) → some of the paths, sorted.
        followed: whether the files are watched.
        dry_run: whether nothing was written; damaged files are found only by decoding, so they are not reported.
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
    captions_encoded: int = 0
    ocr_read: int = 0
    ocr_words: int = 0
    described: int = 0
    low_confidence: int = 0
    description_calls: int = 0
    description_cost_usd: float | None = 0.0
    descriptions_left: int = 0
    descriptions_stopped: str = ""
    descriptions_expected: DescriptionEstimate | None = None
    describer: str = ""
    region_images: int = 0
    regions: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    manifest_captions: int | None = None
    warnings: list[str] = field(default_factory=list)
    check: "LibraryCheck | None" = None
    seconds: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    examples: dict[str, list[str]] = field(default_factory=dict)
    followed: bool = False
    dry_run: bool = False
    _oversized: Counter[str] = field(default_factory=Counter, repr=False)
    _with_oversized: int = 0

    def warned(self, warning: str, warn: "Callable[[str], None] | None") -> None:
        """Add a warning and report it at once."""
        self.warnings.append(warning)
        if warn:
            warn(warning)

    def count(self, kind: str, path: str = "") -> None:
        """Count one image or file of a kind, with its path as an example."""
        setattr(self, kind, getattr(self, kind) + 1)
        if path:
            paths = self.examples.setdefault(kind, [])
            insort(paths, path)
            del paths[EXAMPLES:]

    def count_oversized(self, names: Sequence[str]) -> None:
        """Count an image with values that were left out, by their names."""
        self._oversized.update(set(names))
        self._with_oversized += bool(names)

    def note_oversized(self) -> None:
        """Add one note on all values that were counted: programs write the same ones beside every image."""
        if not self._with_oversized:
            return
        named = [name for name, _ in self._oversized.most_common(EXAMPLES)]
        more = len(self._oversized) - len(named)
        text = ", ".join(named) + (f" and {more:,} more" if more else "")
        why = f"objects and lists longer than {MAX_VALUE:,} characters were left out: {text}"
        self.notes.append((f"sidecars of {counted(self._with_oversized, 'image')}", why))

    def skip_changed(self, path: str) -> None:
        """List a file that was changed while it was read."""
        then = "the next pass takes it" if self.followed else "index it again"
        self.skipped.append((path, f"it was changed while it was read: {then}"))

    @property
    def seen(self) -> int:
        """Number of files, usable or not, and of manifest rows without a file."""
        in_library = self.updated + self.unchanged + self.moved + self.duplicates
        return self.added + self.changed + in_library + self.removed_before + len(self.skipped)

    @property
    def did_something(self) -> bool:
        """Whether anything changed."""
        return bool(self.rows_changed)

    @property
    def rows_changed(self) -> int:
        """Approximate number of rows written or removed."""
        files = self.added + self.changed + self.moved + self.updated + self.removed + self.paths_removed
        encoded = self.region_images + self.captions_encoded
        return files + self.ocr_read + self.described + encoded

    @property
    def images_per_s(self) -> float:
        """Files per second without calibration; 0 when nothing was timed."""
        return (self.seen / self.elapsed) if self.elapsed else 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
