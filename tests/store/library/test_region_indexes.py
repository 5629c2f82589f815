"""An index of the regions finds what a scan of them finds: exactly, or nearly in a large library."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imagerag.agent.ports import Filter
from imagerag.agent.types import ImageRef, Region
from imagerag.agent.types.filters import parse_filter
from imagerag.store.data_dir import DataDir
from imagerag.store.integrity_check import check_indexes
from imagerag.store.library import region_search, search, vector_indexes
from imagerag.store.library.library import Library
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.region_columns import BOXES as BOXES_COLUMN
from imagerag.store.library.region_columns import REGIONS, EncodedRegions
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.schema import ImageRecord, NewImage
from tests.store.conftest import ColourEmbedder

IMAGES, K = 600, 5
BOXES = tuple(Region(left=at / 8, top=0, right=(at + 1) / 8, bottom=1) for at in range(4))
FILTERS = ("", "shelf=7", "shelf<3")
DIMENSIONS = (32, 256)
"""An index of vectors this long has 8 bits for each number, and 4."""


def unit_rows(chance: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    rows = chance.normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


async def filled(home: DataDir, dimension: int) -> Library:
    """A library of images with up to four regions each; some have not been looked at."""
    embedder = ColourEmbedder()
    embedder.identity = replace(embedder.identity, dimension=dimension)
    library = await Library.create_or_open(home, f"of-{dimension}", embedder)
    chance = np.random.default_rng(dimension)
    ids = [hashlib.sha256(f"{at}".encode()).hexdigest() for at in range(IMAGES)]
    vectors = unit_rows(chance, IMAGES, dimension)
    rows = [
        ImageRecord(image=ImageRef(sha256=one, media_type="image/png", width=8, height=8), metadata={"shelf": at % 20})
        for at, one in enumerate(ids)
    ]
    await library.append(
        [NewImage(row=row, data=None, thumbnail=b"", vector=own) for row, own in zip(rows, vectors, strict=True)]
    )
    await library.remember_regions()
    counts = chance.integers(0, 5, IMAGES)
    found = {
        one: EncodedRegions(BOXES[:count], [*unit_rows(chance, count, dimension)])
        for one, count in zip(ids[10:], counts[10:].tolist(), strict=True)
    }
    await library.update_regions(found)
    return library


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Library, list[QueryVectors]]]:
    """Libraries by their dimension, with queries near a region, two regions of one image, and an image."""
    home = DataDir(tmp_path_factory.mktemp("regions"))

    async def made(dimension: int) -> tuple[Library, list[QueryVectors]]:
        library = await filled(home, dimension)
        records = await library.table.records(["vector", REGIONS], None)
        chance = np.random.default_rng(1)

        def near(vector: Any) -> Any:
            return unit_rows_of(np.asarray(vector, np.float32) + 2 * unit_rows(chance, 1, dimension)[0])

        several = [record[REGIONS] for record in records if len(record[REGIONS] or ()) > 1][:5]
        queries = [QueryVectors(near(own[-1])) for own in several]
        queries += [QueryVectors(near(own[0]), (near(own[0]), near(own[1]))) for own in several]
        return library, [*queries, *(QueryVectors(near(record["vector"])) for record in records[:5])]

    return {dimension: asyncio.run(made(dimension)) for dimension in DIMENSIONS}


def unit_rows_of(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def found_in(library: Library, queries: list[QueryVectors], where: str) -> list[list[tuple[str, float, Any]]]:
    allowed = Filter(where=parse_filter(where) if where else None)
    lists = search.nearest_of_each(library.table.lance, queries, K, allowed, RecentRecords())
    return [[(hit.image.sha256, round(hit.similarity, 4), hit.region) for hit in hits] for hits in lists]


async def test_the_nearest_region_is_found_though_an_index_has_one_bit_for_each_number(
    libraries: dict[int, tuple[Library, list[QueryVectors]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, _ = libraries[256]
    lance, chance = library.table.lance, np.random.default_rng(2)
    records = [record for record in await library.table.records(["id", REGIONS, "metadata"], None) if record[REGIONS]]
    allowed = [record for record in records if json.loads(record["metadata"])["shelf"] < 10]
    owners = [record["id"] for record in allowed for _ in record[REGIONS]]
    regions = np.concatenate([np.asarray(record[REGIONS], np.float32) for record in allowed])
    monkeypatch.setattr(region_search, "INDEXED_FROM", 1)
    monkeypatch.setattr(vector_indexes, "EXACT_UP_TO", 1)
    for index in lance.list_indices():
        lance.drop_index(index.name)
    await library.optimize()
    right = 0
    for vector in unit_rows(chance, 40, 256):
        only = Filter(where=parse_filter("shelf<10"))
        found = region_search.nearest_regions(lance, QueryVectors(vector), 1, only, ("id", BOXES_COLUMN))
        right += owners[int((regions @ vector).argmax())] in {record["id"] for record in found}
    assert right >= 39


@pytest.mark.parametrize("size", ["exact", "quantized"])
@pytest.mark.parametrize("dimension", DIMENSIONS)
async def test_an_index_finds_what_a_scan_finds(
    libraries: dict[int, tuple[Library, list[QueryVectors]]], dimension: int, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, queries = libraries[dimension]
    lance = library.table.lance
    for index in lance.list_indices():
        lance.drop_index(index.name)
    scanned = {where: found_in(library, queries, where) for where in FILTERS}
    assert sum(region is not None for hits in scanned[""] for *_, region in hits) > 30
    monkeypatch.setattr(region_search, "INDEXED_FROM", 1)
    if size == "quantized":
        monkeypatch.setattr(vector_indexes, "EXACT_UP_TO", 1)
    await library.optimize()
    kinds = {index.columns[0]: index.index_type for index in lance.list_indices()}
    assert kinds[REGIONS] == {"exact": "IvfFlat", "quantized": "IvfRq" if dimension == 256 else "IvfSq"}[size]
    found = {where: found_in(library, queries, where) for where in FILTERS}
    if size == "exact":
        assert found == scanned
    pairs = [pair for where in FILTERS for pair in zip(found[where], scanned[where], strict=True)]
    assert sum(len(set(one) & set(other)) for one, other in pairs) >= 0.98 * sum(len(other) for _, other in pairs)
    assert all(one[0] == other[0] for one, other in pairs)
    check_indexes(library.table.home, library.name)
