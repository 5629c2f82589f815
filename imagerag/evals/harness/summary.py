"""`summary.json`, schema `imagerag.eval/1`: the figures, computed from the results alone.

The denominator of a share (of an assertion) is all results, failed ones included: a failed result is not a hit. The
mean of a score is over the results that have one, and their number is given; a failed result has no score and does not
count as 0. Statuses are counted separately. The unit is the case: the seeds of a case are averaged first.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import isnan
from pathlib import Path
from typing import Any, Final

from imagerag.evals.check_record import CheckSummary
from imagerag.evals.documents import (
    ArmDifference,
    ArmSummary,
    Correlation,
    EvalSummary,
    Mean,
    MetricSummary,
    MetricValue,
    TagSummary,
)
from imagerag.evals.harness.arm_settings import settings_of
from imagerag.evals.harness.arms import Arm
from imagerag.evals.harness.plan import Plan
from imagerag.evals.result_record import STATUSES, Result
from imagerag.evals.statistics.estimators import Proportion, mean
from imagerag.evals.statistics.significance import Difference, holm, paired, spearman
from imagerag.store.images.blob_store import write_atomically

SUMMARY: Final = "summary.json"
DIGITS: Final = 12

Table = dict[str, dict[str, dict[str, float]]]
"""Metric → arm → case → mean over its seeds."""


class Aggregator:
    """Scores by metric, arm and case. Only numbers are kept, no results, so that memory stays small."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))
        self.kinds: dict[str, str] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.statuses: dict[str, Counter[str]] = defaultdict(Counter)
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.tags: dict[str, tuple[str, ...]] = {}
        self.similarity: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.labels: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self.unscored_reasons: Counter[str] = Counter()
        self.n: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        """Count one result."""
        arm, case = result.arm, result.case
        self.n[arm] += 1
        self.statuses[arm][result.status] += 1
        self.outcomes[arm][str(result.outcome or "none")] += 1
        self.tags[case] = result.tags
        similarities = [r.similarity for a in result.attempts for r in a.references if r.similarity is not None]
        if similarities:
            self.similarity[arm, case].append(sum(similarities) / len(similarities))
        for why in result.unscored_reasons.values():
            self.unscored_reasons[why.partition(":")[0]] += 1
        for name, value in result.scores.items():
            if value is None and name not in result.unscored_reasons:
                continue  # the metric does not apply to this result
            self.asked[name, arm] += 1
            if isinstance(value, str):
                self.kinds[name] = "label"
                self.labels[name][arm][value] += 1
            elif value is not None:
                self.kinds.setdefault(name, "share" if isinstance(value, bool) else "score")
                self.values[name][arm].setdefault(case, []).append(float(value))

    def table(self, *, tag: str | None = None) -> Table:
        """The means over seeds, for the cases with a tag."""
        return {
            name: {
                arm: {
                    case: sum(values) / len(values)
                    for case, values in cases.items()
                    if tag is None or tag in self.tags[case]
                }
                for arm, cases in arms.items()
            }
            for name, arms in self.values.items()
        }


def summarise(plan: Plan, results: Iterable[Result], checks: CheckSummary | None = None) -> dict[str, Any]:
    """Make the `imagerag.eval/1` document of an evaluation's results and checks."""
    scores = Aggregator()
    for result in results:
        scores.add(result)
    names = [arm.name for arm in plan.arms]
    base = names[0]
    table = scores.table()
    summary = EvalSummary(
        suite=dict(plan.suite.identity),
        cases=len(plan.mine),
        results=sum(scores.n.values()),
        base=base,
        arms={arm.name: _arm(scores, plan, arm) for arm in plan.arms},
        metrics={name: _metric(scores, table, name, names) for name in sorted(table)},
        labels={name: {a: dict(c) for a, c in arms.items()} for name, arms in sorted(scores.labels.items())},
        differences={
            name: _differences(table[name], base, names, len(plan.mine))
            for name in sorted(table)
            if base in table[name]
        },
        by_tag=_by_tag(scores, names),
        similarity_to_gain=_gains(scores, table, base, names),
        unscored_reasons=dict(sorted(scores.unscored_reasons.items())),
        checks=checks,
    )
    return summary.model_dump(mode="json", by_alias=True)


