"""Speed of a library: searching beside an in-memory matmul and beside other indexes, calibrating, and indexing; and the
memory of each command.

The library is synthetic (`synthetic_library`), in its own folder; every query is a new caption. Ratios compare times of
one process, measured interleaved. faiss and usearch are measured where they are installed.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import FilterExpression
from imagerag.evals.bench.caption_to_references import references
from imagerag.evals.bench.indexing_speed import FILES, indexing
from imagerag.evals.bench.library_commands import commands
from imagerag.evals.bench.other_indexes import GRAPHS_TO, other_indexes
from imagerag.evals.bench.region_search_speed import region_searches
from imagerag.evals.bench.synthetic_library import SyntheticEmbedder, SyntheticRows, row_id, synthetic_library
from imagerag.evals.bench.timing import TimingRow, Work, row
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

SECTION: Final = "library"
ROWS, FEWEST = 20_000, 100
K: Final = 10
ASKED: Final = 40
"""Queries that recall is measured with."""

PER_TURN: Final = 16
"""Captions that one turn takes at most: four at once, and one for everything else."""

PARTS: Final = ("calibrating", "searching", "references", "regions", "commands", "indexing")
"""What is measured of a library, in turn."""

SPINNING_S: Final = 0.1
"""Pause before each work."""

BASE: Final = "numpy matmul"

SHELF: Final = Filter(where=FilterExpression.model_validate("shelf=7"))

AIMS: Final = {"search, licence filter": 1.3, "search, metadata filter": 1.3, "hybrid search": 2.0,
               "search of 4 captions": 2.0}  # fmt: skip
"""The most that each may take of what it is compared with."""

AIMS_OF_SEARCH: Final = {350_000: 0.4, 100_000: 0.8}
"""Rows → the most that a search of so many may take of numpy's time; of fewer numpy reads next to nothing."""


