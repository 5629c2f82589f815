"""`assume_cost_usd_per_call`: what a call counts as whose price nobody knows."""

from typing import Any

import pytest

from imagerag.agent.ports import FREE, Capabilities, GeneratedImage, PriceEstimator
from imagerag.agent.types import Outcome, RunConfig
from imagerag.graphs.cost_estimate import estimate
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, sample_image


def unpriced(bench: Any, *, judge: PriceEstimator = FREE) -> Any:
    bench.judge.capabilities = Capabilities(tariff=judge)
    bench.library.plant("a detailed picture of a heart")
    return bench


def drawn(cost: float | None, name: str = "x") -> GeneratedImage:
    return GeneratedImage(data=sample_image(name), cost_usd=cost)


async def test_a_call_of_unknown_price_counts_as_what_was_assumed_and_the_record_says_so(bench):
    unpriced(bench).judge.enqueue(["a heart"])
    bench.generator.enqueue(drawn(None))
    record = await bench.run(max_cost_usd=0.5, assume_cost_usd_per_call=0.3)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert len(bench.generator.calls) == 1
    assert record.call_log[0].assumed
    assert record.call_log[0].max_cost_usd == 0.3
    assert record.call_log[0].cost_usd is None
    assert record.has_unknown_cost == ["scripted:generator", "scripted:judge"][: len(record.has_unknown_cost)]
    assert record.assumed_usd == 0.3


async def test_without_it_the_refusal_says_what_to_type(bench):
    unpriced(bench)
    record = await bench.run(max_cost_usd=0.5)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert "`assume_cost_usd_per_call=X`" in record.reason
    assert "imagerag prices set" in record.reason


async def test_what_a_service_does_say_counts_instead(bench):
    unpriced(bench).judge.enqueue([])
    bench.generator.enqueue(drawn(0.01))
    record = await bench.run(max_cost_usd=0.5, assume_cost_usd_per_call=0.3)
    assert record.outcome is Outcome.ALIGNED
    assert record.assumed_usd == 0


async def test_it_is_recorded_without_a_budget_too(bench):
    unpriced(bench).judge.enqueue([])
    bench.generator.enqueue(drawn(None))
    record = await bench.run(assume_cost_usd_per_call=0.3)
    assert record.assumed_usd == 0.3


async def test_a_known_price_that_no_usage_told_is_unknown_from_then_on(bench):
    unpriced(bench).judge.enqueue(["a heart"])
    bench.generator.capabilities = Capabilities(tariff=PriceEstimator(known=True))
    bench.generator.enqueue(drawn(None))
    record = await bench.run(max_cost_usd=0.5)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert "is not known" in record.reason
    assert len(bench.generator.calls) == 1


def test_a_fallback_counts_each_member_and_votes_count_each():
    free, unknown = ScriptedGenerator(), ScriptedGenerator()
    free.capabilities = Capabilities(tariff=FREE)
    both = FallbackGenerator([free, unknown, unknown])
    tariff = both.capabilities.tariff
    assert tariff is not None
    assert tariff.most(1, 0, None) is None
    assert tariff.assuming(0.2).most(1, 0, None) == pytest.approx(0.4)
    assert PriceEstimator(requests=3).assuming(0.1).most(1, 0, None) == pytest.approx(0.3)


def test_an_estimate_counts_with_it():
    found = estimate(RunConfig(assume_cost_usd_per_call=0.1), generator=ScriptedGenerator(), judge=ScriptedJudge())
    assert found.max_cost_usd is not None
    assert any("$0.1" in note for note in found.notes)
    without = estimate(RunConfig(), generator=ScriptedGenerator(), judge=ScriptedJudge())
    assert without.max_cost_usd is None
    assert any("`assume_cost_usd_per_call=X`" in note for note in without.notes)
