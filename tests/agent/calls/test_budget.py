"""Budgets in calls and money: shares of searches that run at once, and what a call can cost at most."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.calls.costs import (
    after_observed_calls,
    budget_violation,
    estimator_for,
    max_cost,
    max_observed_cost,
    requests_made,
    spent,
    spent_by_siblings,
)
from imagerag.agent.ports import Capabilities, PriceEstimator
from imagerag.agent.types import Concept, ModelCall, Query, RunConfig

TASK: Any = {"query": Query(concept=Concept(text="a heart"), text="a heart"), "round": 1, "passed_over": []}


def call(role: str = "judge.critique", **values: Any) -> ModelCall:
    return ModelCall(role=role, backend="b", elapsed_s=0, **values)


@given(limit=st.integers(1, 40), made=st.integers(0, 40), count=st.integers(1, 8))
def test_the_shares_of_searches_are_all_that_is_left_of_the_calls(limit: int, made: int, count: int) -> None:
    config = RunConfig(max_calls=limit)
    shares = [
        limit - requests_made(spent_by_siblings({**TASK, "place": [n, count], "made": made}, config), done_again=False)
        for n in range(count)
    ]
    assert sum(max(0, share) for share in shares) == max(0, limit - made)
    assert max(shares) - min(shares) <= 1


@given(limit=st.floats(0.01, 10), gone=st.floats(0, 12), count=st.integers(1, 8))
def test_the_shares_of_searches_are_all_that_is_left_of_the_money(limit: float, gone: float, count: int) -> None:
    config = RunConfig(max_cost_usd=limit)
    task = {**TASK, "made": 3, "spent_usd": gone}
    shares = [limit - spent(spent_by_siblings({**task, "place": [n, count]}, config)) for n in range(count)]  # type: ignore[typeddict-item]
    assert sum(max(0.0, share) for share in shares) == pytest.approx(max(0.0, limit - gone))


def test_a_call_that_fits_to_the_cent_is_made_and_one_that_does_not_is_not() -> None:
    tariff = PriceEstimator(known=True)
    before = [call(cost_usd=0.1), call(cost_usd=0.2)]
    assert budget_violation("judge.critique", "b", before, tariff, 0.7, 1.0) == ""
    assert "can cost $0.71" in budget_violation("judge.critique", "b", before, tariff, 0.71, 1.0)


def test_where_nothing_is_known_of_a_call_it_is_made_while_money_is_left() -> None:
    tariff = PriceEstimator(known=True)
    assert budget_violation("rerank", "b", [call(cost_usd=0.9)], tariff, None, 1.0) == ""
    assert budget_violation("rerank", "b", [call(cost_usd=1.0)], tariff, None, 1.0)


def test_what_was_reused_is_no_measure_of_what_a_call_costs() -> None:
    calls = [call(cost_usd=0.0, cached=True)]
    assert max_observed_cost("judge.critique", calls) is None
    assert max_observed_cost("judge.critique", [*calls, call(cost_usd=0.2), call(cost_usd=0.1)]) == 0.2


def test_what_is_not_known_is_booked_at_its_most_and_else_as_the_dearest() -> None:
    assert spent([call(max_cost_usd=0.5)]) == 0.5
    assert spent([call(cost_usd=0.2), call()]) == pytest.approx(0.4)
    assert spent([call()]) == 0


def test_what_was_reused_is_a_request_only_where_a_run_is_done_again() -> None:
    calls = [call(requests=3), call(cached=True, requests=2)]
    assert (requests_made(calls, done_again=False), requests_made(calls, done_again=True)) == (3, 5)


def most(content: dict[str, Any], partial_images: int = 0) -> tuple[int, int, float]:
    seen: list[tuple[int, int]] = []

    def of(prompt: int, images: int, size: object) -> float:
        seen.append((prompt, images))
        return 1.0

    usd = max_cost(PriceEstimator(known=True, partial_usd=0.25, most=of), content, None, partial_images)
    assert usd is not None
    return (*seen[0], usd)


def test_what_a_call_can_cost_counts_its_images_masks_words_and_unfinished_pictures() -> None:
    assert most({"prompt": "ä", "images": []}) == (2, 0, 1.0)
    assert most({"prompt": "a", "images": ["f" * 64]}) == (401, 1, 1.0)
    words, images, _ = most(
        {"prompt": "a", "images": [["f" * 64, "reference", "heart", "a heart"]], "masks": ["e" * 64]}
    )
    assert (words, images) == (1 + 400 + 40 + 5 + 7, 2)
    assert most({"prompt": "a", "image": "f" * 64, "subjects": ["e" * 64]})[1] == 2
    assert most({"prompt": "a", "images": []}, partial_images=2)[2] == 1.5


def test_what_a_question_can_cost_counts_its_sources_and_what_was_said_before() -> None:
    short, _, _ = most({"question": "why", "images": []})
    source = {"title": "a mug", "metadata": {"notes": "n" * 5000}}
    asked = {"question": "why", "sources": [source], "earlier": [["before", "b" * 700]], "finding": None, "images": []}
    long, _, _ = most(asked)
    assert short == 3
    assert long > 3 + 5000 + 700


def test_what_a_service_has_said_goes_before_what_it_could_have_cost_and_that_before_others() -> None:
    assert spent([call(cost_usd=0.1, max_cost_usd=0.5)]) == 0.1
    assert spent([call(cost_usd=0.2), call(max_cost_usd=0.5)]) == pytest.approx(0.7)
    assert spent([call(cost_usd=0.0, max_cost_usd=0.5)]) == 0.0
    assert spent([call(cost_usd=0.2, cached=True), call("generate", cost_usd=0.3), call()]) == pytest.approx(0.3)


KNOWN = PriceEstimator(known=True)


@pytest.mark.parametrize(
    ("made", "known"),
    [
        ({"completed": True}, False),
        ({"completed": True, "error": "damaged"}, True),
        ({"completed": False}, True),
        ({"completed": True, "cost_usd": 0.0}, True),
        ({"completed": True, "max_cost_usd": 0.5}, True),
        ({"completed": True, "role": "generate"}, True),
    ],
)
def test_a_price_is_known_no_more_when_a_service_answered_and_did_not_say_what_it_used(
    made: dict[str, Any], known: bool
) -> None:
    made = {"role": "judge.critique", **made}
    assert after_observed_calls(KNOWN, "judge.critique", [call(**made)]).known is known
    assert not after_observed_calls(PriceEstimator(), "judge.critique", []).known


def test_under_a_budget_an_unknown_price_stops_the_call_unless_what_it_costs_at_most_is_known() -> None:
    assert "the price of b is not known" in budget_violation("generate", "b", [], PriceEstimator(), None, 1.0)
    assert budget_violation("generate", "b", [], PriceEstimator(), 0.5, 1.0) == ""
    assert "can cost $1.50" in budget_violation("generate", "b", [], PriceEstimator(), 1.5, 1.0)


def test_a_call_that_can_cost_nothing_is_made_whatever_others_of_its_kind_have_cost() -> None:
    before = [call("generate", cost_usd=0.9)]
    assert budget_violation("generate", "b", before, KNOWN, 0.0, 1.0) == ""
    assert "has cost up to $0.90" in budget_violation("generate", "b", before, KNOWN, None, 1.0)


def test_each_backend_is_paid_by_its_own_tariff() -> None:
    one, two, three = (PriceEstimator(known=True, partial_usd=usd) for usd in (1.0, 2.0, 3.0))
    ports: list[Any] = [
        type("Port", (), {"capabilities": Capabilities(tariff=tariff)})() for tariff in (one, two, three)
    ]
    backends = dict(zip(("generate", "judge", "rerank"), ports, strict=True))
    assert [estimator_for(role, backends) for role in ("generate", "judge.critique", "judge.captions", "rerank")] == [
        one,
        two,
        two,
        three,
    ]
    assert not estimator_for("answer", backends).known
    assert not estimator_for("rerank", {**backends, "rerank": None}).known