async def library(
    repeats: int,
    *,
    rows: int = ROWS,
    graphs_to: int = GRAPHS_TO,
    parts: Collection[str] = PARTS,
    progress: Callable[[str], None] = lambda text: None,
) -> list[TimingRow]:
    """Time a library of `rows` images. Small libraries index fewer files.

    Args:
        graphs_to: rows up to which graph indexes are built beside it.
        parts: what is measured, of `PARTS`.
        progress: called with the measures of each command, which take long in large libraries.
    """
    with tempfile.TemporaryDirectory() as folder:
        embedder = SyntheticEmbedder()
        async with _timer() as duration:
            opened = await synthetic_library(DataDir(Path(folder)), "bench", rows, embedder)
        results = [_seconds(f"add {rows} rows, build indexes", duration)]
        if "calibrating" in parts:
            results += await _calibrating(opened)
        if "searching" in parts:
            results += await _searching(opened, SyntheticRows(rows, embedder), repeats, graphs_to)
        if "references" in parts:
            results += await references(opened, repeats)
        if "regions" in parts:
            results += await region_searches(DataDir(Path(folder) / "regions"), rows, repeats)
        if "commands" in parts:
            results += await commands(opened, Path(folder) / "commands", progress)
    return [*results, *(await indexing(repeats, files=min(FILES, rows // 2)) if "indexing" in parts else ())]


async def _calibrating(opened: Library) -> list[TimingRow]:
    await opened.search("a red car", k=K)
    async with _timer() as took, _peak_memory() as peak:
        await opened.calibrate()
    async with _timer() as compared:
        await opened.is_stale()
    memory = TimingRow(section=SECTION, name="memory of calibrate", value=max(peak), unit="MB", n=1,
                       note="above the open library, aim 500")  # fmt: skip
    return [_seconds("calibrate", took, "aim 15 at 350,000 rows"), memory, _seconds("is_stale", compared)]


async def _searching(opened: Library, world: SyntheticRows, repeats: int, graphs_to: int) -> list[TimingRow]:
    import numpy as np

    vectors = np.concatenate([part for _, part in world.batches()])
    repeats = max(repeats, 3)
    queries = _FreshCaptions(world.embedder, ASKED + 2 * PER_TURN * repeats)
    work: dict[str, Work] = {
        BASE: queries.vector(lambda vector: _best(vectors @ vector)),
        "search": lambda: opened.search(queries.text(), k=K),
        "search, licence filter": lambda: opened.search(queries.text(), k=K, filter=Filter(licences=("MIT",))),
        "search, metadata filter": lambda: opened.search(queries.text(), k=K, filter=SHELF),
        "hybrid search": lambda: opened.search(queries.text(), k=K, hybrid=True),
        "search of 4 captions": lambda: opened.search_batch([queries.text() for _ in range(4)], k=K),
    }
    others = other_indexes(vectors, K, section=SECTION, graphs_to=graphs_to)
    work |= {name: queries.vector(find) for name, find in others.find.items()}
    batches = [vectors[at : at + 1024] for at in range(0, len(vectors), 1024)]
    with tempfile.TemporaryDirectory() as folder:
        paths = await asyncio.to_thread(_saved, batches, Path(folder))
        work["as the ImageRAG paper's code"] = queries.vector(lambda vector: _as_in_the_paper(paths, vector))
        times = await _in_turns(work, repeats)
    base = {"hybrid search": "search", "search of 4 captions": "search", "search, licence filter": "search",
            "search, metadata filter": "search"}  # fmt: skip
    texts = [queries.text() for _ in range(ASKED)]
    right = [[row_id(int(at)) for at in _best(vectors @ queries.encoded(text))] for text in texts]
    recalls = {
        "search": _recall([[hit.image.sha256 for hit in await opened.search(text, k=K)] for text in texts], right)
    }
    for name, find in others.find.items():
        hits = [[row_id(int(at)) for at in find(queries.encoded(text))] for text in texts]
        recalls[name] = _recall(hits, right)
    aims = aims_of(len(vectors))
    rows = []
    for name, seconds in times.items():
        against = base.get(name, BASE)
        parts = [f"recall@{K} {recalls[name]:.3f}"] if name in recalls else []
        note = ", ".join([*parts, *([f"aim {aims[name]}"] if name in aims else [])])
        rows.append(row(SECTION, name, seconds, against=None if name == BASE else (against, times[against]), note=note))
    return [*rows, *others.rows]


def aims_of(rows: int) -> dict[str, float]:
    """The aims for a library of so many rows, by the name of what is measured."""
    of_search = [aim for least, aim in AIMS_OF_SEARCH.items() if rows >= least]
    return {**AIMS, "search": min(of_search)} if of_search else AIMS


class _FreshCaptions:
    """New captions, none of them twice. They are encoded beforehand, as any encoder takes longer than a search."""

    def __init__(self, embedder: SyntheticEmbedder, count: int) -> None:
        self._embedder = embedder
        texts = [f"a {SyntheticRows.thing(at * 977)} number {at}" for at in range(count)]
        for text in texts:
            embedder.text_vector(text)
        self._texts = iter(texts)

    def text(self) -> str:
        """The next caption."""
        return next(self._texts)

    def encoded(self, text: str) -> "NDArray[np.float32]":
        """The next caption's vector."""
        return self._embedder.text_vector(text)

    def vector(self, find: Callable[["NDArray[np.float32]"], Any]) -> Work:
        """Work on the next caption's vector."""

        async def work() -> object:
            return find(self.encoded(self.text()))

        return work


def _best(cosines: "NDArray[np.float32]") -> "NDArray[np.intp]":
    import numpy as np

    top = np.argpartition(-cosines, K)[:K]
    return top[np.argsort(-cosines[top])]


def _recall(hits: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> float:
    return sum(len(set(one) & set(other)) for one, other in zip(hits, right, strict=True)) / (K * len(right))


def _saved(batches: Sequence["Vectors"], folder: Path) -> list[Path]:
    import torch

    paths = [folder / f"{at}.pt" for at in range(len(batches))]
    for path, batch in zip(paths, batches, strict=True):
        torch.save({"normalized_clip_embeddings": torch.from_numpy(batch.copy())}, path)
    return paths


def _as_in_the_paper(paths: Sequence[Path], vector: "NDArray[np.float32]") -> Any:
    """Search as the paper's code does: load every batch from its file for each caption, and sort all similarities."""
    import numpy as np
    import torch

    text, cosines = torch.from_numpy(vector.copy()), []
    for path in paths:
        stored = torch.load(path, weights_only=True)["normalized_clip_embeddings"]
        cosines.append((text @ stored.T).numpy())
    return np.argsort(np.concatenate(cosines))[-K:][::-1]


async def _in_turns(work: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """As `interleaved`, but each work runs twice, after a pause, and only the second run is timed: the threads of a
    matmul keep spinning for some 50 ms and would slow down the work after it.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, do in work.items():
            await asyncio.sleep(SPINNING_S)
            await do()
            began = time.perf_counter()
            await do()
            times[name].append(time.perf_counter() - began)
    return times


@asynccontextmanager
async def _timer() -> AsyncIterator[list[float]]:
    took: list[float] = []
    began = time.perf_counter()
    yield took
    took.append(time.perf_counter() - began)


@asynccontextmanager
async def _peak_memory() -> AsyncIterator[list[float]]:
    """Peak resident memory above that at the beginning, in megabytes, sampled fifty times a second."""
    before, above, ended = _resident(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            above.append(_resident() - before)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield above
    finally:
        ended.set()
        watching.join()


def _resident() -> float:
    """Resident memory of this process in megabytes; 0 where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6


def _seconds(name: str, took: Sequence[float], note: str = "") -> TimingRow:
    return TimingRow(section=SECTION, name=name, value=took[0], unit="s", n=1, note=note)
