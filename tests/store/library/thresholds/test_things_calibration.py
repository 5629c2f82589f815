"""The threshold for texts that list several things, in a library with regions."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from imagerag.store.library.region_columns import RegionPart
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.thresholds.best_cosines import ImageMatches
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.things_calibration import ThingsMeasurement, ThingsScan
from tests.store.conftest import COLOURS, DIMENSION, ColourEmbedder, said, unit

NAMES = [*sorted(set(COLOURS) - {"white"}), "grey", "pink", "brown", "teal"]
PAIRS = [pair for at, pair in enumerate(combinations(NAMES, 2)) if at % 3]


def library(pairs: Sequence[tuple[str, str]], noise: float) -> LibraryContent:
    """Images of two coloured squares, with a region for each."""
    rng = np.random.default_rng(0)

    def region(name: str) -> Any:
        return unit(said(f"a {name} square") + noise * unit(rng.normal(size=DIMENSION))).astype(np.float32)

    captions = [f"a {first} square and a {second} square" for first, second in pairs]
    columns = pa.table({
        "id": [f"{at:03}" for at in range(len(pairs))], "title": [""] * len(pairs), "caption": captions,
    })  # fmt: skip
    regions = [[region(name) for name in pair] for pair in pairs]
    whole = np.stack([unit(np.sum(own, axis=0)) for own in regions]).astype(np.float32)
    return LibraryContent.in_memory(columns, whole, pa.array(regions, pa.list_(pa.list_(pa.float32(), DIMENSION))))


async def test_lists_of_captions_give_a_threshold_that_one_missing_thing_does_not_reach() -> None:
    content = library(PAIRS, noise=0.3)
    measured = await ThingsMeasurement.of(content.columns, ColourEmbedder())
    assert measured is not None
    found = measured.threshold(await content.scan(measured.begin))
    assert found is not None
    # With this noise a match is at 0.96, and one with another colour in the place of one that is listed near 0.8.
    assert 0.85 < found.cosine < 0.95
    assert (found.accept_rate, found.reject_rate) == (1, 1)
    assert min(found.n_own, found.n_near) >= 8


async def test_none_is_claimed_where_lists_are_few_or_the_encoder_tells_nothing_apart() -> None:
    assert await ThingsMeasurement.of(library(PAIRS[:5], noise=0.3).columns, ColourEmbedder()) is None
    content = library(PAIRS, noise=50)
    measured = await ThingsMeasurement.of(content.columns, ColourEmbedder())
    assert measured is not None
    assert measured.threshold(await content.scan(measured.begin)) is None
    without = LibraryContent.in_memory(content.columns, await content.vectors(np.arange(len(PAIRS))))
    assert measured.threshold(await without.scan(measured.begin)) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_scan_in_parts_finds_what_comparing_every_image_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def units(*shape: int) -> NDArray[np.float32]:
        values = rng.normal(size=(*shape, 4))
        return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)

    counts = rng.integers(0, 6, 60)
    counts[7] = 13  # tiles are not things
    regions, ends = [units(count) for count in counts], [2, 5, 7]
    texts, whole, own = units(7), units(60), np.asarray([3, 7, 20, 41])
    scan = ThingsScan(texts, ends, ImageMatches.of([own, own], 60))
    for start in range(0, 60, 25):
        part = regions[start : start + 25]
        rows = np.repeat(np.arange(len(part)), [len(one) for one in part])
        scan.add(np.arange(start, start + len(part)), whole[start : start + 25], RegionPart(rows, np.concatenate(part)))
    expected = np.full((60, 3), -np.inf)
    for at, (first, end) in enumerate(zip((0, *ends), ends, strict=False)):
        query = QueryVectors(texts[0], tuple(texts[first:end]), thresholds=(2.0, 1.0))
        for row, vectors in enumerate(regions):
            boxes = [[0, 0, 0.5, 0.5]] * len(vectors)
            match = query.match({"vector": whole[row], "regions": vectors, "region_boxes": boxes})
            if match.threshold == 1:
                expected[row, at] = match.similarity
    others = np.delete(expected, own, axis=0)
    assert scan.shown == pytest.approx(expected[own, :2].max(axis=0), abs=1e-6)
    assert scan.others == pytest.approx(others[:, :2].max(axis=0), abs=1e-6)
    assert scan.rest == pytest.approx(expected[:, 2:].max(axis=0), abs=1e-6)
