"""An evaluation as one document, `imagerag.eval/1`: every case, and metrics that are counted from the cases alone.

A case that could not be scored (an exception, a judge that abstained) is neither right nor wrong. It is listed under
`failures` and counted in `failed`, and it stays in `n`: leaving it out would make a system that breaks on hard cases
look good. `value` is hits / n. Whether a target is met is decided against the failures, whichever way it points: a
share that must be high gets no hit for them, a share that must be low gets one for each.
"""

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.evals.statistics.estimators import Proportion
from imagerag.formatting.numbers import counted, seconds


class Frozen(BaseModel):
    """Base of the document's parts: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Case(Frozen):
    """One generated case and what was found.

    Attributes:
        id: `part/kind/number`, unique in the document.
        asked: what was asked for, in words.
        results: metric → whether this case counts for it; None where the case could not be scored.
        note: what happened, where that helps to understand a miss.
        error: why it could not be scored: the error's class, or "abstained".
    """

    id: str
    asked: str
    results: Mapping[str, bool | None]
    note: str = ""
    error: str = ""


class Failure(Frozen):
    """A case that could not be scored.

    Attributes:
        case: its id.
        error: the error's class, or "abstained".
        message: the error's words.
    """

    case: str
    error: str
    message: str = ""


class Target(Frozen):
    """What a metric is to reach."""

    bound: Literal["at_least", "at_most"] = "at_least"
    value: float

    def __str__(self) -> str:
        return f"{'≥' if self.bound == 'at_least' else '≤'} {self.value:g}"


class Metric(Frozen):
    """One figure.

    Attributes:
        value: for a share hits / n in [0, 1]; None when there was no case.
        n: cases, those that could not be scored among them.
        stderr: binomial standard error of a share; None without cases.
        interval: Wilson's 95 % interval of a share.
        failed: how many of `n` could not be scored.
        target: what it should reach, where something was set.
        met: whether it does, failures held against it; None without a target or without cases.
    """

    value: float | None
    n: int = Field(ge=0)
    stderr: float | None = None
    interval: tuple[float, float] | None = None
    failed: int = Field(default=0, ge=0)
    target: Target | None = None
    met: bool | None = None


class Evaluation(Frozen):
    """A finished evaluation, `imagerag.eval/1`.

    Attributes:
        suite: which one.
        settings: all that decides the cases: seeds, counts, backends and their weights.
        elapsed_s: wall time in seconds, by part and `total`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.eval/1"] = Field(default="imagerag.eval/1", alias="schema")
    suite: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    failures: tuple[Failure, ...]
    elapsed_s: Mapping[str, float]
    cases: tuple[Case, ...]

    @property
    def met(self) -> bool:
        """Whether every target that could be measured is met."""
        return all(metric.met is not False for metric in self.metrics.values())

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)

    def table(self) -> str:
        """The metrics for people to read: value, standard error, counts and target, one line each."""
        width = max((len(name) for name in self.metrics), default=6)
        lines = [f"{'metric':{width}}   value  ± stderr   hits / n      target"]
        lines += [_line(name, metric, width) for name, metric in self.metrics.items()]
        cases, failures = counted(len(self.cases), "case"), counted(len(self.failures), "failure")
        lines.append(f"{cases}, {failures}, {seconds(self.elapsed_s.get('total', 0))}")
        return "\n".join(lines)


def _line(name: str, metric: Metric, width: int) -> str:
    if metric.value is None:
        return f"{name:{width}}       -                 no cases"
    counts = f"{round(metric.value * metric.n)} / {metric.n}" + (f" ({metric.failed} failed)" if metric.failed else "")
    aim = f"{metric.target!s:9} {'met' if metric.met else 'MISSED'}" if metric.target else ""
    return f"{name:{width}}  {metric.value:6.4f}  ± {metric.stderr or 0:6.4f}   {counts:12}  {aim}".rstrip()


def count(cases: Iterable[Case], targets: Mapping[str, Target]) -> dict[str, Metric]:
    """The metrics of these cases, by name within each part, the parts in the order of the cases.

    Args:
        cases: any number of them; each names the metrics it counts for.
        targets: what some of them should reach.
    """
    found: dict[str, list[bool | None]] = {}
    for case in cases:
        for name, result in case.results.items():
            found.setdefault(name, []).append(result)
    parts = list(dict.fromkeys(_part(name) for name in found))
    ordered = sorted(found, key=lambda name: (parts.index(_part(name)), name))
    return {name: share(found[name], targets.get(name)) for name in ordered}


def _part(name: str) -> str:
    return name.split(".")[0]


def unscored(id: str, asked: str, metrics: Iterable[str], error: BaseException) -> Case:
    """The case of that id when scoring it ended in `error`: part of every metric, decided for none."""
    results = dict.fromkeys(metrics)
    return Case(id=id, asked=asked, results=results, note=str(error)[:500], error=type(error).__name__)


def failures(cases: Iterable[Case]) -> tuple[Failure, ...]:
    """The cases that could not be scored, and why."""
    return tuple(Failure(case=case.id, error=case.error, message=case.note) for case in cases if case.error)


def share(results: Iterable[bool | None], target: Target | None = None) -> Metric:
    """The share of True among results; None is a case that could not be scored."""
    given = list(results)
    hits, failed = sum(result is True for result in given), sum(result is None for result in given)
    proportion = Proportion(hits, len(given))
    if isnan(proportion.value):
        return Metric(value=None, n=0, target=target)
    return Metric(
        value=proportion.value,
        n=len(given),
        stderr=proportion.stderr,
        interval=proportion.wilson(),
        failed=failed,
        target=target,
        met=None if target is None else _meets(hits, failed, len(given), target),
    )


def _meets(hits: int, failed: int, n: int, target: Target) -> bool:
    if target.bound == "at_least":
        return hits / n >= target.value
    return (hits + failed) / n <= target.value
