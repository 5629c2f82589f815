"""Several texts in one call, hybrid search and search through an index give what the plain ways give."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter, Hit
from imagerag.agent.retrieval.search_queries import search_batch
from imagerag.agent.types.filters import FilterExpression
from imagerag.evals.bench.synthetic_library import SyntheticRows, synthetic_library
from imagerag.store.data_dir import DataDir
from imagerag.store.library import fusion, search
from imagerag.store.library.indexing.caption_encoding import encode_captions, use_caption_embedder
from imagerag.store.library.joined_libraries import JoinedLibraries
from imagerag.store.library.lancedb_import import import_lancedb
from imagerag.store.library.library import Library
from imagerag.store.library.vector_indexes import BITS

TEXTS = ("a red car", "a wooden boat by a lake", "nothing of this kind")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return asyncio.run(synthetic_library(DataDir(tmp_path_factory.mktemp("many")), "many", 600))


def same(one: list[Hit], other: list[Hit]) -> bool:
    return [(hit.image, hit.title, hit.metadata) for hit in one] == [
        (hit.image, hit.title, hit.metadata) for hit in other
    ]


@pytest.mark.parametrize("filter", [Filter(), Filter(licences=("MIT",)), Filter(licences=("none such",))])
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_several_texts_find_what_each_finds_alone(many: Library, filter: Filter, count: int) -> None:
    texts = TEXTS[:count]
    alone = [list(await many.search(text, k=7, filter=filter)) for text in texts]
    together = await many.search_batch(texts, k=7, filter=filter)
    assert len(together) == count
    for one, other in zip(alone, together, strict=True):
        assert same(one, list(other))
        assert [hit.similarity for hit in other] == pytest.approx([hit.similarity for hit in one], abs=1e-6)


async def test_the_same_text_twice_and_no_text(many: Library) -> None:
    one, other = await many.search_batch([TEXTS[0], TEXTS[0]], k=5)
    assert same(list(one), list(other))
    assert await many.search_batch([], k=5) == []
    assert await many.search_batch(TEXTS, k=0) == [[], [], []]
    with pytest.raises(UsageError, match="needs some text"):
        await many.search_batch(["a red car", " "], k=5)


async def test_libraries_that_are_joined_are_asked_together_too(many: Library, tmp_path: Path) -> None:
    other = await synthetic_library(DataDir(tmp_path), "few", 50)
    for library in (many, other):
        await library.calibrate()
    joined = JoinedLibraries([many, other])
    alone = [list(await joined.search(text, k=6, filter=Filter())) for text in TEXTS]
    together = await search_batch(joined, TEXTS, k=6, filter=Filter())
    for one, found in zip(alone, together, strict=True):
        assert same(one, list(found))
        assert [hit.library for hit in one] == [hit.library for hit in found]


async def test_hybrid_is_the_fusion_of_both_lists(many: Library) -> None:
    """Told from whole lists, of which only the first images are read."""
    for text in (*TEXTS, f"Object 17, a {SyntheticRows.thing(17)}"):
        near = list(await many.search(text, k=fusion.DEPTH))
        worded = list(await many.search_words(text, k=fusion.DEPTH))
        score: dict[str, float] = {}
        lists = ([(hit, hit.similarity) for hit in near], [(hit, hit.found_by[0].score) for hit in worded])
        for ranking in filter(None, lists):
            high, low = ranking[0][1], ranking[-1][1]
            for hit, reached in ranking:
                scaled = 0.01 + 0.99 * ((reached - low) / (high - low) if high > low else 1)
                score[hit.image.sha256] = score.get(hit.image.sha256, 0.0) + scaled / 2
        for k in (1, 10, fusion.DEPTH):
            found = await many.search(text, k=k, hybrid=True)
            reached = [score[hit.image.sha256] for hit in found]
            assert reached == pytest.approx(sorted(score.values(), reverse=True)[:k], abs=1e-5)
            assert all(sum(by.share for by in hit.found_by) == pytest.approx(1) for hit in found)


@pytest.fixture(scope="module", params=[1, BITS])
def indexed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """With an index of one bit, as earlier versions made it, or of today's."""
    import_lancedb()
    from lancedb.index import IvfRq

    index = IvfRq(distance_type="cosine", num_partitions=64, num_bits=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "INDEX_FROM", 4000)
        patch.setattr(search, "FILTERED_FROM", 4000)
        patch.setattr(search, "_vector_index", lambda _table, _column: index)
        return asyncio.run(synthetic_library(DataDir(tmp_path_factory.mktemp("indexed")), "indexed", 6000))


FILTERS = ("", "licence=MIT", "shelf=7", "shelf<25 and maker='maker 3'", "caption~kettle", "not licence=MIT",
           "kind=kettle", "kind in (boat, violin)", "not kind=boat", "kind=candle and licence=MIT")  # fmt: skip
"""A `kind` says what pictures show: those of one lie in few parts of the index, far from most queries."""


@pytest.mark.parametrize("text", FILTERS)
async def test_the_index_finds_what_is_there(indexed: Library, text: str) -> None:
    assert ["vector"] in [index.columns for index in indexed.table.lance.list_indices()]
    allowed = Filter(where=FilterExpression.model_validate(text) if text else None)
    rows, vectors = await indexed.captioned_vectors()
    let_through = np.array([allowed.matches(row) for row in rows])
    right, texts = 0, [f"a {SyntheticRows.thing(at * 37)}" for at in range(20)]
    for one, hits in zip(texts, await indexed.search_batch(texts, k=10, filter=allowed), strict=True):
        cosines = np.where(let_through, vectors @ (await indexed.embedder.embed_texts([one]))[0], -2)
        best = {rows[at].id for at in np.argsort(-cosines)[:10]}
        right += len(best & {hit.image.sha256 for hit in hits})
    assert right >= 0.98 * 200


async def test_an_index_of_captions_finds_what_a_scan_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = await synthetic_library(DataDir(tmp_path), "captions", 1500)
    await use_caption_embedder(library, library.embedder)
    await encode_captions(library, library.embedder)
    texts = [f"a {SyntheticRows.thing(at * 37)}" for at in range(10)]
    scanned = [await library.search_captions(text, k=10) for text in texts]
    monkeypatch.setattr(search, "INDEX_FROM", 1000)
    await library.optimize()
    assert ["caption_vector"] in [index.columns for index in library.table.lance.list_indices()]
    found = [await library.search_captions(text, k=10) for text in texts]
    for before, after in zip(scanned, found, strict=True):
        assert before[0].caption_similarity == pytest.approx(after[0].caption_similarity, abs=1e-5)
        cosines = [hit.caption_similarity for hit in after]
        assert cosines == sorted(cosines, reverse=True)  # those of the vectors, not of the index's short forms
    changed_ids = [hit.image.sha256 for hit in found[0]]
    await library.update([replace(row, caption="something else") for row in await library.rows(changed_ids)])
    assert not {hit.image.sha256 for hit in await library.search_captions(texts[0], k=10)} & set(changed_ids)
