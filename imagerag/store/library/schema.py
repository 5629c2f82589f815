"""The rows of a library and their Arrow schema."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imagerag.agent.types import DescriptionDetails, ImageRef, Scalar, caption_or_description, is_low
from imagerag.store.library.description_columns import (
    DESCRIPTION_COLUMNS,
    WORDS,
    read_description,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _now() -> datetime:
    return datetime.now(UTC)


def int64(value: int) -> int:
    """A time or an inode of a file in the 64 bits that a column has: damaged times are beyond them, and some file
    systems number their inodes up to 2⁶⁴."""
    return (value + 2**63) % 2**64 - 2**63


@dataclass(frozen=True, order=True)
class FileEntry:
    """A file that held an image's bytes when it was last read.

    Attributes:
        path: absolute path; `ARCHIVE::MEMBER` for a member of an archive.
        size, mtime_ns, inode: status of the file; while it is unchanged, the file is not read again. For a member: its
            own size, the archive's time, and the member's offset in the archive.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "FileEntry":
        """The entry of a file."""
        return cls(path, status.st_size, int64(status.st_mtime_ns), int64(status.st_ino))


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """The record of one image in a library, without pixels and vector.

    Attributes:
        created: time of the first indexing, UTC; for a changed file, that of the file before the change.
        files: all known files with these bytes, sorted by path. Empty without a file to link to, and in rows of earlier
            versions.
        size_bytes: size of the file in bytes; 0 is unknown.
        taken: time of exposure; None is unknown, as for `latitude` and `longitude` (degrees).
        language: language of the caption, as a BCP 47 tag.
        ocr: the words in the image, line by line, as OCR read them; `ocr_confidence`: how sure it was, in [0, 1]. None:
            it has not been read yet; 0 where no words are in it.
        description: what the model `described_by` says of the image; empty where none was asked.
        description_confidence: how well it fits the image by the library's encoder, in [0, 1]; None: not measured.
        described: identity of the sidecars and the manifest when they were last read, to avoid reading them again.
    """

    image: ImageRef
    title: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    source: str = ""
    author: str = ""
    licence: str = ""
    created: datetime = field(default_factory=_now, compare=False)
    files: tuple[FileEntry, ...] = ()
    size_bytes: int = 0
    taken: datetime | None = None
    camera: str = ""
    lens: str = ""
    place: str = ""
    latitude: float | None = None
    longitude: float | None = None
    language: str = ""
    ocr: str = ""
    ocr_confidence: float | None = None
    description: str = ""
    described_by: str = ""
    description_confidence: float | None = None
    description_details: DescriptionDetails | None = None
    described: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """The SHA-256 of the image's bytes."""
        return self.image.sha256

    @property
    def has_low_confidence(self) -> bool:
        """Whether it has a description that probably does not fit."""
        return bool(self.description) and is_low(self.description_confidence)

    @property
    def caption_or_description(self) -> str:
        """The caption; without one, the description by a model, marked as such."""
        return caption_or_description(self.caption, self.description, self.described_by, self.description_confidence)


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """A row to write, with its vector.

    Attributes:
        data: encoded bytes that the library stores; None for a linked image.
        thumbnail: WebP.
        vector: unit, float32 [dimension].
    """

    row: ImageRecord
    data: bytes | None
    thumbnail: bytes
    vector: "NDArray[np.float32]"


TEXTS = ("title", "caption", "source", "author", "licence", "camera", "lens", "place", "language", "described")
"""Columns of plain text, named as the fields of `ImageRecord`; "" where nothing is known."""

VALUES = ("taken", "latitude", "longitude")
"""Columns of other values, likewise; null where nothing is known."""

OCR_COLUMNS = ("ocr", "ocr_confidence")
"""Columns that only a library has of which an image was read by OCR: every other one is searched faster without."""

TEXT_COLUMNS = (*TEXTS, *VALUES, *OCR_COLUMNS, *DESCRIPTION_COLUMNS, WORDS, "tags", "metadata", "labels")
"""What may change without the vector changing, beside the columns of metadata keys."""

ROW_COLUMNS = ("id", "media_type", "width", "height", *TEXTS, *VALUES, "tags", "metadata", "created", "files",
               "size_bytes")  # fmt: skip
"""What a `ImageRecord` is read from: everything small."""

WRITTEN_LATER = ("regions", "regions_other", "region_boxes")
"""Columns of what is made of an image after its row was written: they stay when the row is written again."""

