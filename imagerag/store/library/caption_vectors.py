"""Vectors of captions: the column that only libraries with a caption encoder have, and its writers.

A vector is always written together with the caption it was made from, or on condition that the row still has that
caption. A caption that changes loses its vector in the same commit, so a vector of an earlier caption is never found.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import EmbedderIdentity
from imagerag.store.library.caption_metadata import (
    CAPTION_VECTOR,
    CaptionEncoder,
    CaptionMetadata,
    caption_field,
    caption_metadata_of,
)
from imagerag.store.library.description_columns import WORDS
from imagerag.store.library.schema import id_filter, present
from imagerag.store.library.table_columns import index_ids

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.store.library.table import LibraryTable

ENCODED: Final = ("caption", "description", WORDS)
"""Columns that the encoded text follows from: the caption, or a description by a model, which counts as long as it has
words for searches, that is, unless its confidence is low. Not every library has descriptions."""

_IS_SAME: Final = "(target.{name} = source.{name} OR (target.{name} IS NULL AND source.{name} IS NULL))"

UNKNOWN: Final = 100_000
"""Captions without a vector that are read at a time."""


def use_caption_encoder(table: "LibraryTable", identity: EmbedderIdentity | None) -> None:
    """Let a library have caption vectors of an encoder, or none; those of another encoder are deleted. Blocks."""
    lance = table.lance
    if caption_metadata_of(lance) is None if identity is None else is_encoder(lance, identity):
        return
    with table.writing_alone():
        now = caption_metadata_of(lance)
        if now is not None and (identity is None or now.encoder.embedder != identity):
            for index in lance.list_indices():
                if CAPTION_VECTOR in index.columns:
                    lance.drop_index(index.name)
            lance.drop_columns([CAPTION_VECTOR])
            now = None
        if now is None and identity is not None:
            lance.add_columns(caption_field(CaptionMetadata(encoder=CaptionEncoder.of(identity))))


def is_encoder(lance: Any, identity: EmbedderIdentity) -> bool:
    """Whether the caption vectors of a LanceDB table are of an encoder."""
    metadata = caption_metadata_of(lance)
    return metadata is not None and metadata.encoder.embedder == identity


def count_caption_vectors(lance: Any) -> int:
    """The number of images whose caption has a vector."""
    return int(lance.count_rows(f"{CAPTION_VECTOR} IS NOT NULL")) if present(lance, (CAPTION_VECTOR,)) else 0


def captions_without_vector(lance: Any, without: Collection[str] = ()) -> dict[str, str]:
    """Id → text of at most `UNKNOWN` images that have a text and no vector of it.

    Args:
        without: ids that are left out.
    """
    columns = present(lance, ENCODED)
    has_text = " OR ".join(f"{name} != ''" for name in columns if name != "description")
    query = lance.search().where(f"{CAPTION_VECTOR} IS NULL AND ({has_text})").select(["id", *columns])
    records = query.limit(UNKNOWN + len(without)).to_arrow().to_pylist()
    return {record["id"]: text for record in records if record["id"] not in without and (text := encoded_text(record))}


def encoded_text(record: Mapping[str, Any]) -> str:
    """The text of an image that is encoded: its caption; without one, its description, unless that may be wrong."""
    caption = (record.get("caption") or "").strip()
    return caption or ((record.get("description") or "").strip() if record.get(WORDS) else "")


def write_caption_vectors(
    lance: Any, identity: EmbedderIdentity, texts: Mapping[str, str], vectors: "NDArray[np.float32]"
) -> int:
    """Write the vectors of texts into the rows that still have these texts; returns their number.

    Args:
        identity: the encoder of the vectors.
        texts: id → text of each vector, in their order.
        vectors: unit, float32 [texts, dimension].

    Raises:
        LibraryError: the library has another caption encoder by now, or none.
    """
    import pyarrow as pa

    if not is_encoder(lance, identity):
        raise LibraryError(f"the caption encoder was changed meanwhile, from {identity.spec}: run it again")
    columns = present(lance, ENCODED)
    current = lance.search().select(["id", *columns]).where(id_filter("id", texts)).to_arrow()
    now = {record["id"]: record for record in current.to_pylist()}
    records = [
        {**now[one], CAPTION_VECTOR: vector}
        for (one, text), vector in zip(texts.items(), vectors, strict=True)
        if one in now and encoded_text(now[one]) == text
    ]
    if not records:
        return 0
    fields = [lance.schema.field(name) for name in ("id", *columns, CAPTION_VECTOR)]
    rows = pa.Table.from_pylist(records, schema=pa.schema(fields))
    index_ids(lance)
    unchanged = " AND ".join(_IS_SAME.format(name=name) for name in columns)
    return int(lance.merge_insert("id").when_matched_update_all(where=unchanged).execute(rows).num_updated_rows)


def with_caption_vectors(lance: Any, rows: Any) -> Any:
    """An Arrow table of rows to write, with the vectors of their captions: those that the LanceDB table has of the same
    texts, else null."""
    columns = [name for name in present(lance, ENCODED) if name in rows.column_names]
    if not columns or not present(lance, (CAPTION_VECTOR,)):
        return rows
    ids, texts = rows["id"].to_pylist(), present(lance, ENCODED)
    stored = lance.search().select(["id", *texts, CAPTION_VECTOR]).where(id_filter("id", ids)).to_arrow()
    return _with_vectors_of(stored, rows, columns, lance.schema.field(CAPTION_VECTOR))


def copy_caption_encoder(source: Any, target: "LibraryTable") -> None:
    """Let a library have caption vectors as another one's LanceDB table, unless it has some. Blocks."""
    metadata = caption_metadata_of(source)
    if metadata is not None and caption_metadata_of(target.lance) is None:
        use_caption_encoder(target, metadata.encoder.embedder)


def copied_caption_vectors(target: Any, source: Any, rows: Any, common_columns: Any) -> Any:
    """The rows of one LanceDB table that are copied to another, with the vectors of their captions, if both have the
    same caption encoder.

    Args:
        rows: all columns of the source.
        common_columns: those that are copied.
    """
    own = caption_metadata_of(target)
    if own is None or CAPTION_VECTOR not in rows.column_names or not is_encoder(source, own.encoder.embedder):
        return with_caption_vectors(target, common_columns)
    return common_columns.append_column(target.schema.field(CAPTION_VECTOR), rows[CAPTION_VECTOR])


def _with_vectors_of(stored: Any, rows: Any, columns: list[str], field: Any) -> Any:
    """Rows with the stored vectors of those whose encoded text stays the same.

    Args:
        columns: those of `ENCODED` that are written; the others stay as they are.
    """
    import pyarrow as pa

    before = stored.drop_columns([CAPTION_VECTOR]).to_pylist()
    place_by_id = {record["id"]: at for at, record in enumerate(before)}
    places = [
        at
        if (at := place_by_id.get(record["id"])) is not None
        and encoded_text({**before[at], **record}) == encoded_text(before[at])
        else None
        for record in rows.select(["id", *columns]).to_pylist()
    ]
    vectors = stored[CAPTION_VECTOR].combine_chunks().take(pa.array(places, pa.int64()))
    other_columns = [name for name in rows.column_names if name != CAPTION_VECTOR]
    return rows.select(other_columns).append_column(field, vectors)
