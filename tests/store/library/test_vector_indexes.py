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
from imagerag.store.library import index_candidates, search
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


async def test_what_texts_find_through_an_index(indexed: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "INDEX_FROM", 4000)
    await indexed.optimize()
    assert index_candidates.bits_of(indexed.table.view, "vector") == index_candidates.BITS
    assert recall(indexed) >= 0.98


async def test_an_index_of_an_earlier_version_is_not_used_and_made_again(
    indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one bit finds a third of what texts should find."""
    import_lancedb()
    from lancedb.index import IvfRq

    monkeypatch.setattr(search, "INDEX_FROM", 4000)
    indexed.table.lance.create_index("vector", config=IvfRq(distance_type="cosine", num_bits=1))
    assert index_candidates.is_coarse(indexed.table.view, "vector")
    assert recall(indexed) == 1
    with monkeypatch.context() as patch:
        patch.setattr(search, "is_coarse", lambda *_: False)
        assert recall(indexed) < 0.95
    assert await indexed.tidying_pays(0)
    await indexed.optimize()
    assert not await indexed.tidying_pays(0)
    assert not index_candidates.is_coarse(indexed.table.view, "vector")
    assert recall(indexed) >= 0.98
