"""Checks: generated cases with a known correct result, and the shares counted from them.

A case that could not be scored (an exception, a judge that abstained) is neither a hit nor a miss. It is listed under
`failures`, counted in `failed`, and stays in `n`: otherwise a system that fails on hard cases would look good. `value`
is hits / n. Failures count against a target in either direction: a share that must be high gets no hit for them, a
share that must be low gets one for each.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any, Literal

from pydantic import Field

from imagerag.agent.types import FrozenModel
from imagerag.evals.statistics.estimators import Proportion
from imagerag.formatting.numbers import score


class Check(FrozenModel):
    """One generated case with its results, a line of `checks.jsonl`.

    Attributes:
        id: `section/kind/number`, unique in the evaluation.
        prompt: the prompt, query or caption under test.
        results: metric → whether the case is a hit; None where it could not be scored.
        note: details that explain a miss.
        error: the reason why it could not be scored: the error's class, or "abstained".
        calls: requests to models.
        cost_usd: of those requests; None when the price of any is not known.
    """

    id: str
    prompt: str
    results: Mapping[str, bool | None]
    note: str = ""
    error: str = ""
    calls: int = Field(default=0, ge=0)
    cost_usd: float | None = 0.0


class Failure(FrozenModel):
    """A case that could not be scored.

    Attributes:
        case: its id.
        error: the error's class, or "abstained".
        message: the error's words.
    """

    case: str
    error: str
    message: str = ""


class Target(FrozenModel):
    """The target of a metric."""

    limit: Literal["at_least", "at_most"] = "at_least"
    value: float

    def __str__(self) -> str:
        return f"{'≥' if self.limit == 'at_least' else '≤'} {self.value:g}"


class Share(FrozenModel):
    """A share with its uncertainty.

    Attributes:
        value: for a share hits / n in [0, 1]; None when there was no case.
        n: cases, those that could not be scored among them.
        stderr: binomial standard error of a share; None without cases.
        interval: Wilson's 95 % interval of a share.
        failed: how many of `n` could not be scored.
        target: the target, where one is set.
        passed: whether it does, failures held against it; None without a target or without cases.
    """

    value: float | None
    n: int = Field(ge=0)
    stderr: float | None = None
    interval: tuple[float, float] | None = None
    failed: int = Field(default=0, ge=0)
    target: Target | None = None
    passed: bool | None = None


class CheckSummary(FrozenModel):
    """The figures of all checks, `checks` in an evaluation's summary.

    Attributes:
        settings: all that decides the cases: seed, counts, backends and their weights.
        cases: how many there are.
        metrics: name → share.
    """

    settings: Mapping[str, Any]
    cases: int
    metrics: Mapping[str, Share]
    failures: tuple[Failure, ...]

    @property
    def missed(self) -> list[str]:
        """The metrics that were measured and do not reach their target."""
        return [name for name, share in self.metrics.items() if share.passed is False]

    @classmethod
    def of(cls, cases: Sequence[Check], targets: Mapping[str, Target], settings: Mapping[str, Any]) -> "CheckSummary":
        """Count the cases."""
        return cls(settings=settings, cases=len(cases), metrics=count(cases, targets), failures=failures(cases))

    def table(self) -> list[list[str]]:
        """A heading and a row per metric: value and standard error, counts, target, whether it is reached."""
        rows = [["check", "share", "hits / n", "target", ""]]
        return rows + [[name, *_cells(share)] for name, share in self.metrics.items()]


def _cells(share: Share) -> list[str]:
    passed = "" if share.passed is None else "passed" if share.passed else "MISSED"
    aim = [str(share.target) if share.target else "", passed]
    if share.value is None:
        return ["–", "no cases", *aim]
    counts = f"{round(share.value * share.n)} / {share.n}" + (f" ({share.failed} failed)" if share.failed else "")
    return [f"{score(share.value)} ± {score(share.stderr or 0)}", counts, *aim]


def count(cases: Iterable[Check], targets: Mapping[str, Target]) -> dict[str, Share]:
    """The metrics of these cases, by name within each section, the sections in the order of the cases.

    Args:
        cases: the checks; each names the metrics it counts for.
        targets: metric → target, for some of the metrics.
    """
    by_name: dict[str, list[bool | None]] = {}
    for case in cases:
        for name, result in case.results.items():
            by_name.setdefault(name, []).append(result)
    sections = list(dict.fromkeys(_section(name) for name in by_name))
    ordered = sorted(by_name, key=lambda name: (sections.index(_section(name)), name))
    return {name: share(by_name[name], targets.get(name)) for name in ordered}


def _section(name: str) -> str:
    return name.split(".")[0]


def run_id_of(id: str) -> str:
    """The id of the run that a check makes: the same after a kill, so that the journal has its responses."""
    return f"check-{id.replace('/', '-')}"


def unscored_check(
    id: str, prompt: str, metrics: Iterable[str], error: BaseException, *, calls: int = 0, cost_usd: float | None = 0.0
) -> Check:
    """Make the check of a case whose scoring raised `error`: it counts in `n` of every metric and has no result.

    Args:
        calls: requests to models that were made before the error.
        cost_usd: of those requests; None when the price of any is not known.
    """
    return Check(
        id=id,
        prompt=prompt,
        results=dict.fromkeys(metrics),
        note=str(error)[:500],
        error=type(error).__name__,
        calls=calls,
        cost_usd=cost_usd,
    )


def failures(cases: Iterable[Check]) -> tuple[Failure, ...]:
    """The cases that could not be scored, with the reasons."""
    return tuple(Failure(case=case.id, error=case.error, message=case.note) for case in cases if case.error)


def share(results: Iterable[bool | None], target: Target | None = None) -> Share:
    """The share of True among results; None is a case that could not be scored."""
    values = list(results)
    hits, failed = sum(result is True for result in values), sum(result is None for result in values)
    proportion = Proportion(hits, len(values))
    if isnan(proportion.value):
        return Share(value=None, n=0, target=target)
    return Share(
        value=proportion.value,
        n=len(values),
        stderr=proportion.stderr,
        interval=proportion.wilson(),
        failed=failed,
        target=target,
        passed=None if target is None else _meets(hits, failed, len(values), target),
    )


def _meets(hits: int, failed: int, n: int, target: Target) -> bool:
    if target.limit == "at_least":
        return hits / n >= target.value
    return (hits + failed) / n <= target.value
