"""Measures the weights of a library's lists: asks each list for what held-out queries are about.

The lists are searched as in a hybrid search, in a sample of the library. The words are searched in a copy of its texts
in memory, which lacks the sentences that are asked for; captions without these are encoded again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import Embedder, Filter, embed_passages
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ListName
from imagerag.store.library.caption_embedding import available_caption_embedder
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_threshold_update import CAPTIONED
from imagerag.store.library.fusion import DEPTH, RankedList
from imagerag.store.library.fusion_metadata import FusedThreshold, Fusion
from imagerag.store.library.lancedb_import import import_lancedb
from imagerag.store.library.schema import VECTOR, array_of, present
from imagerag.store.library.threshold_update import content_at
from imagerag.store.library.thresholds.fused_calibration import calibrate_fused, embedded_by_each
from imagerag.store.library.thresholds.fusion_weights import ENOUGH, Judged, choose_weights, equal_fusion
from imagerag.store.library.thresholds.held_out_queries import HeldOut
from imagerag.store.library.word_search import WORD_COLUMNS, best_matches, needed_word_indexes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.store.library.library import Library

    Vectors = NDArray[np.float32]

SAMPLED: Final = 5_000
"""Images that the lists are searched in."""


async def measure_fusion(library: "Library", embedder: Embedder, vector: str = VECTOR) -> Fusion:
    """The weights of the lists of a library and the threshold of what they find, and the evidence for them.

    Args:
        embedder: the encoder of its vectors.
        vector: the column of these.
    """
    table = library.table
    await library.read_metadata()
    captions = available_caption_embedder(library)
    sample = await table.read(lambda: sample_of(table.lance, vector))
    names: list[ListName] = ["image", "caption", "words"] if captions else ["image", "words"]
    held_out, images = await in_thread(HeldOut.of, sample), await library.count()
    if len(held_out.queries) < ENOUGH:
        fusion = equal_fusion(names, images, len(held_out.queries))
    else:
        fusion = choose_weights(await judge(sample, held_out, embedder, captions), names, images)
    return fusion.model_copy(update={"threshold": await _threshold(library, embedder, captions, vector)})


async def _threshold(
    library: "Library", embedder: Embedder, captions: Embedder | None, vector: str
) -> FusedThreshold | None:
    if captions is None:
        return None
    images = await content_at(library.table, vector, CAPTIONED)
    return await calibrate_fused(images, await content_at(library.table, CAPTION_VECTOR, CAPTIONED), embedder, captions)


async def judge(
    sample: Any, held_out: HeldOut, embedder: Embedder, caption_embedder: Embedder | None = None
) -> list[Judged]:
    """What the lists of a library find for held-out queries.

    Args:
        sample: Arrow table with `id`, `vector`, some of `WORD_COLUMNS`, and `caption_vector` where captions count.
        held_out: queries about its rows.
        embedder: the encoder of `vector`.
        caption_embedder: of `caption_vector`.
    """
    texts, ids = [query.text for query in held_out.queries], sample["id"].to_pylist()
    encoded = await embedded_by_each(texts, embedder, caption_embedder or embedder)
    lists = [await in_thread(_nearest, "image", array_of(sample[VECTOR]), encoded[0], ids)]
    if caption_embedder is not None:
        vectors = await _caption_vectors(sample, held_out, caption_embedder)
        lists.append(await in_thread(_nearest, "caption", vectors, encoded[1], ids))
    lists.append(await in_thread(_worded, sample, held_out, texts))
    return [
        Judged(query_lists, [ids[row] for row in query.rows])
        for query, query_lists in zip(held_out.queries, zip(*lists, strict=True), strict=True)
    ]


def sample_of(table: Any, vector: str = VECTOR) -> Any:
    """Up to about `SAMPLED` rows of a LanceDB table, sorted by id; their vectors are `vector`.

    Ids are hashes, so the first ones are a fair sample.
    """
    columns = ["id", vector, *present(table, (*WORD_COLUMNS, CAPTION_VECTOR))]
    query, count = table.search().select(columns), table.count_rows()
    if count > SAMPLED:
        query = query.where(f"id < '{SAMPLED * 16**8 // count:08x}'")
    rows = query.to_arrow().sort_by("id")
    return rows.rename_columns([VECTOR if name == vector else name for name in rows.column_names])


async def _caption_vectors(sample: Any, held_out: HeldOut, embedder: Embedder) -> "Vectors":
    """The vectors of the captions without the sentences that are asked for; zeros where nothing is left."""
    import numpy as np

    stored = sample[CAPTION_VECTOR].to_pylist()
    width = sample.schema.field(CAPTION_VECTOR).type.list_size
    vectors = np.asarray([one or [0.0] * width for one in stored], dtype=np.float32)
    changed = {row: text for row, text in held_out.changed.items() if text and stored[row]}
    vectors[list(held_out.changed)] = 0
    if changed:
        vectors[list(changed)] = await embed_passages(embedder, list(changed.values()))
    return vectors


def _nearest(name: ListName, vectors: "Vectors", queries: "Vectors", ids: Sequence[str]) -> list[RankedList]:
    """For each query the nearest rows; zeros are none."""
    import numpy as np

    cosines = queries @ vectors.T
    cosines[:, ~vectors.any(axis=1)] = -np.inf
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]
    lists = []
    for places, scores in zip(best, np.take_along_axis(cosines, best, axis=1), strict=True):
        there = np.isfinite(scores)
        lists.append(RankedList(name, [ids[at] for at in places[there]], scores[there].tolist()))
    return lists


def _worded(sample: Any, held_out: HeldOut, texts: Sequence[str]) -> list[RankedList]:
    """For each query the rows whose texts match its words best, without the sentences that are asked for."""
    import pyarrow as pa

    captions = [held_out.changed.get(row, text or "") for row, text in enumerate(sample["caption"].to_pylist())]
    columns = {name: sample[name] for name in ("id", *WORD_COLUMNS) if name in sample.column_names}
    memory = import_lancedb().connect("memory://")
    table = memory.create_table("texts", pa.table(columns | {"caption": pa.array(captions, pa.string())}))
    for column, config in needed_word_indexes(table).items():
        table.create_index(column, config=config)
    matches = [best_matches(table, text, DEPTH, Filter(), ("id",)) for text in texts]
    return [RankedList("words", [one["id"] for one in rows], [one["_score"] for one in rows]) for rows in matches]
