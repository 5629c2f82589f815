"""The document: metrics are a recount of the cases, and what could not be scored never helps."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagerag.evals.check_record import Check, CheckSummary, Share, Target, share, unscored_check

LOW = Target(limit="at_most", value=0.02)
HIGH = Target(value=0.95)


def document(cases: list[Check], targets: dict[str, Target]) -> CheckSummary:
    return CheckSummary.of(cases, targets, {})


def test_a_failure_is_counted_apart_and_stays_in_the_denominator() -> None:
    cases = [Check(id=f"a/{n}", prompt="x", results={"right": n > 0}) for n in range(4)]
    cases.append(unscored_check("a/4", "x", ["right", "named"], RuntimeError("broken")))
    made = document(cases, {})
    right = made.metrics["right"]
    assert (right.value, right.n, right.failed) == (3 / 5, 5, 1)
    assert (made.metrics["named"].value, made.metrics["named"].failed) == (0.0, 1)
    (failure,) = made.failures
    assert (failure.case, failure.error, failure.message) == ("a/4", "RuntimeError", "broken")


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=300), st.sampled_from([LOW, HIGH]))
def test_a_target_met_with_failures_is_met_however_they_would_have_gone(
    results: list[bool | None], target: Target
) -> None:
    if share(results, target).passed:
        for would_have in (True, False):
            assert share([would_have if result is None else result for result in results], target).passed


def test_no_cases_no_figure() -> None:
    assert share([], HIGH) == Share(value=None, n=0, target=HIGH)
    assert document([], {}).missed == []


def test_it_goes_through_json() -> None:
    made = document([Check(id="a/0", prompt="x", results={"low": True}, note="n")], {"low": LOW})
    text = made.model_dump_json()
    assert CheckSummary.model_validate_json(text) == made
    assert made.missed == ["low"]
    with pytest.raises(ValidationError):
        CheckSummary.model_validate({**json.loads(text), "more": 1})


def test_the_table_has_every_metric_its_counts_and_its_target() -> None:
    cases = [Check(id=f"a/{n}", prompt="x", results={"high": n != 0, "plain": n == 0}) for n in range(20)]
    cases.append(unscored_check("a/20", "x", ["plain"], ValueError("?")))
    made = document(cases, {"high": HIGH})
    head, *rows = made.table()
    assert len(head) == 5
    assert rows[0] == ["high", "0.950 ± 0.049", "19 / 20", "≥ 0.95", "passed"]
    assert rows[1] == ["plain", "0.048 ± 0.046", "1 / 21 (1 failed)", "", ""]
    assert (made.cases, len(made.failures)) == (21, 1)
