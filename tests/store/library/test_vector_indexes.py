"""An index of vectors finds what a scan of them finds, also for texts, which are about equally far from all images."""

import asyncio
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from imagerag.agent.ports import Filter
from imagerag.agent.types import ImageRef
from imagerag.store.data_dir import DataDir
from imagerag.store.library import search, vector_indexes
from imagerag.store.library.lancedb_import import import_lancedb
from imagerag.store.library.library import Library
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.schema import ImageRecord, NewImage
from tests.store.conftest import ColourEmbedder

IMAGES, DIMENSION, QUERIES, K = 6000, 256, 40, 10


def units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def encoded() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images and texts as CLIP encodes them: two narrow cones, far from each other."""
    chance = np.random.default_rng(5)
    spread = chance.normal(size=(64, DIMENSION)).astype(np.float32) / np.arange(1, 65, dtype=np.float32)[:, None] ** 0.5
    of_images, of_texts = np.eye(2, DIMENSION, dtype=np.float32)
    images = of_images + 0.12 * chance.normal(size=(IMAGES, 64)).astype(np.float32) @ spread / spread.std() / 16
    texts = of_texts + 0.3 * of_images + 0.05 * chance.normal(size=(QUERIES, 64)).astype(np.float32) @ spread
    return units(images), units(texts)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Library:
    async def fill() -> Library:
        embedder = ColourEmbedder()
        embedder.identity = replace(embedder.identity, dimension=DIMENSION)
        library = await Library.create_or_open(DataDir(tmp_path_factory.mktemp("cones")), "cones", embedder)
        rows = [
            ImageRecord(image=ImageRef(sha256=hashlib.sha256(b"%d" % at).hexdigest(), media_type="image/png",
                                       width=8, height=8), metadata={"at": at})
            for at in range(IMAGES)
        ]  # fmt: skip
        vectors = encoded()[0]
        await library.append([NewImage(row=row, data=None, thumbnail=b"", vector=own)
                              for row, own in zip(rows, vectors, strict=True)])  # fmt: skip
        return library

    return asyncio.run(fill())


def recall(library: Library) -> float:
    """Of texts: the share of the nearest images that a search finds."""
    images, texts = encoded()
    queries = [QueryVectors(text, regions=False) for text in texts]
    found = search.nearest_of_each(library.table.view, queries, K, Filter(), RecentRecords())
    nearest = np.argsort(-texts @ images.T, axis=1)[:, :K]
    return sum(
        len({hit.metadata["at"] for hit in hits} & set(own.tolist())) for hits, own in zip(found, nearest, strict=True)
    ) / (K * QUERIES)


def kind(library: Library) -> str | None:
    return vector_indexes.index_type(library.table.view, "vector")


async def test_what_texts_find_through_the_index_of_a_large_library(
    indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "INDEX_FROM", 4000)
    monkeypatch.setattr(vector_indexes, "EXACT_UP_TO", 4000 * DIMENSION)
    await indexed.optimize()
    assert kind(indexed) == "IvfRq"
    assert vector_indexes.bits_of(indexed.table.view, "vector") == vector_indexes.BITS
    assert recall(indexed) >= 0.98


async def test_an_index_of_an_earlier_version_is_not_used_and_made_again(
    indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one bit finds a third of what texts should find."""
    import_lancedb()
    from lancedb.index import IvfRq

    monkeypatch.setattr(search, "INDEX_FROM", 4000)
    monkeypatch.setattr(vector_indexes, "EXACT_UP_TO", 4000 * DIMENSION)
    indexed.table.lance.create_index("vector", config=IvfRq(distance_type="cosine", num_bits=1))
    assert vector_indexes.is_coarse(indexed.table.view, "vector")
    assert recall(indexed) == 1
    with monkeypatch.context() as patch:
        patch.setattr(search, "is_coarse", lambda *_: False)
        assert recall(indexed) < 0.95
    assert await indexed.tidying_pays(0)
    await indexed.optimize()
    assert not await indexed.tidying_pays(0)
    assert not vector_indexes.is_coarse(indexed.table.view, "vector")
    assert recall(indexed) >= 0.98


async def test_the_index_of_a_smaller_library_finds_all_and_is_made_anew_as_it_grows(
    indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind(indexed):
        indexed.table.lance.drop_index("vector_idx")
    assert not await indexed.tidying_pays(0), "a scan of so few vectors is as fast"
    monkeypatch.setattr(search, "INDEX_FROM", IMAGES)
    assert await indexed.tidying_pays(0)
    await indexed.optimize()
    assert kind(indexed) == "IvfFlat"
    assert not await indexed.tidying_pays(0)
    assert recall(indexed) == 1
    monkeypatch.setattr(vector_indexes, "EXACT_UP_TO", IMAGES * DIMENSION - 1)
    assert await indexed.tidying_pays(0)
    assert recall(indexed) == 1, "it is searched as it is until then"
    await indexed.optimize()
    assert kind(indexed) == "IvfRq"
    assert not await indexed.tidying_pays(0)


@pytest.mark.parametrize(
    ("vectors", "dimension", "index"),
    [(10_000, 512, "IvfFlat"), (78_000, 512, "IvfFlat"), (79_000, 512, "IvfRq"), (20_000, 2048, "IvfRq"),
     (1_000_000, 32, "IvfFlat"),
     (1_000_000, 64, "IvfSq"), (1_000_000, 300, "IvfSq"), (1_000_000, 304, "IvfRq")],
)  # fmt: skip
def test_the_index_suits_the_number_of_vectors_and_their_length(vectors: int, dimension: int, index: str) -> None:
    assert type(vector_indexes.needed_index(vectors, dimension)).__name__ == index
