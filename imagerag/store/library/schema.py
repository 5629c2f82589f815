"""A library's rows: their form in Arrow, and how a filter becomes an expression over them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter
from imagerag.agent.types import ImageRef, Scalar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """What a library knows of one image, without its pixels and its vector.

    Attributes:
        created: when it was first indexed, UTC.
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

    @property
    def id(self) -> str:
        """The SHA-256 of the image's bytes."""
        return self.image.sha256


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """A row to be written with its pixels.

    Attributes:
        data: the encoded bytes, as they were found.
        thumbnail: WebP.
        vector: unit, float32 [dimension].
    """

    row: ImageRecord
    data: bytes
    thumbnail: bytes
    vector: "NDArray[np.float32]"


TEXT_COLUMNS = ("title", "caption", "tags", "metadata", "labels", "source", "author", "licence")
"""What may change without the vector changing."""

ROW_COLUMNS = ("id", "media_type", "width", "height", "title", "caption", "tags", "metadata", "source", "author",
               "licence", "created")  # fmt: skip
"""What a `ImageRecord` is read from: everything small."""


def schema(dimension: int, metadata: Mapping[str, str] | None = None) -> Any:
    """The table's Arrow schema for vectors of that dimension.

    `id` is declared the (unenforced) primary key from the first commit on: without it, processes that upsert at the
    same time leave duplicates.
    """
    import pyarrow as pa

    text = pa.string()
    key = {"lance-schema:unenforced-primary-key:position": "1"}
    return pa.schema(
        [
            pa.field("id", text, nullable=False, metadata=key),
            pa.field("vector", pa.list_(pa.float32(), dimension), metadata=metadata),
            pa.field("image", pa.large_binary()),
            pa.field("thumbnail", pa.binary()),
            pa.field("media_type", text),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("title", text),
            pa.field("caption", text),
            pa.field("tags", pa.list_(text)),
            pa.field("metadata", text),
            pa.field("labels", text),
            pa.field("source", text),
            pa.field("author", text),
            pa.field("licence", text),
            pa.field("created", pa.timestamp("us", tz="UTC")),
        ]
    )


def to_table(images: Sequence[NewImage], dimension: int) -> Any:
    """Arrow table of whole rows. Ids must differ."""
    import pyarrow as pa

    records = [
        {
            "id": image.row.id,
            "vector": image.vector,
            "image": image.data,
            "thumbnail": image.thumbnail,
            "media_type": image.row.image.media_type,
            "width": image.row.image.width,
            "height": image.row.image.height,
            "created": image.row.created,
            **_texts(image.row),
        }
        for image in images
    ]
    return pa.Table.from_pylist(records, schema=schema(dimension))


def to_text_table(rows: Sequence[ImageRecord]) -> Any:
    """Arrow table of ids and what may change without the vector changing. Ids must differ."""
    import pyarrow as pa

    whole = schema(1)
    part = pa.schema([whole.field(name) for name in ("id", *TEXT_COLUMNS)])
    return pa.Table.from_pylist([{"id": row.id, **_texts(row)} for row in rows], schema=part)


CONTENT_COLUMNS = ("id", "title", "caption")
"""What thresholds are measured on, beside the encoder."""


def content_hash(found: Iterable[tuple[str, str, str]]) -> str:
    """SHA-256 of what a library holds: the id, title and caption of each image, in any order."""
    return _hash(json.dumps(one) for one in sorted(found))


def images_hash(ids: Iterable[str]) -> str:
    """SHA-256 of which images a library holds, in any order."""
    return _hash(sorted(ids))


def _hash(lines: Iterable[str]) -> str:
    hashed = sha256()
    for line in lines:
        hashed.update(line.encode(errors="surrogatepass") + b"\n")
    return hashed.hexdigest()


def from_record(record: Mapping[str, Any]) -> ImageRecord:
    """The row in a record that holds `ROW_COLUMNS`."""
    return ImageRecord(
        image=ImageRef(
            sha256=record["id"], media_type=record["media_type"], width=record["width"], height=record["height"]
        ),
        title=record["title"] or "",
        caption=record["caption"] or "",
        tags=tuple(record["tags"] or ()),
        metadata=json.loads(record["metadata"] or "{}"),
        source=record["source"] or "",
        author=record["author"] or "",
        licence=record["licence"] or "",
        created=record["created"],
    )


def _texts(row: ImageRecord) -> dict[str, Any]:
    return {
        "title": row.title,
        "caption": row.caption,
        "tags": list(row.tags),
        "metadata": json.dumps(dict(row.metadata), ensure_ascii=False, sort_keys=True),
        "labels": _labels(row),
        "source": row.source,
        "author": row.author,
        "licence": row.licence,
    }


def as_text(value: Scalar) -> str:
    """A metadata value as filters compare it: text as it is, else as JSON writes it (`true`, `19.99`, `null`)."""
    return value if isinstance(value, str) else json.dumps(value)


def _labels(row: ImageRecord) -> str:
    """Tags and metadata as one line each, so that a filter is a plain substring search.

    JSON escapes line ends and everything beyond ASCII: no value can pretend to be another label.
    """
    lines = [_label("tag", tag) for tag in row.tags]
    lines += [_label("is", key, as_text(value)) for key, value in row.metadata.items()]
    return "\n".join(["", *lines, ""])


def _label(*parts: str) -> str:
    return json.dumps(parts)


def filter_sql(filter: Filter) -> Any | None:
    """A LanceDB expression for `filter`; None when it lets everything through.

    Built from expression nodes, never from query text, so a value with quotes or SQL in it is only a value.
    """
    from lancedb.expr import col, lit

    wanted = [_label("is", key, value) for key, value in filter.metadata.items()]
    wanted += [_label("tag", tag) for tag in filter.tags]
    terms = [col("labels").contains(lit(f"\n{label}\n")) for label in wanted]
    if filter.licences:
        terms.append(id_filter("licence", filter.licences))
    if filter.exclude:
        terms.append(~id_filter("id", filter.exclude))
    if filter.only:
        terms.append(id_filter("id", filter.only))
    whole = None
    for term in terms:
        whole = term if whole is None else whole & term
    return whole


def id_filter(column: str, values: Iterable[str]) -> Any:
    """A LanceDB expression: the column holds one of the values."""
    from lancedb.expr import col, lit

    return col(column).isin([lit(value) for value in sorted(values)])
