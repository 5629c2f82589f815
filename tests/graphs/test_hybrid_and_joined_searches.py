"""The words of captions count in runs as they do in a search, and a run looks into several libraries at once."""

from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.diagnostics.doctor import _problems
from imagerag.graphs.configuration.settings import Settings
from imagerag.store.data_dir import DataDir


def setup(library: str = "scripted", **config: Any) -> RunSpec:
    return RunSpec(generator="scripted", judge="scripted", library=library, config=RunConfig(**config))


async def run(stage: Any, library: str = "scripted", **config: Any) -> Any:
    events = stage.runner.start("a heart", setup(library, **config))
    return [event async for event in events][-1].record


class Worded:
    """A library that notes how it was searched, over one that answers."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.asked = inner, []
        self.name = "worded"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def search(self, text: str, *, k: int, filter: Filter, hybrid: bool = False) -> Any:
        self.asked.append((text, hybrid))
        return await self.inner.search(text, k=k, filter=filter)


@pytest.fixture
def worded(stage: Any) -> Worded:
    stage.library.plant("a detailed picture of a heart", similarity=0.9)
    stage.judge.enqueue(["a heart"], [])
    library = Worded(stage.library)
    stage.runner.dependencies.use("library", "worded", library)
    return library


@pytest.mark.parametrize("hybrid", [False, True])
async def test_the_words_count_when_asked(stage: Any, worded: Worded, hybrid: bool) -> None:
    record = await run(stage, "worded", hybrid=hybrid)
    assert {way for _, way in worded.asked} == {hybrid}
    assert record.searches[0].hybrid is hybrid
    assert record.references


async def test_a_library_that_knows_no_words_is_refused_before_anything_is_drawn(stage: Any) -> None:
    with pytest.raises(UsageError, match="'scripted' cannot be searched by words: leave hybrid out"):
        await run(stage, hybrid=True)
    assert not stage.generator.calls


async def test_a_run_looks_into_several_libraries(stage: Any, worded: Worded) -> None:
    record = await run(stage, "scripted,worded")
    (search,) = record.searches
    assert search.threshold is None
    assert set(search.thresholds) <= {"scripted", "worded"}
    assert search.thresholds
    assert record.setup.library == "scripted,worded"
    assert record.references[0].image == search.candidates[0].image


async def test_a_threshold_of_the_users_own_goes_for_all_of_them(stage: Any, worded: Worded) -> None:
    stage.judge.enqueue(["a heart"], ["a heart"], ["a heart"], ["a heart"])
    record = await run(stage, "scripted,worded", threshold=0.95, max_rounds=1)
    assert not record.references
    assert all(search.thresholds == {"": 0.95} for search in record.searches)


async def test_several_graphs_of_the_same_libraries_share_one(stage: Any, worded: Worded) -> None:
    dependencies = stage.runner.dependencies
    assert await dependencies.library("scripted,worded") is await dependencies.library("scripted,worded")


def test_doctor_looks_for_each_of_them(tmp_path: Path) -> None:
    named = {"preset": "sketch", "generator": "sketch", "judge": "sketch", "embedder": "sketch"}
    told = _problems(DataDir(tmp_path), Settings(**named, library="sketch,nowhere"), [], [])
    assert told == ["there is no library nowhere: `rag.libraries.index(PATH, library='nowhere')`"]
    assert "named once each" in _problems(DataDir(tmp_path), Settings(**named, library="sketch,sketch"), [], [])[0]
