"""Time of a search in a library with regions beside the same library without.

Of ten images six show one thing and have no regions, three have two, and one has three, as in the sketch suite's mixed
libraries; and in a second library every image has the 13 tiles of a photograph, which is what an encoder costs most.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Final

from imagerag.agent.ports import Filter
from imagerag.agent.types import Region
from imagerag.agent.types.filters import FilterExpression
from imagerag.evals.bench.synthetic_library import SyntheticEmbedder, SyntheticRows, row_id, synthetic_library
from imagerag.evals.bench.timing import TimingRow, Work, interleaved, row
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.store.library.region_columns import EncodedRegions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECTION: Final = "library"
K: Final = 10
MIXED, TILES = (0, 0, 0, 0, 0, 0, 2, 2, 2, 3), (13,)
"""Regions of each of several images, in turn."""

TILES_TO: Final = 5_000
"""Rows up to which every image has tiles: 13 vectors each are written."""

SHELF: Final = Filter(where=FilterExpression.model_validate("shelf=7"))
AIM: Final = "aim 3"


async def region_searches(home: DataDir, rows: int, repeats: int) -> list[TimingRow]:
    """Time searches in three libraries of the same images: without regions, with those of mixed images, with tiles."""
    embedder = SyntheticEmbedder()
    plain = await synthetic_library(home, "plain", rows, embedder)
    mixed = await _with_regions(home, "mixed", rows, embedder, MIXED)
    next_caption = _captions(embedder)
    work: dict[str, Work] = {}
    for name, library in {"search without regions": plain, "search with regions": mixed}.items():
        work[name] = _searching(library, next_caption, Filter())
        work[f"{name}, metadata filter"] = _searching(library, next_caption, SHELF)
    if rows <= TILES_TO:
        work["search with 13 tiles"] = _searching(
            await _with_regions(home, "tiles", rows, embedder, TILES), next_caption, Filter()
        )
    times = await interleaved(work, max(repeats, 20))
    results = []
    for name, seconds in times.items():
        base = f"search without regions{', metadata filter' if name.endswith('filter') else ''}"
        against = None if name == base else (base, times[base])
        results.append(row(SECTION, name, seconds, against=against, note=AIM if against else ""))
    return results


def _captions(embedder: SyntheticEmbedder) -> Callable[[], str]:
    """Gives a new caption with every call, which is encoded already: any encoder takes longer than a search."""
    numbers = count()

    def caption() -> str:
        at = next(numbers)
        text = f"a {SyntheticRows.thing(at * 977)} number {at}"
        embedder.text_vector(text)
        return text

    return caption


def _searching(library: Library, next_caption: Callable[[], str], filter: Filter) -> Work:
    async def work() -> object:
        return await library.search(next_caption(), k=K, filter=filter)

    return work


async def _with_regions(
    home: DataDir, name: str, rows: int, embedder: SyntheticEmbedder, counts: tuple[int, ...]
) -> Library:
    """A synthetic library whose rows have regions; their vectors are those of other rows."""
    library = await synthetic_library(home, name, rows, embedder)
    await library.remember_regions()
    batch: dict[str, EncodedRegions] = {}
    for sha256, regions in _regions(SyntheticRows(rows, embedder), counts):
        batch[sha256] = regions
        if len(batch) == 5_000:
            await library.update_regions(batch)
            batch = {}
    await library.update_regions(batch)
    await library.optimize()
    return library


def _regions(world: SyntheticRows, counts: tuple[int, ...]) -> Iterator[tuple[str, EncodedRegions]]:
    for start, vectors in world.batches():
        for at in range(len(vectors)):
            number = counts[(start + at) % len(counts)]
            boxes = tuple(Region(left=one / 20, top=0, right=one / 20 + 0.3, bottom=0.5) for one in range(number))
            yield row_id(start + at), EncodedRegions(boxes, [*_others(vectors, at, number)])


def _others(vectors: "NDArray[np.float32]", at: int, number: int) -> "NDArray[np.float32]":
    import numpy as np

    return vectors[(at + 1 + 37 * np.arange(number)) % len(vectors)]
