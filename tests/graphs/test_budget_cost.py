"""Budgets in money: what is known before a call decides whether it is made. Estimates: a ceiling that holds."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from imagerag.agent.calls.costs import budget_violation, spent
from imagerag.agent.errors import BackendError, JudgeReplyError
from imagerag.agent.ports import (
    FREE,
    Capabilities,
    Captions,
    Critique,
    GeneratedImage,
    MissingConcepts,
    Preference,
    PriceEstimator,
)
from imagerag.agent.types import Concept, ModelCall, Outcome, RunConfig, RunSpec, Verdict
from imagerag.graphs.cost_estimate import estimate
from imagerag.store.journal import StoreJournal
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.fallback.judge import FallbackJudge
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, sample_image

AT_MOST_TEN_CENTS = PriceEstimator(known=True, most=lambda prompt, images, size: 0.10)
KNOWN_AFTERWARDS = PriceEstimator(known=True)


def drawn(cost: float | None, name: str = "x") -> GeneratedImage:
    return GeneratedImage(data=sample_image(name), cost_usd=cost)


def priced(bench: Any, tariff: PriceEstimator, judging: PriceEstimator = FREE) -> Any:
    bench.generator.capabilities, bench.judge.capabilities = (
        Capabilities(tariff=tariff),
        Capabilities(tariff=judging),
    )
    bench.library.plant("a detailed picture of a heart")
    return bench


async def test_a_call_that_could_cost_too_much_is_not_made(bench):
    priced(bench, AT_MOST_TEN_CENTS).judge.enqueue(["a heart"])
    bench.generator.enqueue(drawn(0.04))
    record = await bench.run(max_cost_usd=0.12)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert "has spent $0.0400" in record.reason
    assert "can cost $0.10" in record.reason
    assert len(bench.generator.calls) == 1
    assert record.best_attempt == 0
    assert any("`max_cost_usd`" in step for step in record.next_steps)


async def test_a_budget_that_suffices_changes_nothing(bench):
    priced(bench, AT_MOST_TEN_CENTS).judge.enqueue(["a heart"], [])
    bench.generator.enqueue(drawn(0.10, "a"), drawn(0.10, "b"))
    assert (await bench.run(max_cost_usd=0.2)).outcome is Outcome.ALIGNED


async def test_without_a_worst_case_the_dearest_call_so_far_is_expected(bench):
    priced(bench, KNOWN_AFTERWARDS).judge.enqueue(["a heart"])
    bench.generator.enqueue(drawn(0.07))
    record = await bench.run(max_cost_usd=0.13)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert "has cost up to $0.07" in record.reason


@pytest.mark.parametrize("role", ["generator", "judge"])
async def test_under_a_budget_a_backend_of_unknown_price_is_not_called(bench, role):
    priced(bench, FREE)
    del vars(getattr(bench, role))["capabilities"]
    bench.judge.enqueue([])
    record = await bench.run(max_cost_usd=1)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert f"the price of scripted:{role} is not known" in record.reason
    assert "prices.toml" in record.reason
    call = "runs.continue_" if role == "judge" else "generate"
    assert call in record.next_steps[0]
    assert "assume_cost_usd_per_call=X)`" in record.next_steps[0]
    assert "max_cost_usd" not in "".join(record.next_steps)
    assert getattr(bench, role).calls == []


async def test_without_a_budget_what_is_unknown_is_said(bench):
    bench.generator.enqueue(drawn(0.04))
    bench.judge.enqueue([])
    record = await bench.run()
    assert record.cost_usd is None
    assert record.has_unknown_cost == ["scripted:judge"]


async def test_nothing_may_be_spent_and_what_is_free_runs(bench):
    priced(bench, FREE).judge.enqueue([])
    bench.generator.enqueue(drawn(0.0))
    assert (await bench.run(max_cost_usd=0)).outcome is Outcome.ALIGNED
    again = priced(type(bench)(), AT_MOST_TEN_CENTS)
    assert (await again.run(max_cost_usd=0)).outcome is Outcome.BUDGET_EXHAUSTED
    assert again.generator.calls == []


@pytest.mark.parametrize("limit", [None, 0.5])
async def test_what_came_and_cannot_be_read_costs_its_most_and_never_nothing(bench, limit):
    priced(bench, AT_MOST_TEN_CENTS)
    bench.generator.enqueue(b"half an image")
    record = await bench.run(max_cost_usd=limit)
    assert record.outcome is Outcome.FAILED
    assert (record.cost_usd, record.unsettled_usd, record.has_unknown_cost) == (0.1, 0.1, [])


@pytest.mark.parametrize(("price", "cost"), [(AT_MOST_TEN_CENTS, 0.2), (FREE, 0.0), (KNOWN_AFTERWARDS, None)])
async def test_a_verdict_that_cannot_be_read_was_paid_for(bench, price, cost):
    priced(bench, FREE, judging=price).judge.enqueue(JudgeReplyError("no verdict"), JudgeReplyError("no verdict"))
    bench.generator.enqueue(drawn(0.0))
    record = await bench.run()
    assert (record.outcome, record.cost_usd) == (Outcome.JUDGE_UNAVAILABLE, cost)


async def test_a_verdict_that_cannot_be_read_costs_what_its_service_told(bench):
    bench = priced(bench, FREE, judging=AT_MOST_TEN_CENTS)
    told = [JudgeReplyError("no verdict").with_cost(usd, {"output_tokens": 7}) for usd in (0.001, 0.002)]
    bench.judge.enqueue(*told)
    bench.generator.enqueue(drawn(0.0))
    record = await bench.run(max_cost_usd=1.0)
    assert (record.cost_usd, record.unsettled_usd) == (pytest.approx(0.003), 0)
    assert [call.usage for call in record.call_log if call.error] == [{"output_tokens": 7}] * 2


async def test_a_failed_call_costs_what_its_service_told(bench):
    bench = priced(bench, AT_MOST_TEN_CENTS)
    words = BackendError("words instead of an image", retryable=False).with_cost(0.004, {"text_out": 9})
    words.unsettled = True
    bench.generator.enqueue(words)
    record = await bench.run(max_cost_usd=1.0)
    assert (record.cost_usd, record.unsettled_usd) == (pytest.approx(0.004), 0)
    assert record.call_log[0].usage == {"text_out": 9}


@pytest.mark.parametrize("cost", [float("nan"), -1.0, "0.1", True])
async def test_a_cost_that_is_none_is_not_told(bench, cost):
    bench = priced(bench, FREE, judging=AT_MOST_TEN_CENTS)
    bench.judge.enqueue(*[JudgeReplyError("no verdict").with_cost(cost, {"a": -1}) for _ in range(2)])
    bench.generator.enqueue(drawn(0.0))
    record = await bench.run(max_cost_usd=1.0)
    assert record.cost_usd == record.unsettled_usd == pytest.approx(0.2)


async def test_what_was_lost_on_the_way_is_booked_at_its_most(bench):
    priced(bench, AT_MOST_TEN_CENTS)
    bench.generator.enqueue(BackendError("reset"), drawn(0.01))
    record = await bench.run(max_cost_usd=0.15)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert [call.max_cost_usd for call in record.call_log] == [0.10]


async def test_reused_answers_cost_nothing(stage):
    async def run(**config: Any) -> Any:
        setup = RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig(**config))
        return [event async for event in stage.runner.start("a heart", setup)][-1].record

    stage.judge.enqueue([])
    await run()
    assert (await run(cache="reuse", max_cost_usd=0)).outcome is Outcome.ALIGNED


async def test_a_node_that_is_tried_again_does_not_ask_again_what_was_answered(bench):
    """The first answer cannot be read, the second ask is lost: the next try goes on with the second ask."""
    bench.journal = StoreJournal(InMemoryStore())
    bench.judge.enqueue(JudgeReplyError("gibberish"), BackendError("503"), True)
    record = await bench.run()
    assert record.outcome is Outcome.ALIGNED
    assert [call.arguments["variation"].prompt_variant for call in bench.judge.calls] == [0, 1, 1]
    told = [(call.completed, call.error) for call in record.call_log if call.role == "judge.critique"]
    assert sorted(told, key=str) == [(False, "503"), (True, "gibberish"), (True, None)]


def test_what_is_spent_counts_the_unknown_at_what_is_known_of_it():
    def call(**what: Any) -> ModelCall:
        return ModelCall(role="generate", backend="b", elapsed_s=0, **what)

    assert spent(
        [call(cost_usd=0.1), call(), call(max_cost_usd=0.5), call(cost_usd=0.0, cached=True)]
    ) == pytest.approx(0.7)
    assert spent([call()]) == 0
    assert budget_violation("generate", "b", [call(cost_usd=0.3)] * 3, PriceEstimator(known=True), 0.1, 1.0) == ""


async def test_an_unreadable_answer_was_paid_for(bench):
    priced(bench, FREE, AT_MOST_TEN_CENTS)
    bench.generator.enqueue(drawn(0.0))
    bench.judge.enqueue(JudgeReplyError("gibberish"), [])
    record = await bench.run(max_cost_usd=0.15)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED


class Chaos:
    """Throws a coin for everything a model can do."""

    def __init__(self, bench: Any, seed: int) -> None:
        self.coin = random.Random(seed)
        self.rates = [self.coin.choice((0.0, 0.2, 0.6)) for _ in range(3)]
        generator, judge = bench.generator, bench.judge
        draws = generator.generate

        async def generate(prompt: str, references: Any, **rest: Any) -> GeneratedImage:
            self._fail()
            return await draws(f"{prompt}/{self.coin.random()}", references, **rest)

        async def critique(prompt: str, image: Any, **rest: Any) -> Critique:
            self._fail(unreadable=True)
            missing = tuple(Concept(text=name, caption=self._caption()) for name in self._named())
            return Critique(verdict=Verdict(aligned=self.coin.random() < 0.1, missing=missing))

        async def missing_concepts(prompt: str, image: Any, **rest: Any) -> MissingConcepts:
            self._fail(unreadable=True)
            return MissingConcepts(concepts=tuple(Concept(text=name) for name in self._named()))

        async def captions(prompt: str, concepts: Any, **rest: Any) -> Captions:
            self._fail(unreadable=True)
            return Captions(captions=tuple(self._caption() or "" for _ in concepts))

        async def compare(prompt: str, first: Any, second: Any) -> Preference:
            self._fail(unreadable=True)
            return Preference(better=self.coin.choice(("first", "second", "neither")))

        generator.generate = generate
        judge.critique, judge.missing_concepts = critique, missing_concepts
        judge.captions, judge.compare = captions, compare

    def _fail(self, *, unreadable: bool = False) -> None:
        if self.coin.random() < self.rates[0]:
            raise BackendError("503", retryable=self.coin.random() < 0.95)
        if unreadable and self.coin.random() < self.rates[1]:
            raise JudgeReplyError("gibberish", raw="gibberish")

    def _named(self) -> list[str]:
        return [] if self.coin.random() < self.rates[2] else self.coin.sample(["a heart", "a star", "a moon"], 2)

    def _caption(self) -> str | None:
        return self.coin.choice([None, f"picture {self.coin.randrange(20)}", "very long " * 30])


@settings(max_examples=70, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rounds=st.integers(0, 4),
    mode=st.sampled_from(["fused", "stepwise"]),
    start=st.sampled_from(["generate", "retrieve"]),
    references=st.sampled_from([None, 1, 3]),
    calls=st.sampled_from([None, None, 7]),
    levers=st.sampled_from([frozenset(), frozenset({"temperature"}), frozenset({"seed"})]),
    library=st.booleans(),
)
def test_no_run_makes_more_calls_than_the_estimate(
    new_bench, seed, rounds, mode, start, references, calls, levers, library
):
    bench = new_bench(journal=StoreJournal(InMemoryStore()))
    bench.judge.honours = levers
    if library:
        bench.library.context_length = 12
        for number in range(20):
            bench.library.plant(f"picture {number}")
        bench.library.plant({"a scene": 0.9, "a heart": 0.8, "a star": 0.7})
    else:
        bench.library = None
    Chaos(bench, seed)
    config = {
        "max_rounds": rounds,
        "judge_mode": mode,
        "start": start,
        "max_references": references,
        "max_calls": calls,
    }
    found = estimate(RunConfig(**config), generator=bench.generator, judge=bench.judge, library=library)
    record = asyncio.run(bench.run(**config))
    assert len(record.call_log) <= found.max_calls
    for role in found.roles:
        assert record.calls.get(role.role, 0) <= role.max_calls


async def test_the_estimate_is_reached_by_a_run_in_which_everything_goes_wrong(bench):
    lost, gibberish = BackendError("503"), JudgeReplyError("gibberish")
    bench.journal, bench.library.context_length = StoreJournal(InMemoryStore()), 12
    bench.library.plant("short")
    bench.generator.enqueue(*[lost, lost, None] * 2)
    bench.judge.enqueue(*[lost, gibberish, lost, False] * 2)
    for concept, caption in (("a heart", "brief"), ("a moon", "terse"), ("an organ", "short")):
        bench.judge.enqueue_missing(lost, lost, [concept])
        bench.judge.enqueue_captions(gibberish, ["very long " * 30], lost, gibberish, lost, [caption])
    bench.judge.enqueue_preferences("second", "first")
    found = estimate(RunConfig(max_rounds=1), generator=bench.generator, judge=bench.judge)
    record = await bench.run(max_rounds=1)
    assert record.calls == {role.role: role.max_calls for role in found.roles}
    assert len(record.call_log) == found.max_calls == 43
    assert (record.outcome, record.best_attempt) == (Outcome.BEST_EFFORT, 1)


@pytest.mark.parametrize(("mode", "calls"), [("fused", 5), ("stepwise", 9)])
async def test_the_usual_number_is_that_of_a_run_in_which_nothing_goes_wrong(bench, mode, calls):
    bench.library.plant("a detailed picture of a heart")
    bench.library.plant({"a detailed picture of a heart": 0.8})
    verdicts = [False] * 3 if mode == "stepwise" else [["a heart", "a star"], ["a heart"], []]
    bench.judge.enqueue(*verdicts)
    bench.judge.enqueue_missing(["a heart"], ["a heart"])
    found = estimate(RunConfig(max_rounds=2, judge_mode=mode), generator=bench.generator, judge=bench.judge)
    record = await bench.run(max_rounds=2, judge_mode=mode, max_references=1)
    usual = {role.role: role.expected_calls for role in found.roles if role.role != "judge.compare"}
    made = {role: record.calls.get(role, 0) for role in usual}
    assert made == usual
    assert sum(made.values()) == calls + 1


def test_money_is_estimated_where_it_is_known_and_said_not_to_be_where_it_is_not():
    one, judge = ScriptedGenerator(identity="one:a"), ScriptedJudge()
    unknown = estimate(RunConfig(max_rounds=1), generator=one, judge=judge)
    assert (unknown.max_cost_usd, unknown.has_unknown_cost, unknown.priced) == (
        None,
        ["one:a", "scripted:judge"],
        False,
    )
    one.capabilities, judge.capabilities = Capabilities(tariff=AT_MOST_TEN_CENTS), Capabilities(tariff=FREE)
    known = estimate(RunConfig(max_rounds=1), generator=one, judge=judge)
    assert (known.max_cost_usd, known.priced, known.has_unknown_cost) == (pytest.approx(0.6), True, [])
    both = estimate(
        RunConfig(max_rounds=1), generator=FallbackGenerator([one, one]), judge=FallbackJudge([judge, judge, judge])
    )
    assert both.max_cost_usd == pytest.approx(1.2)
    assert both.max_calls == known.max_calls
    assert [role.requests_at_most // role.max_calls for role in both.roles] == [2, 3, 3, 3, 3]
    capped = estimate(RunConfig(max_rounds=1, max_cost_usd=0.25, max_calls=3), generator=one, judge=judge)
    assert (capped.max_cost_usd, capped.max_calls) == (0.25, 3)


def test_a_replay_counts_no_calls():
    judge = FallbackJudge([ScriptedJudge(), ScriptedJudge()])
    found = estimate(RunConfig(cache="replay"), generator=ScriptedGenerator(), judge=judge)
    assert (found.max_calls, found.expected_calls, found.max_cost_usd, found.has_unknown_cost) == (0, 0, 0.0, [])
    assert {role.requests_at_most for role in found.roles} == {0}
    assert "no call is made" in found.notes[0]


def test_what_cannot_be_redrawn_is_not_counted():
    generator, judge = ScriptedGenerator(max_references=2), ScriptedJudge()
    for options in ({"library": False}, {"subjects": 2}):
        found = estimate(RunConfig(), generator=generator, judge=judge, **options)
        assert (found.roles[0].expected_calls, found.roles[1].expected_calls, found.roles[4].max_calls) == (1, 1, 0)
    handed = estimate(RunConfig(max_rounds=1), generator=generator, judge=judge, initial_image=True)
    assert handed.roles[0].expected_calls == 1
