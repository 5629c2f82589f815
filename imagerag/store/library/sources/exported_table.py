"""A Parquet file that `library export` wrote, as a source: its rows come back as they were, with their vectors.

With image bytes in the file, images are copied into the library; without, rows are linked to their files, if these
still have the bytes.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import ImageRAGError, LibraryVersionError
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_vectors import ENCODED, encoded_text
from imagerag.store.library.description_columns import DESCRIPTION_COLUMNS
from imagerag.store.library.library_metadata import library_metadata_of
from imagerag.store.library.locations import MEMBER, member_path, names_server, path_text, split_member
from imagerag.store.library.metadata.image_metadata import read_metadata
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.schema import IMAGE_COLUMN, OCR_COLUMNS, TEXTS, VALUES, FileEntry
from imagerag.store.library.sources.forward_reader import ForwardReader
from imagerag.store.library.sources.image_table import ColumnarFile, ImageTable, open_table, plain_record
from imagerag.store.library.sources.members import Member, Problem
from imagerag.store.library.sources.path_patterns import NamedPaths
from imagerag.store.library.thresholds.content import is_unit
from imagerag.store.text_files import clean

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MARK: Final = b"imagerag.export"
"""In the metadata of an export's schema."""

_READ: Final = (
    "id",
    "vector",
    "tags",
    "metadata",
    "created",
    *TEXTS,
    *VALUES,
    *OCR_COLUMNS,
    *DESCRIPTION_COLUMNS,
    IMAGE_COLUMN,
)
_ELSEWHERE: Final = "that is on another machine: name its folder as a PATH too, if you trust the export"
_ORIGINS: Final = re.compile(r"[0-9a-f ]*")


@dataclass(frozen=True)
class ExportedRow:
    """Data of an image in an export, besides its texts.

    Attributes:
        described: origins of its texts, as in a library's row.
        vector: of the encoder's dimension; nobody has compared it with the image.
    """

    created: datetime | None
    described: str
    vector: "NDArray[np.float32] | None"


@dataclass(frozen=True, slots=True, eq=False)
class LinkedRow(Member):
    """A row of an export without bytes, linked to one of its files.

    Attributes:
        digest: required SHA-256 of the file's bytes.
        file: file entry in the exported library.
    """

    digest: str
    file: FileEntry

    @property
    def path(self) -> Path:
        """The file itself, or the member of an archive."""
        file, member = split_member(self.file.path)
        return member_path(Path(file), member) if member else Path(file)

    @property
    def entry(self) -> FileEntry:
        """The file as it is now. Raises OSError where it cannot be looked at."""
        file, member = split_member(self.file.path)
        status = os.stat(file)
        if member:
            return self.file
        return FileEntry.of(path_text(file), status)

    def may_have_changed(self) -> bool:
        """Whether the file is not as it was noted."""
        try:
            now = self.entry
        except OSError:
            return True
        return (now.size, now.mtime_ns) != (self.file.size, self.file.mtime_ns)


