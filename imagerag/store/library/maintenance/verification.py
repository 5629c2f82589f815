"""Verification of a library: compare every row with its bytes, its files and its vectors."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from sys import intern
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ConfigDict

from imagerag.agent.types import FrozenModel
from imagerag.store.library.database import LANCE_ERRORS
from imagerag.store.library.image_copies import stray_files
from imagerag.store.library.image_files import ImageFiles
from imagerag.store.library.index_files import CHANGED, changed_index_files
from imagerag.store.library.library_metadata import WITHOUT_OPTIONAL_COLUMNS, library_metadata_of
from imagerag.store.library.linked_files import linked_bytes
from imagerag.store.library.maintenance.index_verification import query_indexes
from imagerag.store.library.maintenance.row_verification import readable, row_problem
from imagerag.store.library.maintenance.vector_verification import ENCODED_COLUMNS, VectorKind, vector_problems
from imagerag.store.library.metadata_columns import columns_of
from imagerag.store.library.schema import IMAGE_COLUMN, FileEntry, present
from imagerag.store.storage_errors import storage_errors

if TYPE_CHECKING:
    from imagerag.store.library.table import LibraryTable

Kind = Literal["row", "duplicate-row", "file", "copy", "image", VectorKind, "thumbnail", "stray", "index"]

ROWS: Final = 64
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryProblem:  # no model, which takes five times the memory: there may be millions
    """Something about a library that is not as it should be.

    Attributes:
        kind: "row" is a row of which something cannot be read, or for which filters are answered with what it does not
            say, "duplicate-row" an image with several rows, "file" is a path of an image that no longer leads to it,
            "copy" a damaged copy inside the library, "image" an image whose bytes are nowhere any more, "stray" a copy
            that belongs to no image, "index" are the indexes; "regions" are boxes and vectors of an image's regions,
            "other-vector" is of the encoder that searches do not use, from a migration.
        id: the SHA-256 of the image; empty where it is about none.
        path: the file that it is about.
        problem: what is wrong.
        repaired: what was done about it; empty where nothing was.
        advice: what to do about it where it cannot be repaired.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Kind
    id: str = ""
    path: str = ""
    problem: str
    repaired: str = ""
    advice: str = ""


class Verification(FrozenModel):
    """Result of `verify`: the images read and the problems found.

    Attributes:
        images: rows that were compared.
        files, copies: files that images are linked to, and copies inside the library, that were hashed.
        dimension: of the vector of every image.
    """

    images: int
    files: int
    copies: int
    dimension: int
    problems: tuple[LibraryProblem, ...]

    @property
    def left(self) -> tuple[LibraryProblem, ...]:
        """The problems that were not repaired."""
        return tuple(one for one in self.problems if not one.repaired)


def verify_table(table: "LibraryTable", *, files: bool = True) -> Verification:
    """Read every row, every copy and every file of a library; nothing is changed. Blocks.

    Args:
        files: also read linked image files.
    """
    counts: Counter[str] = Counter()
    problems = [*problems_of(table, files=files, counts=counts), *_of_indexes(table)]
    return Verification(
        images=counts["images"],
        files=counts["files"],
        copies=counts["copies"],
        dimension=library_metadata_of(table.lance, table.name).dimension,
        problems=tuple(problems),
    )


def problems_of(
    table: "LibraryTable", *, files: bool = True, counts: "Counter[str] | None" = None
) -> Iterator[LibraryProblem]:
    """Iterate over the problems of a library's rows and copies."""
    counts = Counter() if counts is None else counts
    yield from _duplicate_rows(table.lance)
    columns = columns_of(table.lance.schema)
    is_current = library_metadata_of(table.lance, table.name).version >= WITHOUT_OPTIONAL_COLUMNS
    for batch in table.lance.search().to_batches(ROWS):  # all columns, to find unreadable ones too
        encoded = list(vector_problems(batch))
        for at, record in enumerate(batch.drop_columns(present(table.lance, ENCODED_COLUMNS)).to_pylist()):
            counts["images"] += 1
            if problem := row_problem(record, columns if is_current else None):
                yield LibraryProblem(kind="row", id=record["id"], problem=intern(problem))
                record = readable(record, columns)[0]
            yield from _of_row(table.images, record, files, counts)
            for kind, problem, bad in encoded:
                if bad[at]:
                    yield LibraryProblem(kind=kind, id=record["id"], problem=problem)
    for path in stray_files(table):
        yield LibraryProblem(kind="stray", path=str(path), problem="it belongs to no image of the library")


def _duplicate_rows(lance: Any) -> Iterator[LibraryProblem]:
    import pyarrow.compute as pc

    counted = pc.value_counts(lance.search().select(["id"]).to_arrow()["id"])
    for one in counted.filter(pc.greater(counted.field("counts"), 1)).to_pylist():
        problem = intern(f"the library has {one['counts']} rows of it")
        yield LibraryProblem(kind="duplicate-row", id=one["values"], problem=problem)


def _of_indexes(table: "LibraryTable") -> Iterator[LibraryProblem]:
    try:
        query_indexes(table.lance)
    except LANCE_ERRORS:
        yield LibraryProblem(kind="index", path=str(table.folder), problem="an index of it cannot be read")
    else:
        for path in changed_index_files(table.folder):
            yield LibraryProblem(kind="index", path=str(path), problem=CHANGED)


def _of_row(
    images: ImageFiles, record: dict[str, Any], files: bool, counts: "Counter[str]"
) -> Iterator[LibraryProblem]:
    digest: str = record["id"]
    copy, file_problems = _copy_problem(images, record, counts), []
    for entry in [FileEntry(**file) for file in record.get("files") or ()] if files else []:
        counts["files"] += 1
        result = linked_bytes(digest, entry)
        file_problems.append((entry, result if isinstance(result, str) else ""))
    whole = copy == "" or any(not problem for _, problem in file_problems)
    if copy:
        yield LibraryProblem(kind="copy", id=digest, path=str(images.path(digest)), problem=copy)
    for entry, problem in file_problems:
        if problem and copy != "":  # an intact copy is used even if the file is missing
            same = intern(f"it {problem}")  # one text for a million images
            yield LibraryProblem(kind="file", id=digest, path=entry.path, problem=same)
    if (files or not record.get("files")) and not whole and not copy:
        yield LibraryProblem(kind="image", id=digest, problem="its bytes are in no file and in no copy of this library")
    if not _is_webp(record["thumbnail"]):
        yield LibraryProblem(kind="thumbnail", id=digest, problem="its thumbnail is missing or damaged")


def _copy_problem(images: ImageFiles, record: dict[str, Any], counts: "Counter[str]") -> str | None:
    """The problem of an image's copy; None where there is no copy."""
    digest: str = record["id"]
    path = images.path(digest)
    with storage_errors(path, "cannot read"):
        data = images.read(digest)
    data = record.get(IMAGE_COLUMN) if data is None else data
    if data is None:
        return None
    counts["copies"] += 1
    same = sha256(data).hexdigest() == digest
    return "" if same else "its bytes have another SHA-256"


def _is_webp(data: bytes | None) -> bool:
    return data is not None and data[:4] == b"RIFF" and data[8:12] == b"WEBP"
