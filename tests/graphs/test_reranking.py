"""A reranker in a run: the order of what passed, what it may not do, and that its calls are calls like any other."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from imagerag.agent.errors import BackendError, JudgeReplyError, RefusalError
from imagerag.agent.extraction_schedule import TEMPERATURES
from imagerag.agent.ports import FREE, Capabilities, Hit, ImagePart, PriceEstimator, Ranking
from imagerag.agent.retrieval.reranking import LOOKED_AT
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from imagerag.graphs.cost_estimate import estimate
from imagerag.tools.rerankers.bm25 import Bm25Reranker
from imagerag.tools.rerankers.vlm import VlmReranker

CAPTION = "a detailed picture of a heart"


def setup(reranker: str | None = "vlm", **config: Any) -> RunSpec:
    given = {"generator": "scripted", "judge": "scripted", "library": "scripted", "reranker": reranker}
    return RunSpec(**given, config=RunConfig(**config))


async def run(stage: Any, prompt: str = "a heart", reranker: str | None = "vlm", **config: Any) -> Any:
    events = stage.runner.start(prompt, setup(reranker, **config))
    return [event async for event in events][-1].record


def decisions(search: Any) -> list[tuple[float, str]]:
    return [(round(candidate.similarity, 2), candidate.decision) for candidate in search.candidates]


@pytest.fixture
def stocked(stage: Any) -> Any:
    """Three pictures that pass, two that do not; the judge misses the heart once."""
    for similarity in (0.9, 0.8, 0.7, 0.1, 0.05):
        stage.library.plant(CAPTION, similarity=similarity)
    stage.judge.enqueue(["a heart"], [])
    return stage


async def test_off_by_default(stocked: Any) -> None:
    record = await run(stocked, reranker=None)
    assert decisions(record.searches[0])[:2] == [(0.9, "taken"), (0.8, "reserve")]
    assert not [call for call in stocked.judge.calls if call.method == "choose"]
    assert "rerank" not in record.calls


async def test_the_judge_orders_what_passed_and_rejects_what_does_not_fit(stocked: Any) -> None:
    stocked.judge.enqueue_rankings([2, 1])
    record = await run(stocked)
    search = record.searches[0]
    assert decisions(search) == [
        (0.7, "taken"),
        (0.8, "reserve"),
        (0.9, "rejected_by_reranker"),
        (0.1, "below_threshold"),
        (0.05, "below_threshold"),
    ]
    assert (search.reranker, search.note) == ("vlm:scripted:judge", "")
    assert record.references[0].image == search.candidates[0].image
    (asked,) = [call for call in stocked.judge.calls if call.method == "choose"]
    assert len(asked.arguments["images"]) == 3  # never those below the threshold
    (call,) = [call for call in record.call_log if call.role == "rerank"]
    assert (call.backend, call.round, call.raw_response) == ("vlm:scripted:judge", 1, "2, 1")


async def test_it_is_paid_for_once(stocked: Any) -> None:
    stocked.judge.enqueue_rankings([1])
    first = await run(stocked)
    again = await run(stocked, cache="replay")
    assert [decisions(search) for search in again.searches] == [decisions(search) for search in first.searches]
    assert len([call for call in stocked.judge.calls if call.method == "choose"]) == 1


async def test_an_answer_that_cannot_be_read_changes_nothing_and_is_noted(stocked: Any) -> None:
    stocked.judge.enqueue_rankings(JudgeReplyError("no numbers", raw="the pretty one"))
    record = await run(stocked)
    search = record.searches[0]
    assert decisions(search)[:3] == [(0.9, "taken"), (0.8, "reserve"), (0.7, "reserve")]
    assert search.reranker == ""
    assert "no numbers" in search.note
    (call,) = [call for call in record.call_log if call.role == "rerank"]
    assert (call.raw_response, call.error) == ("the pretty one", "no numbers")


async def test_when_nothing_fits_the_prompt_itself_is_searched_with(stocked: Any) -> None:
    stocked.judge.enqueue_rankings([], [])
    stocked.library.plant("a red scene with a heart", similarity=0.6)
    record = await run(stocked, "a red scene with a heart")
    assert [search.query.by for search in record.searches] == ["caption", "prompt"]
    assert {candidate.decision for candidate in record.searches[0].candidates} == {
        "rejected_by_reranker",
        "below_threshold",
    }
    assert record.outcome is Outcome.NO_USABLE_REFERENCE


async def test_bm25_asks_no_model(stocked: Any) -> None:
    record = await run(stocked, reranker="bm25", max_calls=4)
    assert record.searches[0].reranker == "bm25"
    assert "rerank" not in record.calls
    assert record.outcome is Outcome.ALIGNED


class Priced(VlmReranker):
    """Costs a dime; remembers how many ask at once."""

    capabilities = Capabilities(
        tariff=PriceEstimator(known=True, most=lambda prompt, images, size: 0.1), needs_images=True
    )
    identity = "priced"
    asked = 0

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        type(self).asked += 1
        await asyncio.sleep(0.01)
        return Ranking(order=tuple(range(len(hits))), cost_usd=0.1)


class OfWords(Priced):
    """Asks a model about words alone."""

    capabilities = Capabilities(tariff=FREE, asks_model=True)

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        assert not images
        return await super().rerank(query, hits, images)


async def test_a_model_that_reads_words_alone_is_a_call_like_any_other(stocked: Any) -> None:
    stocked.runner.dependencies.use("reranker", "words", OfWords(stocked.judge))
    OfWords.asked = 0
    record = await run(stocked, reranker="words")
    assert (record.calls["rerank"], record.searches[0].reranker) == (1, "priced")
    again = await run(stocked, reranker="words", cache="replay")
    assert (OfWords.asked, again.searches[0].reranker) == (1, "priced")
    config, ports = RunConfig(), {"generator": stocked.generator, "judge": stocked.judge, "library": True}
    with_it = estimate(config, **ports, reranker=OfWords(stocked.judge))
    assert with_it.max_calls > estimate(config, **ports).max_calls


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (RefusalError("not these"), Outcome.REFUSED),
        (BackendError("gone", retryable=False), Outcome.JUDGE_UNAVAILABLE),
    ],
)
async def test_a_model_that_does_not_rank_ends_the_run_by_name(stocked: Any, failure: Any, outcome: Outcome) -> None:
    stocked.judge.enqueue_rankings(failure)
    record = await run(stocked)
    assert record.outcome is outcome
    assert record.best_attempt == 0
    assert [call.role for call in record.call_log if call.error] == ["rerank"]


async def test_a_call_lost_on_the_way_is_made_again_and_told(stocked: Any) -> None:
    stocked.judge.enqueue_rankings(BackendError("busy", retryable=True), [1, 0])
    record = await run(stocked)
    assert [call.completed for call in record.call_log if call.role == "rerank"] == [False, True]
    assert decisions(record.searches[0])[0] == (0.8, "taken")


def many(stage: Any, concepts: int) -> None:
    """That many concepts are missing at once: as many searches run in parallel."""
    names = [f"thing {number}" for number in range(concepts)]
    for name in names:
        stage.library.plant(f"a detailed picture of {name}", similarity=0.8)
    stage.judge.enqueue(names, [])
    Priced.asked = 0
    stage.runner.dependencies.use("reranker", "priced", Priced(stage.judge))
    stage.judge.capabilities = stage.generator.capabilities = Capabilities(tariff=FREE)


@pytest.mark.parametrize(("allowed", "reranked"), [(2, 0), (3, 1), (4, 2), (6, 4)])
async def test_searches_at_once_never_exceed_the_calls_that_are_left(stage: Any, allowed: int, reranked: int) -> None:
    many(stage, 4)
    record = await run(stage, reranker="priced", max_calls=allowed)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert sum(record.calls.values()) <= allowed
    assert Priced.asked == record.calls.get("rerank", 0) == reranked


@pytest.mark.parametrize(("allowed", "reranked"), [(0.3, 0), (0.4, 4)])
async def test_searches_at_once_never_exceed_the_money_that_is_left(stage: Any, allowed: float, reranked: int) -> None:
    many(stage, 4)
    record = await run(stage, reranker="priced", max_cost_usd=allowed)
    assert Priced.asked == reranked
    assert (record.outcome is Outcome.BUDGET_EXHAUSTED) == (reranked == 0)


async def test_of_very_many_searches_only_the_first_are_reranked(stage: Any) -> None:
    many(stage, LOOKED_AT + 2)
    record = await run(stage, reranker="priced")
    assert record.calls["rerank"] == LOOKED_AT
    assert [bool(search.note) for search in record.searches] == [False] * LOOKED_AT + [True] * 2


def test_the_estimate_counts_its_calls(stage: Any) -> None:
    config = RunConfig(max_rounds=2)
    ports = {"generator": stage.generator, "judge": stage.judge}
    without = estimate(config, **ports)
    assert estimate(config, **ports, reranker=Bm25Reranker()).max_calls == without.max_calls
    found = estimate(config, **ports, reranker=VlmReranker(stage.judge))
    (role,) = [role for role in found.roles if role.role == "rerank"]
    assert (role.expected_calls, role.max_calls) == (2, 2 * (len(TEMPERATURES) * LOOKED_AT + 1) * 3)
    assert found.max_calls == without.max_calls + role.max_calls
    assert not [role for role in without.roles if role.role == "rerank"]
