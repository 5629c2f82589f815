"""Write the images that a scan has read as rows of a library, in batches."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from imagerag.store.disk_space import check_space
from imagerag.store.library.indexing.file_reading import ReadFile
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.scan import Scan, changed_since
from imagerag.store.library.indexing.vanished_files import follow, is_deleted
from imagerag.store.library.known_files import KnownFiles
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.removal import removed_ids
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage
from imagerag.store.text_files import clean

WRITTEN: Final = 1024
WRITTEN_BYTES: Final = 64 * 2**20
WRITTEN_S: Final = 3.0
"""Images, bytes and seconds after which what was encoded is written. A commit takes 30 to 100 ms, however small."""

SPARE: Final = 2**20
"""Bytes that are left free beside what is written: for manifests and indexes."""


_LAST_COUNTS: Final = "it says something else of its image than a row before; the last one counts"

Progress = Callable[[int, int], None]
"""Called for every batch when it was written, with files done and files in all."""


@dataclass
class ImageBatch:
    """Files by hash, in the order of the scan.

    Attributes:
        vectors: hash → unit vector, for new images.
        read: number of files read per batch, including files that are no images.
    """

    files: dict[str, list[ReadFile]] = field(default_factory=dict)
    vectors: dict[str, Any] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)

    def add(self, sha256: str, files: Sequence[ReadFile]) -> None:
        """Add files of an image."""
        self.files.setdefault(sha256, []).extend(files)

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        decoded = (one.decoded for files in self.files.values() for one in files if one.decoded)
        return sum(len(one.info.thumbnail) + len(one.data or b"") for one in decoded)


@dataclass
class RowWriter:
    """Writes the images that one run of `index` has read.

    Attributes:
        seen: path → its current image; None where it could not be read.
        counted: images counted already: further files of them are duplicates.
        replacing: new images of changed files, with an example path. They count as `changed` or `added`, depending on
            whether the old images are removed.
        relocated: images of the library that were found at a path that is new.
        elsewhere: images found at none of their known paths, with the path where they were found and the known ones.
    """

    library: Library
    scan: Scan
    known: KnownFiles
    report: IndexReport
    copy: bool = False
    progress: Progress | None = None
    done: int = 0
    seen: dict[str, str | None] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    replacing: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    relocated: set[str] = field(default_factory=set)
    _waiting: ImageBatch = field(default_factory=ImageBatch)
    _begun: float = -math.inf
    _writing: asyncio.Task[None] | None = None

    async def add(self, batch: ImageBatch) -> None:
        """Add a batch, and start a write when there is enough. The first batch is written at once, so that problems of
        the disk show before everything is encoded."""
        for sha256, files in batch.files.items():
            self._waiting.add(sha256, [self._without_input(one) for one in files])
        self._waiting.vectors |= batch.vectors
        self._waiting.read += batch.read
        late = time.monotonic() - self._begun > WRITTEN_S
        if late or len(self._waiting.files) >= WRITTEN or self._waiting.size >= WRITTEN_BYTES:
            await self._begin()

    def _without_input(self, file: ReadFile) -> ReadFile:
        """The file without the encoder's input."""
        if file.decoded is None:
            return file
        data = file.decoded.data if self.copy or not self.scan.links(file.path) else None
        return replace(file, decoded=replace(file.decoded, prepared=None, data=data))

    async def finish(self) -> None:
        """Write the rest, and wait until all is written."""
        await self._begin()
        if self._writing is not None:
            await self._writing

    async def _begin(self) -> None:
        if self._writing is not None:
            await self._writing
        if self._waiting.read:
            self._writing = asyncio.create_task(self._write(self._waiting))
            self._waiting, self._begun = ImageBatch(), time.monotonic()

    async def _write(self, batch: ImageBatch) -> None:
        with self.report.timed("write"):
            async with self.library.files_lock(dry_run=self.report.dry_run):
                await self._commit(batch)
        for files in batch.read:
            self.advance(files)

    def advance(self, files: int) -> None:
        """Report a number of further files as done: their new images are committed."""
        self.done += files
        if self.progress and files:
            self.progress(self.done, len(self.scan.files))

    async def _commit(self, batch: ImageBatch) -> None:
        """Write a batch. The files lock is held, so that files which another run added are kept."""
        old = {row.id: row for row in await self.library.rows(list(batch.files))}
        changed = await asyncio.to_thread(self._changed, batch)
        removed = await asyncio.to_thread(removed_ids, self.library.folder)
        new: list[NewImage] = []
        files: dict[str, Sequence[FileEntry]] = {}
        rows: list[ImageRecord] = []
        for sha256, read_files in batch.files.items():
            current_files = [one for one in read_files if one.path not in changed]
            for one in current_files:
                self.seen[one.entry.path] = sha256
            if not current_files:
                continue
            if sha256 in old:
                row = old[sha256]
                entries = self._merged(row, current_files)
                files |= {sha256: entries} if entries != row.files else {}
                now = next(self._described(row, current_files[0], entries), row)
                for one in current_files[1:]:
                    self.report.count("duplicates", str(one.path))
                    now = self._with_later_row(now, one)
                rows += [now] if now is not row else []
            elif sha256 in removed:  # changed since they were read
                self.report.removed_before += len(current_files)
            elif self.report.dry_run or sha256 in batch.vectors:
                self._count_new(current_files)
                if sha256 in batch.vectors:
                    new.append(self._new_image(current_files, batch.vectors[sha256]))
            else:  # removed by another process since it was compared: the next run indexes it as new
                self.seen.update(dict.fromkeys((one.entry.path for one in current_files), None))
        if self.report.dry_run:
            return
        if new:
            size = sum(len(one.data or b"") + len(one.thumbnail) for one in new)
            await asyncio.to_thread(check_space, self.library.folder, SPARE + 2 * size)
            await self.library.append(new)
        await self.library.update_files(files)
        await self.update(rows)
        await self.library.table.copy_files(self._to_copy(batch))

    def _changed(self, batch: ImageBatch) -> set[Path]:
        """Files that changed since they were read. A later scan may have written their new state, which the old one
        must not overwrite."""
        files = [one for read_files in batch.files.values() for one in read_files if one.path not in self.scan.members]
        changed = {one.path for one in files if changed_since(one.path, one.entry)}
        for one in files:
            if one.path in changed:
                self.report.skip_changed(clean(str(one.path)))
        return changed

    async def update(self, rows: Sequence[ImageRecord]) -> None:
        """Write metadata of images that are in the library."""
        if rows and not self.report.dry_run:
            with self.report.timed("write"):
                await self.library.update(rows)

    def _to_copy(self, batch: ImageBatch) -> Mapping[str, Callable[[], bytes]]:
        """Image id → reader of the bytes to store in the library, including sources that cannot be read again in
        place."""
        readers = {}
        for sha256, files in batch.files.items():
            unlinked = next((one.path for one in files if not self.scan.links(one.path)), None)
            if self.copy or unlinked is not None:
                readers[sha256] = partial(self._bytes_of, unlinked or files[0].path)
        return readers

    def _bytes_of(self, path: Path) -> bytes:
        return self.scan.read(path)[1]

    def _new_image(self, files: Sequence[ReadFile], vector: Any) -> NewImage:
        first = files[0]
        assert first.decoded is not None, "only what was decoded is encoded"
        row = replace(first.new_row, files=tuple(sorted({one.entry for one in files})))
        self.report.captions += bool(row.caption)
        for one in files[1:]:
            row = self._with_later_row(row, one)
        return NewImage(row=row, data=first.decoded.data, thumbnail=first.decoded.info.thumbnail, vector=vector)

    def _merged(self, row: ImageRecord, files: Sequence[ReadFile]) -> tuple[FileEntry, ...]:
        """The files of a row, merged with those that were read.

        If one of them is new, the image was found elsewhere, and missing files are dropped.
        """
        entries = {one.entry.path: one.entry for one in files}
        by_path = {file.path: file for file in row.files}
        if not entries.keys() <= by_path.keys():
            self.relocated.add(row.id)
            by_path = {path: file for path, file in by_path.items() if not is_deleted(path)}
        return tuple(sorted({**by_path, **entries}.values()))

    def _described(self, old: ImageRecord, file: ReadFile, entries: Sequence[FileEntry]) -> Iterator[ImageRecord]:
        """The row with its current metadata, if that changes it; counts the result."""
        row = next(follow(old, set(old.files) - set(entries), entries), old)
        if row.id in self.counted:
            self.report.count("duplicates", str(file.path))
            row = self._with_later_row(row, file)
            if row != old:
                yield row
            return
        self.counted.add(row.id)
        now = file.describe(row)
        self.report.captions += bool(now.caption)
        if now != row:
            self.report.count("updated", str(file.path))
        else:
            self._count_known(row, file)
        if now != old or now.described != row.described:
            yield now

    def _with_later_row(self, row: ImageRecord, file: ReadFile) -> ImageRecord:
        """The row with the metadata of a later table row for the same image: the last one counts, as in a manifest."""
        now = file.describe(row) if self.scan.is_row(file.path) else row
        if now == row:
            return row
        self.report.notes.append((clean(str(file.path)), _LAST_COUNTS))
        self.report.captions += bool(now.caption) - bool(row.caption)
        return now

    def _count_known(self, row: ImageRecord, read_file: ReadFile) -> None:
        paths = frozenset(file.path for file in row.files)
        if not paths or read_file.entry.path in paths:
            self.report.count("unchanged")
        else:
            self.elsewhere[row.id] = str(read_file.path), paths

    def count_elsewhere(self) -> None:
        """Count the images that were found elsewhere, after the whole scan."""
        for digest, (example, paths) in self.elsewhere.items():
            if any(self.seen.get(path) == digest for path in paths):
                self.report.count("unchanged")  # the file found first is a copy, because the other one was counted
            elif any(path not in self.seen and os.path.lexists(path) for path in paths):
                self.report.count("duplicates", example)
            else:
                self.report.count("moved", example)

    def _count_new(self, files: Sequence[ReadFile]) -> None:
        first = files[0]
        self.counted.add(first.sha256)
        if any(one.entry.path in self.known.by_path for one in files):
            self.replacing[first.sha256] = str(first.path)
        else:
            self.report.count("added", str(first.path))
        for one in files[1:]:
            self.report.count("duplicates", str(one.path))
