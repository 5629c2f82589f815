"""The searches of a round are one call of a library that can be asked several texts at once; nothing else changes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import Filter
from imagerag.agent.retrieval.search_batcher import SearchBatcher
from imagerag.tools.testing.fakes import ScriptedLibrary

MISSING = ["a heart", "a star", "a moon"]


class BatchLibrary(ScriptedLibrary):
    """Asked several texts in one call, which it notes. `fails` are texts for which there is an error."""

    def __init__(self, *fails: str, lost: int = 0) -> None:
        super().__init__()
        self.batches: list[Sequence[str]] = []
        self.fails, self.lost = set(fails), lost

    async def search(self, text: str, *, k: int, filter: Filter) -> Any:
        if text in self.fails:
            raise UsageError(f"no {text}")
        return await super().search(text, k=k, filter=filter)

    async def search_batch(self, texts: Sequence[str], *, k: int, filter: Filter) -> Any:
        self.batches.append(texts)
        await asyncio.sleep(0)
        found = [await self.search(text, k=k, filter=filter) for text in texts]
        return found[: len(found) - self.lost]


def planted(library: ScriptedLibrary) -> ScriptedLibrary:
    for thing in MISSING:
        library.plant(f"a detailed picture of {thing}", similarity=0.9)
    return library


async def run(bench: Any, library: ScriptedLibrary, **options: Any) -> Any:
    bench.library = planted(library)
    bench.judge.enqueue(MISSING, [])
    return await bench.run("a heart, a star and a moon", **options)


async def test_a_round_is_one_call_and_its_record_is_the_same(new_bench: Any) -> None:
    one, other = new_bench(), new_bench()
    library = BatchLibrary()
    together, alone = await run(one, library), await run(other, ScriptedLibrary())
    assert [len(texts) for texts in library.batches] == [3]
    assert together.searches == alone.searches
    assert together.references == alone.references
    assert one.path == other.path
    assert [call.arguments for call in library.calls] == [call.arguments for call in other.library.calls]


async def test_what_a_filter_left_out_is_looked_for_together_too(bench: Any) -> None:
    library = BatchLibrary()
    record = await run(bench, library, licences=("none-such",))
    assert not record.references
    assert len(library.batches) < len(library.calls) / 2
    assert all(search.left_out for search in record.searches)


async def test_searches_with_other_filters_or_numbers_are_calls_of_their_own() -> None:
    library = BatchLibrary()
    batcher = SearchBatcher(planted(library))
    asked = [("one", 3, Filter()), ("two", 3, Filter()), ("three", 4, Filter()), ("four", 3, Filter(tags=("a",))),
             ("five", 3, Filter(tags=("a",)))]  # fmt: skip
    await asyncio.gather(*(batcher.search(text, k=k, filter=wanted) for text, k, wanted in asked))
    assert [list(texts) for texts in library.batches] == [["one", "two"], ["four", "five"]]
    await batcher.search("six", k=3, filter=Filter())
    assert len(library.batches) == 2


async def test_each_gets_its_own_hits_as_from_a_library_that_is_asked_alone() -> None:
    batcher = SearchBatcher(planted(BatchLibrary()))
    texts = [f"a detailed picture of {thing}" for thing in (*MISSING, MISSING[0], "nothing")]
    found = await asyncio.gather(*(batcher.search(text, k=2, filter=Filter()) for text in texts))
    for text, hits in zip(texts, found, strict=True):
        assert [*hits] == [*await batcher.library.search(text, k=2, filter=Filter())]


async def test_the_text_that_cannot_be_searched_for_fails_alone() -> None:
    batcher = SearchBatcher(planted(BatchLibrary("two")))
    asked = [batcher.search(text, k=2, filter=Filter()) for text in ("one", "two", "three")]
    one, two, three = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(two, UsageError)
    assert len(one) == len(three) == 2  # type: ignore[arg-type]


async def test_a_library_that_answers_too_little_is_asked_each_text() -> None:
    batcher = SearchBatcher(planted(BatchLibrary(lost=1)))
    found = await asyncio.gather(*(batcher.search(text, k=2, filter=Filter()) for text in ("one", "two")))
    assert [len(hits) for hits in found] == [2, 2]


async def test_who_is_cancelled_takes_nobody_along() -> None:
    library = BatchLibrary()
    batcher = SearchBatcher(planted(library))
    one, two, three = (asyncio.create_task(batcher.search(t, k=2, filter=Filter())) for t in ("one", "two", "three"))
    await asyncio.sleep(0)
    one.cancel()
    assert len(await two) == len(await three) == 2
    assert one.cancelled()
    assert [list(texts) for texts in library.batches] == [["two", "three"]]


async def test_a_round_whose_library_fails_once_is_tried_again(bench: Any) -> None:
    class Failing(BatchLibrary):
        left = 4

        async def search(self, text: str, *, k: int, filter: Filter) -> Any:
            if self.left > 0:
                self.left -= 1
                raise BackendError("busy", retryable=True)
            return await super().search(text, k=k, filter=filter)

    record = await run(bench, Failing())
    assert len(record.references) == 3


def test_it_belongs_to_no_event_loop() -> None:
    batcher = SearchBatcher(planted(BatchLibrary()))
    for _ in range(2):
        assert len(asyncio.run(batcher.search("one", k=2, filter=Filter()))) == 2


@pytest.mark.parametrize("several", [1, 2])
async def test_the_task_of_a_stopped_loop_leaves_nothing_behind(several: int) -> None:
    batcher = SearchBatcher(planted(BatchLibrary()))
    asked = [asyncio.create_task(batcher.search(f"{n}", k=2, filter=Filter())) for n in range(several)]
    await asyncio.sleep(0)
    for task in [*asked, *batcher._tasks]:
        task.cancel()
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*asked, return_exceptions=True))
    await asyncio.sleep(0)
    assert not batcher._waiting
    assert len(await batcher.search("again", k=2, filter=Filter())) == 2