def _arm(scores: Aggregator, plan: Plan, arm: Arm) -> ArmSummary:
    return ArmSummary(
        hash=arm.hash(plan.setup),
        n=scores.n[arm.name],
        statuses={status: scores.statuses[arm.name][status] for status in STATUSES},
        outcomes=dict(sorted(scores.outcomes[arm.name].items())),
        settings=settings_of(plan, arm),
    )


def _metric(scores: Aggregator, table: Table, name: str, arms: list[str]) -> MetricSummary:
    by_arm = {}
    for arm in arms:
        if not scores.asked[name, arm]:
            continue
        by_case = scores.values[name].get(arm, {})
        share = scores.kinds[name] == "share"
        figures = _share(scores, name, arm) if share else vars(_mean(list(table[name].get(arm, {}).values())))
        counts = {"scored": sum(map(len, by_case.values())), "asked": scores.asked[name, arm], "n": scores.n[arm]}
        by_arm[arm] = MetricValue(**figures, **counts)
    return MetricSummary(kind=scores.kinds[name], arms=by_arm)


def _share(scores: Aggregator, name: str, arm: str) -> dict[str, Any]:
    """Hits over all results that the metric applies to, failed ones included."""
    hits = sum(sum(seeds) for seeds in scores.values[name].get(arm, {}).values())
    share = Proportion(round(hits), scores.asked[name, arm])
    low, high = share.wilson()
    return {"value": _number(share.value), "stderr": _number(share.stderr), "low": _number(low), "high": _number(high)}


def _mean(values: list[float]) -> Mean:
    value, stderr = mean(values)
    return Mean(value=_number(value), stderr=_number(stderr))


def _differences(
    arms: Mapping[str, Mapping[str, float]], base: str, names: Iterable[str], cases: int
) -> dict[str, ArmDifference]:
    """The difference of every arm from the base, with p corrected for the number of arms."""
    others = [name for name in names if name != base and name in arms]
    differences: dict[str, Difference] = {name: paired(arms[name], arms[base], cases=cases) for name in others}
    corrected = holm([differences[name].p for name in others])
    return {
        name: ArmDifference.model_validate(
            {
                key: _number(value) if isinstance(value, float) else value
                for key, value in {**vars(differences[name]), "p_holm": p}.items()
            }
        )
        for name, p in zip(others, corrected, strict=True)
    }


def _by_tag(scores: Aggregator, arms: list[str]) -> dict[str, TagSummary]:
    """Means per tag, for tags that at least two cases have and not all."""
    counts = Counter(tag for tags in scores.tags.values() for tag in tags)
    summaries: dict[str, TagSummary] = {}
    for tag in sorted(tag for tag, count in counts.items() if 2 <= count < len(scores.tags)):
        table = scores.table(tag=tag)
        metrics = {
            name: {arm: _mean(list(table[name][arm].values())) for arm in arms if table[name].get(arm)}
            for name in sorted(table)
        }
        summaries[tag] = TagSummary(cases=counts[tag], metrics=metrics)
    return summaries


def _gains(scores: Aggregator, table: Table, base: str, arms: list[str]) -> dict[str, dict[str, Correlation]]:
    """Spearman's correlation of the references' mean similarity with the arm's gain over the first arm."""
    gains: dict[str, dict[str, Correlation]] = {}
    for name in sorted(table):
        for arm in arms:
            scored = table[name].get(arm, {})
            first = table[name].get(base, {})
            both = [case for case in sorted(scored) if case in first and (arm, case) in scores.similarity]
            similarities = [sum(scores.similarity[arm, case]) / len(scores.similarity[arm, case]) for case in both]
            rho = spearman(similarities, [scored[case] - first[case] for case in both])
            if arm != base and not isnan(rho):
                gains.setdefault(name, {})[arm] = Correlation(spearman=_number(rho), n=len(both))
    return gains


def _number(value: float) -> float | None:
    return None if isnan(value) else round(value, DIGITS)


def write_summary(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write `summary.json`; the same results give the same bytes."""
    file = folder / SUMMARY
    write_atomically(file, (json.dumps(summary, ensure_ascii=False, indent=1) + "\n").encode())
    return file