class ExportedTable:
    """An export as a source of images; a member is a row, or one of the files that it names.

    Attributes:
        embedder: the encoder that it says its vectors are of.
        caption_embedder: the encoder that it says its vectors of captions are of; None without such vectors.
        has_regions: whether the library had regions; whoever takes it in encodes them anew, as they are not compared.
    """

    columns: Mapping[str, str] = {}

    def __init__(self, file: ColumnarFile, named_paths: Sequence[Path] = ()) -> None:
        self.path, self.status = file.path, file.path.stat()
        self.problems: list[Problem] = []
        self.linked = IMAGE_COLUMN not in file.schema.names
        self.whole = not self.linked
        self._file = file
        self._named = NamedPaths(named_paths)
        metadata = library_metadata_of(file, file.path.name)
        self.embedder, self.has_regions = metadata.embedder, metadata.regions is not None
        captions = metadata.caption_encoder
        usable = captions is not None and _has_vectors(file.schema, CAPTION_VECTOR, captions.dimension)
        self.caption_embedder = captions.embedder if captions and usable else None
        self._columns = [name for name in _READ if name in file.schema.names and self._is_readable(name)]
        self._reader = ForwardReader(self._read)

    @cached_property
    def members(self) -> list[Member]:
        """One for each row, or for each file that is there."""
        if not self.linked:
            return [Member(self, str(row), "", 0, row) for row in range(self._file.rows)]
        records = self._file.records(columns=["id", "files"])
        try:
            return [member for row, record in records for member in self._of(row, record)]
        except (KeyError, TypeError, AttributeError):
            raise ValueError("it was changed since it was exported: export it again") from None

    def _of(self, row: int, record: Mapping[str, Any]) -> Iterator[LinkedRow]:
        files = [FileEntry(**file) for file in record["files"] or ()]
        near = [file for file in files if self._may_look_at(file)]
        there = [file for file in near if _is_there(file)]
        yield from (LinkedRow(self, file.path, "", file.size, row, record["id"], file) for file in there)
        where = f"{self.path.name}, row {row + 1}"
        if not files:
            self.problems.append((where, "only a copy had its bytes: export it with `with_bytes=True`"))
        elif not near:
            self.problems.append((clean(files[0].path), f"named in {where}, but {_ELSEWHERE}"))
        elif not there:
            self.problems.append((clean(files[0].path), f"named in {where}, but there is no such file"))

    def _may_look_at(self, file: FileEntry) -> bool:
        """Whether a file is on this machine as far as its path says, or the user named a folder above it. Looking at
        one on a server that a stranger chose would sign in there."""
        path = file.path
        return not (isinstance(path, str) and names_server(path)) or self._named.covers(path.partition(MEMBER)[0])

    def read(self, member: Member) -> bytes:
        """The bytes of a row's image, where the export has them. Raises as `Source.read`."""
        if isinstance(member, LinkedRow):
            raise ValueError("its bytes are in the file that it names")
        record = self._reader.get(member.position)
        data = record[IMAGE_COLUMN]
        if not data:
            raise ValueError("the export could not get its bytes")
        if sha256(data).hexdigest() != record["id"]:
            raise ValueError("its bytes are not those of its id")
        return bytes(data)

    def sidecar_metadata(self, member: Member) -> SidecarMetadata:
        """The texts of a row: all of them count, empty ones too."""
        record = plain_record(self._reader.get(member.position), {})
        return SidecarMetadata(read_metadata({**record, "schema": "imagerag.image/1"}))

    def exported(self, member: Member) -> ExportedRow:
        """The other data of a row."""
        import numpy as np

        record = self._reader.get(member.position)
        with np.errstate(over="ignore"):
            vector = np.asarray(record.get("vector") or (), dtype=np.float32)
        origins = str(record.get("described") or "").partition(" ")[2]
        return ExportedRow(
            created=record["created"] if isinstance(record.get("created"), datetime) else None,
            described=f" {origins}" if origins and _ORIGINS.fullmatch(origins) else "",
            vector=vector if vector.shape == (self.embedder.dimension,) else None,
        )

    def caption_vectors(self) -> "Iterator[tuple[str, str, NDArray[np.float32]]]":
        """Id, encoded text and unit vector of each row that has a vector of its text, which nobody has compared.

        Raises:
            ValueError, OSError: the file cannot be read to its end.
        """
        import numpy as np

        texts = [name for name in ENCODED if name in self._file.schema.names]
        if self.caption_embedder is None or not all(self._has_texts(name) for name in ("id", *texts)):
            return
        for _, record in self._file.records(columns=["id", *texts, CAPTION_VECTOR]):
            with np.errstate(over="ignore"):
                vector = np.asarray(record[CAPTION_VECTOR] or (), dtype=np.float32)
            if is_unit(float(np.linalg.norm(vector))) and record["id"] and (text := encoded_text(record)):
                yield record["id"], text, vector

    def _is_readable(self, name: str) -> bool:
        """Whether a column is as an export has it: a stranger's vectors may be anything, of any length."""
        return name != "vector" or _has_vectors(self._file.schema, name, self.embedder.dimension)

    def _has_texts(self, name: str) -> bool:
        import pyarrow.types as types

        kind: Any = self._file.schema.field(name).type if name in self._file.schema.names else None
        return kind is not None and bool(types.is_string(kind) or types.is_large_string(kind))

    def _read(self, start: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
        for number, record in self._file.records(start, self._columns):
            yield number, len(record.get(IMAGE_COLUMN) or b"") + 32 * self.embedder.dimension, record


def _has_vectors(schema: "pa.Schema", name: str, dimension: int) -> bool:
    """Whether a column of a file has vectors of this length."""
    import pyarrow.types as types

    kind: Any = schema.field(name).type
    is_fixed = types.is_fixed_size_list(kind) and types.is_floating(kind.value_type)
    return is_fixed and bool(kind.list_size == dimension)


def _is_there(file: FileEntry) -> bool:
    """Whether there is such a file. Numbers that no file has, as a stranger's export may have them, are none."""
    path = split_member(file.path)[0]
    numbers = all(isinstance(one, int) for one in (file.size, file.mtime_ns, file.inode)) and file.size >= 0
    return numbers and os.path.isabs(path) and os.path.lexists(path)


def is_export(schema: "pa.Schema") -> bool:
    """Whether `library export` wrote a table."""
    return MARK in (schema.metadata or {})


def open_columnar(path: Path, named_paths: Sequence[Path] = ()) -> ExportedTable | ImageTable | None:
    """A Parquet or Arrow file as a source; None where it has no images.

    Args:
        named_paths: what the user named: below it, an export's files may be on another machine.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or an export that is damaged.
    """
    file = ColumnarFile(path)
    if not is_export(file.schema):
        return open_table(path)
    try:
        return ExportedTable(file, named_paths)
    except LibraryVersionError as error:
        raise ValueError(str(error)) from None
    except ImageRAGError:
        raise ValueError("it is an export of a library, but does not say with which encoder: export it again") from None
