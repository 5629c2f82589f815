"""An encoder of somebody's own that gives too few vectors, or no usable ones, is named wherever it is used."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import Filter, SearchTerm
from imagerag.client.similarity import measure_similarities
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.migration import migrate
from imagerag.store.library.maintenance.repair import repair_library
from imagerag.store.library.maintenance.statistics import library_statistics
from imagerag.store.library.maintenance.subsets import part_of
from imagerag.store.library.maintenance.verification import LibraryProblem
from imagerag.store.library.region_encoding import encode_crops


@pytest.fixture
async def shop(library: Library, folder: Path) -> Library:
    await index([folder], library)
    return library


FAULTS: dict[str, Callable[[Any], Any]] = {
    "too few": lambda vectors: vectors[:-1],
    "too many": lambda vectors: np.concatenate([vectors, vectors[:1]]),
    "not a number": lambda vectors: np.full_like(vectors, np.nan),
    "shorter": lambda vectors: vectors[:, :-1],
    "no unit": lambda vectors: vectors * 3,
}


def spoil(encoder: Any, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    for name in ("embed_texts", "embed_images"):
        method = getattr(encoder, name)

        async def spoilt(inputs: Any, method: Any = method) -> Any:
            return FAULTS[fault](await method(inputs))

        monkeypatch.setattr(encoder, name, spoilt)


async def repaired(home: DataDir, shop: Library, other: Any) -> Any:
    (row, *_) = await shop.rows()
    return await repair_library(home, shop, [LibraryProblem(kind="vector", id=row.id, problem="")])


async def compared(home: DataDir, shop: Library, other: Any) -> Any:
    (row, *_) = await shop.rows()
    return await measure_similarities(other, await shop.image_bytes(row.id), ["red", "blue"])


async def copied(home: DataDir, shop: Library, other: Any) -> Any:
    return await part_of(home, "part", shop, [row.id for row in await shop.rows()], other)


USES: dict[str, Callable[[DataDir, Library, Any], Awaitable[Any]]] = {
    "search": lambda home, shop, other: shop.search("red", k=1),
    "several searches": lambda home, shop, other: shop.search_batch(["red", "blue"], k=1, filter=Filter()),
    "search by terms": lambda home, shop, other: shop.search_terms([SearchTerm(text="red")], k=1),
    "calibration": lambda home, shop, other: shop.calibrate(),
    "statistics": lambda home, shop, other: library_statistics(shop),
    "repair": repaired,
    "similarity": compared,
    "subset": copied,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("use", USES)
async def test_the_encoder_is_named(
    home: DataDir, shop: Library, other_embedder: Any, monkeypatch: pytest.MonkeyPatch, use: str, fault: str
) -> None:
    spoil(shop.embedder, monkeypatch, fault)
    spoil(other_embedder, monkeypatch, fault)
    with pytest.raises(LibraryError, match=r"the encoder colours:(one|two) gave"):
        await USES[use](home, shop, other_embedder)


@pytest.mark.parametrize("fault", ["too few", "too many"])
async def test_whoever_encodes_image_by_image_names_it_as_well(
    shop: Library, other_embedder: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    spoil(shop.embedder, monkeypatch, fault)
    spoil(other_embedder, monkeypatch, fault)
    with pytest.raises(LibraryError, match="the encoder colours:two gave"):
        await migrate(shop, other_embedder)
    with pytest.raises(LibraryError, match="the encoder colours:one gave"):
        await encode_crops(shop.embedder, [await shop.image_bytes(row.id) for row in await shop.rows()])