AT_A_TIME = 4096
"""Rows that are records at a time, beside the objects that are made of them."""

VECTOR, OTHER_VECTOR = "vector", "vector_other"
"""The vectors that searches use; and those of the encoder that a library is migrated to, or was migrated from. Each
column has the `LibraryMetadata` of its encoder."""

IMAGE_COLUMN = "image"
"""Where libraries of earlier versions have the bytes of their images."""


def schema(dimension: int, metadata: Mapping[str, str] | None = None) -> Any:
    """The Arrow schema of a table for vectors of a dimension.

    `id` is declared the (unenforced) primary key from the first commit on: without it, processes that upsert at the
    same time leave duplicates.
    """
    import pyarrow as pa

    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    key = {"lance-schema:unenforced-primary-key:position": "1"}
    file = [("path", text), ("size", pa.int64()), ("mtime_ns", pa.int64()), ("inode", pa.int64())]
    return pa.schema(
        [
            pa.field("id", text, nullable=False, metadata=key),
            pa.field("vector", pa.list_(pa.float32(), dimension), metadata=metadata),
            pa.field("thumbnail", pa.binary()),
            pa.field("media_type", text),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("tags", pa.list_(text)),
            pa.field("metadata", text),
            pa.field("labels", text),
            pa.field("created", time),
            pa.field("files", pa.list_(pa.struct(file))),
            pa.field("size_bytes", pa.int64()),
            pa.field("taken", time),
            pa.field("latitude", pa.float64()),
            pa.field("longitude", pa.float64()),
            *(pa.field(name, text) for name in TEXTS),
        ]
    )


def ocr_fields() -> list[Any]:
    """The fields of `OCR_COLUMNS`."""
    import pyarrow as pa

    return [pa.field("ocr", pa.string()), pa.field("ocr_confidence", pa.float64())]


def row_columns(table: Any) -> list[str]:
    """The columns of a table that rows are read from: a table of an earlier version lacks some until it is written."""
    return present(table, (*ROW_COLUMNS, *OCR_COLUMNS, *DESCRIPTION_COLUMNS))


def present(table: Any, names: Iterable[str]) -> list[str]:
    """The given columns that a table has."""
    have = set(table.schema.names)
    return [name for name in names if name in have]


def from_record(record: Mapping[str, Any]) -> ImageRecord:
    """Make the row from a record with `row_columns`."""
    rest: dict[str, Any] = {name: record.get(name) or "" for name in TEXTS}
    rest |= {name: record.get(name) for name in VALUES}
    rest |= {"ocr": record.get("ocr") or "", "ocr_confidence": record.get("ocr_confidence"), **read_description(record)}
    return ImageRecord(
        image=ImageRef(
            sha256=record["id"], media_type=record["media_type"], width=record["width"], height=record["height"]
        ),
        tags=tuple(record["tags"] or ()),
        metadata=metadata_of(record),
        created=record["created"],
        files=tuple(FileEntry(**file) for file in record.get("files") or ()),
        size_bytes=record.get("size_bytes") or 0,
        **rest,
    )


def from_query(query: Any) -> list[ImageRecord]:
    """The rows of a LanceDB query of `row_columns`, read in parts: the records of a million rows would take 2 GB at
    once."""
    return [from_record(record) for batch in query.to_batches(AT_A_TIME) for record in batch.to_pylist()]


def metadata_of(record: Mapping[str, Any]) -> dict[str, Scalar]:
    """The metadata in a record with that column."""
    metadata = json.loads(record["metadata"] or "{}")
    return metadata if isinstance(metadata, dict) else {}


def metadata_of_each(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Scalar]]:
    """`metadata_of` of each record."""
    return [metadata_of(record) for record in records]


def array_of(column: Any) -> "NDArray[np.float32]":
    """An Arrow column of vectors as one array: float32 [rows, dimension]."""
    import numpy as np

    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values.reshape(-1, column.type.list_size), dtype=np.float32)


def as_text(value: Scalar) -> str:
    """The text of a metadata value for filters: text unchanged, else its JSON form (`true`, `19.99`, `null`)."""
    return value if isinstance(value, str) else json.dumps(value)


def label(*parts: str) -> str:
    """A line of the column `labels`."""
    return json.dumps(parts)


def id_filter(column: str, values: Iterable[str]) -> Any:
    """A LanceDB expression: the value of the column is one of these."""
    from lancedb.expr import col, lit

    return col(column).isin([lit(value) for value in sorted(set(values))])
