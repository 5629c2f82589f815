"""The stages of indexing: compare files with the known ones, read, decode and encode."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from imagerag.agent.images.decoding import MAX_RAW_BYTES
from imagerag.agent.ports import PreparingEmbedder
from imagerag.agent.threads import in_thread
from imagerag.store.library.encoding import vectors_or_reasons
from imagerag.store.library.indexing.exported_vectors import ExportedVectors
from imagerag.store.library.indexing.file_reading import ReadFile, encode_files, read_file
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.row_writing import ImageBatch, RowWriter
from imagerag.store.library.indexing.scan import Scan
from imagerag.store.library.known_files import KnownFiles
from imagerag.store.library.library import Library
from imagerag.store.library.locations import path_text
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.metadata.text_origins import with_sidecars
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.thresholds.content import is_unit
from imagerag.store.text_files import clean

BATCH: Final = 32
BATCH_BYTES: Final = 128 * 2**20
"""Files and bytes of one batch. At most two are held: one that is read, and one that is encoded."""

_READ: Final = 8
"""Of a batch at the same time: each has a decoded image."""

_DESCRIBED: Final = 500
"""Rows whose descriptions are read and written at a time."""


@dataclass
class Indexing:
    """One run of `index`.

    Attributes:
        checksum: no file is unchanged before its bytes are compared.
        encoded: images encoded so far, perhaps not written yet.
        removed_before: images that a user removed from the library; they stay removed.
    """

    library: Library
    scan: Scan
    known: KnownFiles
    report: IndexReport
    writer: RowWriter
    checksum: bool = False
    encoded: set[str] = field(default_factory=set)
    removed_before: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.exported = ExportedVectors(self.library, self.scan, self.report)

    def compare(self) -> tuple[list[tuple[Path, str]], list[Path]]:
        """Split the files into those that are certainly unchanged, with their images, and those to read."""
        unchanged, fresh = [], []
        for path in self.scan.files:
            try:
                entry = self.scan.entry(path)
                one = None if self.checksum else self.known.unchanged(entry)
                if one is not None and not self.scan.may_be(path, one):
                    one = None
                needs_copy = self.writer.copy or not self.scan.links(path)
                if one is not None and needs_copy and not self.library.table.images.has(one, entry.size):
                    one = None
            except OSError:
                one = None  # reading it reports the reason
            self.writer.seen[path_text(path)] = one
            if one is None:
                fresh.append(path)
            else:
                unchanged.append((path, one))
        return unchanged, fresh

    async def describe(self, unchanged: Sequence[tuple[Path, str]]) -> None:
        """Count unchanged files; read their sidecars and manifest again if these changed."""
        first: dict[str, Path] = {}
        for path, sha256 in unchanged:
            if first.setdefault(sha256, path) is not path:
                self.report.count("duplicates")
        self.writer.counted.update(first)
        with self.report.timed("read"):
            described = await asyncio.to_thread(lambda: {one: self.scan.described(path) for one, path in first.items()})
        again = [one for one in first if described[one] != self.known.described.get(one, "")]
        same = first.keys() - set(again)
        self.report.unchanged += len(same)
        self.report.captions += sum(self.known.ids[one] for one in same)
        for part in (again[start : start + _DESCRIBED] for start in range(0, len(again), _DESCRIBED)):
            with self.report.timed("read"):
                descriptions = await asyncio.to_thread(self._sidecar_metadata, {one: first[one] for one in part})
            async with self.library.files_lock(dry_run=self.report.dry_run):
                await self.writer.update(
                    self._redescribed(await self.library.rows(part), descriptions, first, described)
                )
        self.writer.advance(len(unchanged))

    def _redescribed(
        self,
        rows: Sequence[ImageRecord],
        metadata_by_id: Mapping[str, SidecarMetadata],
        first: Mapping[str, Path],
        described: Mapping[str, str],
    ) -> list[ImageRecord]:
        """Rows with their current metadata, if that changes them; counts the result of each."""
        changed = []
        for old in rows:
            problems, path = metadata_by_id[old.id].problems, first[old.id]
            row = self.scan.raw_of(path).filling(metadata_by_id[old.id].description.applied_to(old))
            sidecars = "" if problems else described[old.id]  # problems are reported every time
            row = replace(row, described=with_sidecars(old.described, sidecars))
            self._tell(path, problems)
            self.report.count_oversized(metadata_by_id[old.id].oversized)
            self.report.captions += bool(row.caption)
            self.report.count("updated" if row != old else "unchanged", str(path) if row != old else "")
            if row != old or row.described != old.described:
                changed.append(row)
        return changed

    def _sidecar_metadata(self, paths: Mapping[str, Path]) -> dict[str, SidecarMetadata]:
        return {sha256: self.scan.sidecar_metadata_of(path) for sha256, path in paths.items()}

    async def read_and_write(self, fresh: Sequence[Path]) -> None:
        """Read, decode, encode and write files, with overlapping stages."""
        if not self.report.dry_run:
            with self.report.timed("embed"):
                await self.exported.check(fresh)
        parts = self._batches(fresh)
        reading = self._begin(next(parts, None))
        try:
            while reading is not None:
                batch = await reading
                reading = self._begin(next(parts, None))
                with self.report.timed("embed"):
                    await self._embed(batch)
                await self.writer.add(batch)
        finally:
            if reading is not None:
                reading.cancel()
            await self.writer.finish()

    def _begin(self, paths: Sequence[Path] | None) -> asyncio.Task[ImageBatch] | None:
        return asyncio.create_task(self._read_batch(paths)) if paths else None

    async def _read_batch(self, paths: Sequence[Path]) -> ImageBatch:
        room, library = asyncio.Semaphore(_READ), self.library
        encoder = library.embedder if isinstance(library.embedder, PreparingEmbedder) else None
        copy, decode = self.writer.copy, not self.report.dry_run

        async def one(path: Path) -> ReadFile | str:
            async with room:
                return await in_thread(
                    lambda: read_file(path, self.scan, self.known, encoder, keep_bytes=copy, decode=decode)
                )

        with self.report.timed("read"):
            files = await asyncio.gather(*(one(path) for path in paths))
        batch = ImageBatch(read=[len(paths)])
        for path, file in zip(paths, files, strict=True):
            if isinstance(file, str):
                self.report.skipped.append((clean(str(path)), file))
            elif file.sha256 in self.removed_before:
                self.report.removed_before += 1
            else:
                batch.add(file.sha256, [file])
                self._tell(path, file.problems)
                self.report.count_oversized(file.oversized)
        return batch

    async def _embed(self, batch: ImageBatch) -> None:
        """Encode new images: those neither in the library, as far as known, nor in an earlier batch."""
        import numpy as np

        new = [files[0] for one, files in batch.files.items() if files[0].decoded and one not in self.encoded]
        there = await self.library.table.existing([one.sha256 for one in new])
        new = [one for one in new if one.sha256 not in there]
        exported = {one.sha256: own for one in new if (own := self.exported.get(one)) is not None}
        new.sort(key=lambda one: one.sha256 in exported)
        vectors = await self._vectors(new[: len(new) - len(exported)])
        for file, result in zip(new, [*vectors, *exported.values()], strict=True):
            vector = result if isinstance(result, str) else np.asarray(result, dtype=np.float32)
            if isinstance(vector, str) or not is_unit(float(np.linalg.norm(vector))):
                why = vector if isinstance(vector, str) else "the encoder gave no usable vector for it"
                self.report.skipped.append((clean(str(file.path)), why))
                del batch.files[file.sha256]
            else:
                batch.vectors[file.sha256] = vector
                self.encoded.add(file.sha256)

    async def _vectors(self, new: Sequence[ReadFile]) -> Sequence[Any]:
        decoded = [one.decoded for one in new if one.decoded]
        return await vectors_or_reasons(partial(encode_files, self.library.embedder), decoded)

    def _tell(self, path: Path, problems: Sequence[str]) -> None:
        self.report.notes += [(clean(str(path)), problem) for problem in problems]

    def _batches(self, files: Sequence[Path]) -> Iterator[list[Path]]:
        """Batches of files that are small enough to hold in memory."""
        batch: list[Path] = []
        size = 0
        for path in files:
            try:
                bytes_ = min(self.scan.entry(path).size, MAX_RAW_BYTES)
            except OSError:
                bytes_ = 0
            if batch and (len(batch) == BATCH or size + bytes_ > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(path)
            size += bytes_
        if batch:
            yield batch
