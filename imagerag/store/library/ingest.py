"""Indexing: from files to rows of a library.

A file whose path, size, time and inode are those that were noted is not opened. One whose bytes the library knows is
not decoded. Everything else goes through stages that overlap: while one batch is encoded, the next one is read and
decoded, and the one before it is written. Every batch is committed as a whole, and an image is known by the hash of its
bytes: stopped at any instant and run again, indexing ends with exactly the rows it would have had.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.agent.ports import PreparingEmbedder
from imagerag.agent.threads import in_thread
from imagerag.store.disk_space import check_space, check_writable
from imagerag.store.library.file_reading import ReadFile, read_file
from imagerag.store.library.file_selection import ExcludedFiles
from imagerag.store.library.image_metadata import clean
from imagerag.store.library.index_report import IndexReport
from imagerag.store.library.known_files import KnownFiles
from imagerag.store.library.library import Library
from imagerag.store.library.locations import path_text
from imagerag.store.library.manifest import Manifests
from imagerag.store.library.removal import removal_warning, removed_ids
from imagerag.store.library.scan import Scan, scan
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage
from imagerag.store.library.sidecars import SidecarMetadata
from imagerag.store.library.vanished_files import find_vanished, quoted, take_out

__all__ = ["IMAGE_SUFFIXES", "IndexReport", "index"]

BATCH: Final = 32
BATCH_BYTES: Final = 128 * 2**20
"""Files and bytes of one batch. At most three are held: one that is read, one that is encoded, one that is written."""

_READ: Final = 8
"""Of a batch at the same time: each has a decoded picture."""

_DESCRIBED: Final = 500
"""Rows whose descriptions are read and written at a time."""

SPARE: Final = 2**20
"""Bytes that are left free beside what is written: for manifests and indexes."""

Progress = Callable[[int, int], None]
"""Called after every batch with files done and files in all."""


async def index(
    paths: Sequence[str | os.PathLike[str]],
    library: Library,
    *,
    manifest: Manifests = None,
    exclude: Sequence[str] = (),
    allow_outside: bool = False,
    copy: bool = False,
    prune: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    first_look: Callable[[Sequence[bytes]], str | None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> IndexReport:
    """Put the images of files and folders into a library, with what a manifest or sidecars say of them.

    Files that are no image, damaged or gigantic are skipped and listed. A file that is there already is not embedded
    again; one that moved keeps its row, one that was changed is embedded anew, and images whose files are all gone are
    taken out. Afterwards the threshold is calibrated anew, unless nothing changed.

    Args:
        paths: files, folders with everything below them, archives and tables of images, and patterns of all these.
        manifest: one or several, see `read_manifest`; the images they name are indexed too.
        exclude: patterns (`drafts`, `*.gif`, `raw/*`) of files and folders to be left out.
        allow_outside: the manifest may name files outside of its folder and of `paths`, and a sidecar that is a link
            may lead there.
        copy: keep the bytes in the library; by default it is linked to the files.
        prune: take out images whose files are gone even where a disk may only be missing, see `vanished_files`.
        dry_run: write nothing, and say what would be done.
        progress: called after every batch.
        first_look: called with the first pictures before they are encoded; what it says is a warning.
        warn: called with each warning as soon as it is known.

    Raises:
        UsageError: a path or the manifest does not exist.
        BackendError: the encoder failed; what was committed until then stays.
        StorageError: the disk is full, or cannot be written; what was committed until then stays.
    """
    report, started = IndexReport(dry_run=dry_run), time.perf_counter()
    if not dry_run:
        await asyncio.to_thread(check_writable, library.folder, SPARE)
    given = [Path(path) for path in paths]
    with report.timed("read"):
        found = await asyncio.to_thread(
            lambda: scan(given, manifest, ExcludedFiles(exclude), allow_outside=allow_outside, prune=prune)
        )
        indexing = Indexing(library, found, await library.table.known_files(), report, copy, progress)
        indexing.removed_before = await asyncio.to_thread(removed_ids, library.folder)
        unchanged, fresh = await asyncio.to_thread(indexing.compare)
    report.skipped += found.problems
    report.columns |= {name: read for one in found.sources.values() for name, read in one.columns.items()}
    if manifest is not None:
        report.columns |= found.listed.columns
        report.manifest_captions = found.listed.captions
    if first_look:
        first = await asyncio.to_thread(_first_pictures, found, fresh)
        if warning := await in_thread(first_look, first):
            report.warned(warning, warn)
    await indexing.describe(unchanged)
    await indexing.read_and_write(fresh)
    vanished = find_vanished(indexing.known, found, indexing.seen, prune=prune)
    with report.timed("write"):
        before = len(report.warnings)
        await take_out(library, vanished, report, prune=prune, roots=quoted(paths))
    for warning in report.warnings[before:] if warn else ():
        warn(warning)  # type: ignore[misc]
    report.elapsed = time.perf_counter() - started
    if not dry_run:
        await _finish(library, report)
    if report.removed_before:
        report.warned(removal_warning(library.name, report.removed_before), warn)
    return report


async def _finish(library: Library, report: IndexReport) -> None:
    """Indexes, threshold and room on the disk, where rows changed now, or before in a run that was stopped."""
    if not await library.count():
        return
    stale = await library.is_stale()
    written = report.added or report.updated or report.changed or report.removed
    if stale or written or await library.is_bloated():
        with report.timed("write"):
            await library.optimize()
    if stale:
        with report.timed("calibrate"):
            await library.calibrate(anew=False)


@dataclass
class _Batch:
    """Files of one batch by their hashes, in the order they were met.

    Attributes:
        vectors: hash → unit vector, of what is new.
    """

    size: int
    files: dict[str, list[ReadFile]] = field(default_factory=dict)
    vectors: dict[str, Any] = field(default_factory=dict)


@dataclass
class Indexing:
    """One run of `index`.

    Attributes:
        seen: path → the image that it is now; None where that could not be told.
        counted: images that were counted already: further files of them are duplicates.
        encoded: images that were encoded; they may not be written yet.
        removed_before: images that somebody took out of the library; they stay out.
    """

    library: Library
    scan: Scan
    known: KnownFiles
    report: IndexReport
    copy: bool = False
    progress: Progress | None = None
    seen: dict[str, str | None] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    encoded: set[str] = field(default_factory=set)
    removed_before: frozenset[str] = frozenset()
    done: int = 0

    def compare(self) -> tuple[list[tuple[Path, str]], list[Path]]:
        """The files that are surely as they were, with their images, and those that have to be read."""
        unchanged, fresh = [], []
        for path in self.scan.files:
            try:
                entry = self.scan.entry(path)
                one = self.known.unchanged(entry)
                wanted = self.copy or not self.scan.links(path)
                if one is not None and wanted and not self.library.table.images.has(one, entry.size):
                    one = None
            except OSError:
                one = None  # reading it says why
            self.seen[path_text(path)] = one
            if one is None:
                fresh.append(path)
            else:
                unchanged.append((path, one))
        return unchanged, fresh

    async def describe(self, unchanged: Sequence[tuple[Path, str]]) -> None:
        """Count files that are as they were; read their sidecars and manifest again where those changed."""
        first: dict[str, Path] = {}
        for path, sha256 in unchanged:
            if first.setdefault(sha256, path) is not path:
                self.report.count("duplicates")
        self.counted.update(first)
        with self.report.timed("read"):
            described = await asyncio.to_thread(lambda: {one: self.scan.described(path) for one, path in first.items()})
        again = [one for one in first if described[one] != self.known.described.get(one, "")]
        same = first.keys() - set(again)
        self.report.unchanged += len(same)
        self.report.captions += sum(self.known.ids[one] for one in same)
        for part in (again[start : start + _DESCRIBED] for start in range(0, len(again), _DESCRIBED)):
            with self.report.timed("read"):
                said = await asyncio.to_thread(self._said, {one: first[one] for one in part})
            changed = []
            for old in await self.library.rows(part):
                problems, path = said[old.id].problems, first[old.id]
                row = self.scan.raw_of(path).filling(said[old.id].description.applied_to(old))
                row = replace(row, described="" if problems else described[old.id])  # problems are told every time
                self._tell(path, problems)
                self.report.captions += bool(row.caption)
                self.report.count("updated" if row != old else "unchanged", str(path) if row != old else "")
                if row != old or row.described != old.described:
                    changed.append(row)
            await self._update(changed)
        self._advance(len(unchanged))

    def _said(self, paths: Mapping[str, Path]) -> dict[str, SidecarMetadata]:
        return {sha256: self.scan.said_of(path) for sha256, path in paths.items()}

    async def read_and_write(self, fresh: Sequence[Path]) -> None:
        """Read, decode, encode and write files, the stages at the same time."""
        parts = self._batches(fresh)
        reading = self._begin(next(parts, None))
        writing: asyncio.Task[None] | None = None
        try:
            while reading is not None:
                batch = await reading
                reading = self._begin(next(parts, None))
                with self.report.timed("embed"):
                    await self._embed(batch)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(batch))
        finally:
            if reading is not None:
                reading.cancel()
            if writing is not None:
                await writing

    def _begin(self, paths: Sequence[Path] | None) -> "asyncio.Task[_Batch] | None":
        return asyncio.create_task(self._read_batch(paths)) if paths else None

    async def _read_batch(self, paths: Sequence[Path]) -> _Batch:
        room, library = asyncio.Semaphore(_READ), self.library
        encoder = library.embedder if isinstance(library.embedder, PreparingEmbedder) else None
        decode = not self.report.dry_run

        async def one(path: Path) -> ReadFile | str:
            async with room:
                return await in_thread(
                    lambda: read_file(path, self.scan, self.known.ids, encoder, keep_bytes=self.copy, decode=decode)
                )

        with self.report.timed("read"):
            read = await asyncio.gather(*(one(path) for path in paths))
        batch = _Batch(size=len(paths))
        for path, found in zip(paths, read, strict=True):
            if isinstance(found, str):
                self.report.skipped.append((clean(str(path)), found))
            elif found.sha256 in self.removed_before:
                self.report.removed_before += 1
            else:
                batch.files.setdefault(found.sha256, []).append(found)
                self._tell(path, found.problems)
        return batch

    async def _embed(self, batch: _Batch) -> None:
        """Encode what is new: neither in the library, as far as is known, nor in an earlier batch."""
        import numpy as np

        new = [files[0] for one, files in batch.files.items() if files[0].decoded and one not in self.encoded]
        there = {record["id"] for record in await self.library.table.records(["id"], [one.sha256 for one in new])}
        new = [one for one in new if one.sha256 not in there]
        for read, found in zip(new, await self._vectors(new), strict=True):
            vector = found if isinstance(found, str) else np.asarray(found, dtype=np.float32)
            if isinstance(vector, str) or not abs(float(np.linalg.norm(vector)) - 1) < 1e-2:
                why = vector if isinstance(vector, str) else "the encoder gave no usable vector for it"
                self.report.skipped.append((clean(str(read.path)), why))
                del batch.files[read.sha256]
            else:
                batch.vectors[read.sha256] = vector
                self.encoded.add(read.sha256)

    async def _vectors(self, new: Sequence[ReadFile]) -> Sequence[Any]:
        """The vector of each image, or why it has none: one that an encoder refuses takes no other along."""
        if not new:
            return []
        encoder, decoded = self.library.embedder, [one.decoded for one in new if one.decoded]
        try:
            if isinstance(encoder, PreparingEmbedder):
                return list(await encoder.embed_prepared([one.prepared for one in decoded]))
            return list(await encoder.embed_images([one.data or b"" for one in decoded]))
        except UsageError as error:
            if len(new) == 1:
                return [str(error)]
        return [found for one in new for found in await self._vectors([one])]

    async def _write(self, batch: _Batch) -> None:
        with self.report.timed("write"):
            async with self.library.files_lock():
                await self._commit(batch)
        self._advance(batch.size)

    async def _commit(self, batch: _Batch) -> None:
        """Write a batch. Nobody else writes files of images meanwhile, so what another run added is kept."""
        old = {row.id: row for row in await self.library.rows(list(batch.files))}
        new: list[NewImage] = []
        files: dict[str, Sequence[FileEntry]] = {}
        rows: list[ImageRecord] = []
        for sha256, read in batch.files.items():
            for one in read:
                self.seen[one.entry.path] = sha256
            if sha256 in old:
                files |= self._merged(old[sha256], read)
                rows += self._described(old[sha256], read[0])
            elif self.report.dry_run or sha256 in batch.vectors:
                self._count_new(read)
                if sha256 in batch.vectors:
                    new.append(self._new_image(read, batch.vectors[sha256]))
            else:  # taken out by somebody between its being compared and now: the next run finds it new
                self.seen.update(dict.fromkeys((one.entry.path for one in read), None))
        if self.report.dry_run:
            return
        if new:
            check_space(self.library.folder, SPARE + 2 * sum(len(one.data or b"") + len(one.thumbnail) for one in new))
            await self.library.upsert(new)
        await self.library.update_files(files)
        await self._update(rows)
        await self.library.table.copy_files(self._to_copy(batch))

    def _to_copy(self, batch: _Batch) -> Mapping[str, Callable[[], bytes]]:
        """How to read what is to be kept in the library, by the images' ids: what cannot be read again where it lies,
        too."""
        wanted = {}
        for sha256, read in batch.files.items():
            unlinked = next((one.path for one in read if not self.scan.links(one.path)), None)
            if self.copy or unlinked is not None:
                wanted[sha256] = partial(self._bytes_of, unlinked or read[0].path)
        return wanted

    def _bytes_of(self, path: Path) -> bytes:
        return self.scan.read(path)[1]

    def _new_image(self, read: Sequence[ReadFile], vector: Any) -> NewImage:
        first = read[0]
        assert first.decoded is not None, "only what was decoded is encoded"
        row = replace(first.new_row, files=tuple(sorted({one.entry for one in read})))
        data = first.decoded.data if self.copy or not self.scan.links(first.path) else None
        self.report.captions += bool(row.caption)
        return NewImage(row=row, data=data, thumbnail=first.decoded.info.thumbnail, vector=vector)

    def _merged(self, row: ImageRecord, read: Sequence[ReadFile]) -> Mapping[str, Sequence[FileEntry]]:
        """The row's files with those that were read, where that makes a difference."""
        entries = {one.entry.path: one.entry for one in read}
        merged = sorted({**{file.path: file for file in row.files}, **entries}.values())
        return {row.id: merged} if tuple(merged) != row.files else {}

    def _described(self, row: ImageRecord, read: ReadFile) -> Iterator[ImageRecord]:
        """The row with what is said of it now, where that makes a difference; counts what became of it."""
        if row.id in self.counted:
            self.report.count("duplicates", str(read.path))
            return
        self.counted.add(row.id)
        now = read.describe(row)
        self.report.captions += bool(now.caption)
        if now != row:
            self.report.count("updated", str(read.path))
        else:
            self._count_known(row, read)
        if now != row or now.described != row.described:
            yield now

    def _count_known(self, row: ImageRecord, read: ReadFile) -> None:
        paths = {file.path for file in row.files}
        if not paths or read.entry.path in paths:
            self.report.count("unchanged")
        elif any(self.seen.get(path, row.id) == row.id and os.path.lexists(path) for path in paths):
            self.report.count("duplicates", str(read.path))
        else:
            self.report.count("moved", str(read.path))

    def _count_new(self, read: Sequence[ReadFile]) -> None:
        first = read[0]
        self.counted.add(first.sha256)
        self.report.count("changed" if first.entry.path in self.known.by_path else "added", str(first.path))
        for one in read[1:]:
            self.report.count("duplicates", str(one.path))

    async def _update(self, rows: Sequence[ImageRecord]) -> None:
        if rows and not self.report.dry_run:
            with self.report.timed("write"):
                await self.library.update(rows)

    def _tell(self, path: Path, problems: Sequence[str]) -> None:
        self.report.notes += [(clean(str(path)), problem) for problem in problems]

    def _advance(self, files: int) -> None:
        self.done += files
        if self.progress and files:
            self.progress(self.done, len(self.scan.files))

    def _batches(self, files: Sequence[Path]) -> Iterator[list[Path]]:
        """Files in batches that are small enough to be held whole."""
        batch: list[Path] = []
        size = 0
        for path in files:
            try:
                bytes_ = min(self.scan.entry(path).size, MAX_BYTES)
            except OSError:
                bytes_ = 0
            if batch and (len(batch) == BATCH or size + bytes_ > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(path)
            size += bytes_
        if batch:
            yield batch


def _first_pictures(scan: Scan, files: Sequence[Path], count: int = 8) -> list[bytes]:
    pictures = []
    for path in files:
        with suppress(OSError, ValueError):
            if path in scan.members or path.suffix.lower() in IMAGE_SUFFIXES:
                pictures.append(scan.read(path)[1])
        if len(pictures) == count:
            break
    return pictures
