"""The document: metrics are a recount of the cases, and what could not be scored never helps."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagerag.evals.sketch.report_document import Case, Evaluation, Metric, Target, count, failures, share, unscored

LOW = Target(bound="at_most", value=0.02)
HIGH = Target(value=0.95)


def document(cases: list[Case], targets: dict[str, Target]) -> Evaluation:
    return Evaluation(
        suite="test", settings={}, metrics=count(cases, targets), failures=failures(cases),
        elapsed_s={"total": 1.0}, cases=tuple(cases),
    )  # fmt: skip


def test_a_failure_is_counted_apart_and_stays_in_the_denominator() -> None:
    cases = [Case(id=f"a/{n}", asked="x", results={"right": n > 0}) for n in range(4)]
    cases.append(unscored("a/4", "x", ["right", "named"], RuntimeError("broken")))
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
    if share(results, target).met:
        for would_have in (True, False):
            assert share([would_have if result is None else result for result in results], target).met


def test_no_cases_no_figure() -> None:
    assert share([], HIGH) == Metric(value=None, n=0, target=HIGH)
    assert document([], {}).met


def test_it_goes_through_json_and_says_its_schema_first() -> None:
    made = document([Case(id="a/0", asked="x", results={"low": True}, note="n")], {"low": LOW})
    text = json.dumps(made.as_json())
    assert next(iter(json.loads(text))) == "schema"
    assert json.loads(text)["schema"] == "imagerag.eval/1"
    assert Evaluation.model_validate_json(text) == made
    assert not made.met
    with pytest.raises(ValidationError):
        Evaluation.model_validate({**made.as_json(), "more": 1})


def test_the_table_has_every_metric_its_counts_and_its_target() -> None:
    cases = [Case(id=f"a/{n}", asked="x", results={"high": n != 0, "plain": n == 0}) for n in range(20)]
    cases.append(unscored("a/20", "x", ["plain"], ValueError("?")))
    table = document(cases, {"high": HIGH}).table()
    assert "19 / 20" in table
    assert "≥ 0.95    met" in table
    assert "1 / 21 (1 failed)" in table
    assert "21 cases, 1 failure" in table
