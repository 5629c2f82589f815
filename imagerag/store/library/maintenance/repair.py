"""Repair of a library: drop dead paths and repeated rows, encode changed files and bad vectors again, make thumbnails
and copies again.

Bad vectors of captions and of regions are deleted: what has none is encoded by the next `index`.

Nothing irreplaceable is deleted: a damaged copy is set aside, an image without bytes keeps its row, with advice on what
to type, and so does an image with a file that is only out of reach, as on a disk that is not mounted.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from imagerag.agent.errors import ImageTooLargeError, UsageError
from imagerag.agent.images.decoding import check_file_size
from imagerag.agent.ports import embed_images
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.store.data_dir import DataDir
from imagerag.store.images.image_info import image_info
from imagerag.store.library.image_copies import stray_files
from imagerag.store.library.library import Library
from imagerag.store.library.linked_files import CHANGED, GONE, linked_bytes
from imagerag.store.library.locations import shown_path, split_member
from imagerag.store.library.maintenance.duplicate_rows import remove_duplicate_rows
from imagerag.store.library.maintenance.index_verification import rebuild_indexes
from imagerag.store.library.maintenance.kept_images import KeptImages
from imagerag.store.library.maintenance.row_verification import is_hash, readable_rows
from imagerag.store.library.maintenance.vector_verification import CLEARED
from imagerag.store.library.maintenance.verification import LibraryProblem
from imagerag.store.library.metadata.embedded.reader import read_embedded
from imagerag.store.library.metadata.text_origins import sidecars_in, with_origins, with_texts_of
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage
from imagerag.store.set_aside import set_aside

AT_ONCE: Final = 1_000
"""Images whose rows are read at once."""


async def repair_library(home: DataDir, library: Library, problems: Sequence[LibraryProblem]) -> list[LibraryProblem]:
    """Repair the problems that `verify_table` found; returns each with what was done, or what to do.

    Args:
        problems: those of an image follow one another; there may be millions.

    Raises:
        BackendError: the encoder failed; earlier repairs stay.
        StorageError: the disk is full, or cannot be written; likewise.
    """
    repairs, strays = list[LibraryProblem](), [one for one in problems if one.kind == "stray"]
    if unindexed := [one for one in problems if one.kind == "index"]:
        await library.table.write(lambda: rebuild_indexes(library.table.lance))
        repairs += [_repaired(one, "all indexes were built anew") for one in unindexed]
    repairs += await remove_duplicate_rows(library, [one for one in problems if one.kind == "duplicate-row"])
    of_images = [one for one in problems if one.id and one.kind != "duplicate-row"]
    repairs += [replace(one, advice=_delete_advice(one.id)) for one in of_images if not is_hash(one.id)]
    images = groupby((one for one in of_images if is_hash(one.id)), lambda one: one.id)
    while part := {digest: list(group) for digest, group in islice(images, AT_ONCE)}:
        repairs += await _cleared(library, [one for group in part.values() for one in group if one.kind in CLEARED])
        repairs += await _mended(home, library, part)
    if strays or any(one.repaired for one in repairs):
        await library.optimize()
    stray_paths = {str(path) for path in await library.table.read(lambda: stray_files(library.table))}
    return repairs + [
        replace(one, advice=f"somebody writes: later, {python_call('libraries.optimize', library.name)}")
        if one.path in stray_paths
        else _repaired(one, "deleted")
        for one in strays
    ]


async def _cleared(library: Library, problems: Sequence[LibraryProblem]) -> list[LibraryProblem]:
    """Delete what is encoded apart from the images and cannot be used; returns the problems with what was done."""
    by_kind: dict[str, list[LibraryProblem]] = defaultdict(list)
    for one in problems:
        by_kind[one.kind].append(one)
    for kind, group in by_kind.items():
        await library.table.clear([one.id for one in group], CLEARED[kind])
    again = python_call("libraries.index", PATH, library=library.name)
    deleted, text = (
        f"deleted: {again} encodes it again",
        {"other-vector": "deleted: the next migration encodes it again"},
    )
    return [_repaired(one, text.get(one.kind, deleted)) for one in problems]


async def _mended(
    home: DataDir, library: Library, problems: Mapping[str, Sequence[LibraryProblem]]
) -> list[LibraryProblem]:
    """Mend some images, by id; returns the problems with what was done. Problems that `_cleared` takes are left out."""
    groups = {digest: [one for one in whole if one.kind not in CLEARED] for digest, whole in problems.items()}
    ids, repairs = [digest for digest, group in groups.items() if group], list[LibraryProblem]()
    if not ids:
        return repairs
    spoilt = [digest for digest in ids if any(one.kind == "row" for one in groups[digest])]
    whole = [digest for digest in ids if digest not in set(spoilt)]
    rows = {row.id: row for row in await library.rows(whole)} | await readable_rows(library.table, spoilt)
    kept = await in_thread(KeptImages, home, ids, library.name)
    for digest in ids:
        if digest in rows:
            repairs += await _Mending(home, library, rows[digest], kept).mend(groups[digest])
        else:  # removed meanwhile
            repairs += [_repaired(one, "the image was taken out") for one in groups[digest]]
    return repairs


class _Mending:
    """Repairs the problems of one image."""

    def __init__(self, home: DataDir, library: Library, row: ImageRecord, kept: KeptImages) -> None:
        self.home, self.library, self.row, self.kept = home, library, row, kept
        self.images = library.table.images
        self.dead: set[FileEntry] = set()
        self.changed: list[FileEntry] = []
        self.away: list[FileEntry] = []

    async def mend(self, group: Sequence[LibraryProblem]) -> list[LibraryProblem]:
        """Repair the problems; returns each with what was done."""
        kinds = {one.kind for one in group}
        data = await in_thread(self._bytes)
        new = ""
        if data is None and "copy" not in kinds:
            new = await self._changed_anew()
        if data is None and not new:
            data = await in_thread(self.kept.read, self.row.id)
        if data is None and "copy" in kinds:  # a damaged copy is mended before a changed file takes its place
            new = await self._changed_anew()
        if new:
            return [_repaired(one, new) for one in group]
        if data is None:
            return self._without_bytes(group)
        repairs: dict[str, str] = {}
        if kinds & {"row", "vector", "thumbnail"}:  # before any other work reads the row
            await self._encode(data)
            repairs |= {"row": "written anew", "vector": "encoded anew", "thumbnail": "made anew"}
        if kinds & {"copy", "image"}:
            repairs["copy"] = await in_thread(self._copied, data)
            repairs["image"] = f"another library or a run had them: {repairs['copy']}"
        if "file" in kinds:
            if self.dead:
                await self._drop_dead_files()
            repairs["file"] = "the path was dropped; the image has another file or a copy"
        away = {entry.path for entry in self.away}
        return [
            replace(one, advice=self._away_advice())
            if one.kind == "file" and one.path in away
            else _repaired(one, repairs[one.kind])
            for one in group
        ]

    def _bytes(self) -> bytes | None:
        """The bytes of the image, from its copy or its files."""
        data = self._copy()
        for entry in self.row.files:
            content = linked_bytes(self.row.id, entry)
            if isinstance(content, bytes):
                data = data or content
            elif content in (CHANGED, GONE):
                self.dead.add(entry)
                self.changed += [entry] if content == CHANGED else []
            else:
                self.away.append(entry)
        return data

    async def _drop_dead_files(self) -> None:
        async with self.library.files_lock():
            now = await self.library.get(self.row.id) or self.row
            self.row = replace(now, files=tuple(one for one in now.files if one not in self.dead))
            await self.library.update_files({self.row.id: self.row.files})

    def _copy(self) -> bytes | None:
        data = self.images.read(self.row.id)
        return data if data is not None and sha256(data).hexdigest() == self.row.id else None

    def _copied(self, data: bytes) -> str:
        aside = self._set_aside()
        self.images.write(self.row.id, data)
        return "a whole copy is in the library" + (f"; the damaged one is in {aside}" if aside else "")

    def _set_aside(self) -> Path | None:
        path = self.images.path(self.row.id)
        return set_aside(self.home, path) if path.exists() and self._copy() is None else None

    async def _encode(self, data: bytes) -> None:
        (vector,) = await embed_images(self.library.embedder, [data])
        info = await in_thread(image_info, data)
        self.row = replace(self.row, image=info.image)
        await self.library.upsert([NewImage(row=self.row, data=None, thumbnail=info.thumbnail, vector=vector)])

    def _without_bytes(self, group: Sequence[LibraryProblem]) -> list[LibraryProblem]:
        """The advice for an image without bytes."""
        remove = python_call("libraries.remove", self.row.id[:12], library=self.library.name)
        advice = self._away_advice() if self.away else f"index the folder where it is now, or: {remove}"
        if not self.away and self.changed:  # a member of an archive, or no image any more
            changed = split_member(self.changed[0].path)[0]
            again = python_call("libraries.index", changed, library=self.library.name, checksum=True)
            advice = f"{again}, or: {remove}"
        return [replace(one, advice=advice) for one in group]

    def _away_advice(self) -> str:
        """The advice for an image with a file that may have its bytes as soon as it can be read again."""
        path = split_member(self.away[0].path)[0]
        prune = python_call("libraries.index", os.path.dirname(path), library=self.library.name, prune=True)
        return f"kept: {path} may come back, as where a disk is not mounted; if it is gone for good: {prune}"

    async def _changed_anew(self) -> str:
        """Replace the image by a changed file; "" if no changed file is an image, or another file may have its bytes
        as soon as it can be read again."""
        for entry in () if self.away else self.changed:
            if (new := await self._indexed_anew(entry)) is not None:
                return f"{entry.path} was encoded anew, as {new[:12]}"
        return ""

    async def _indexed_anew(self, entry: FileEntry) -> str | None:
        """Replace the image by the current content of a changed file, keeping its texts; None when that is no image."""
        reading = await in_thread(_read_now, entry)
        if reading is None:
            return None
        data, now = reading
        with suppress(UsageError):
            info = await in_thread(image_info, data)
            (vector,) = await embed_images(self.library.embedder, [data])
            async with self.library.files_lock():
                there = await self.library.get(info.image.sha256)
                if there is not None:
                    await self.library.update_files({there.id: sorted({*there.files, now})})
            if there is None:
                row = _changed_row(self.row, info.image, now, data)
                await self.library.upsert([NewImage(row=row, data=None, thumbnail=info.thumbnail, vector=vector)])
            await self.library.delete([self.row.id])
            return info.image.sha256
        return None


def _delete_advice(digest: str) -> str:
    where = "id = '" + digest.replace("'", "''") + "'"
    return f"delete the row with LanceDB, table.delete({where!r}), and index its file again"


def _read_now(entry: FileEntry) -> tuple[bytes, FileEntry] | None:
    """The current bytes of a file; None where they cannot be an image."""
    path, member = split_member(entry.path)
    try:
        status = Path(path).stat()
        if member or not stat.S_ISREG(status.st_mode):
            return None
        check_file_size(Path(path), status.st_size)
        return Path(path).read_bytes(), FileEntry.of(entry.path, status)
    except (OSError, ImageTooLargeError):
        return None


def _changed_row(old: ImageRecord, image: ImageRef, file: FileEntry, data: bytes) -> ImageRecord:
    """The row for the current content of a changed file, with the texts of its former image."""
    embedded, described = read_embedded(data), sidecars_in(old.described)
    row = ImageRecord(
        image=image, source=shown_path(file.path), created=old.created, files=(file,), size_bytes=file.size
    )
    row = replace(embedded.filling(row), described=described)
    return with_texts_of(with_origins(row, embedded), old)


def _repaired(problem: LibraryProblem, repaired: str) -> LibraryProblem:
    return replace(problem, repaired=repaired)
