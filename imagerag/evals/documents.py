"""The JSON documents that `eval run` and `eval report` print."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.types import FrozenModel
from imagerag.evals.check_record import CheckSummary


class EvalStopped(FrozenModel):
    """An evaluation that stopped before its end.

    Attributes:
        stopped: the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.eval/1"] = Field(default="imagerag.eval/1", alias="schema")
    done: int
    total: int
    stopped: str


class EvalReplay(FrozenModel):
    """The comparison of a replay with the recorded results.

    Attributes:
        results: number of results.
        identical: whether every byte of `results.jsonl` is the same.
        differs: the first result that is not: (case, seed, arm).
        carried: number of results of broken runs that were copied: a call without a response cannot be replayed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.eval-replay/1"] = Field(default="imagerag.eval-replay/1", alias="schema")
    results: int
    identical: bool
    differs: tuple[str, int, str] | None
    carried: int


class ArmSummary(FrozenModel):
    """Statuses and outcomes of an arm's results.

    Attributes:
        hash: SHA-256 of all settings that decide the arm's results.
        n: number of results.
        settings: backends, library and config of the arm.
    """

    hash: str
    n: int
    statuses: dict[str, int]
    outcomes: dict[str, int]
    settings: dict[str, Any]


class MetricValue(FrozenModel):
    """A metric's value for one arm.

    Attributes:
        value: a share, or the mean of a score; None where nothing was scored.
        low, high: Wilson's 95 % interval of a share; None for a mean.
        scored: number of results with a score.
        asked: number of results that the metric applies to.
        n: number of results.
    """

    value: float | None
    stderr: float | None
    low: float | None = None
    high: float | None = None
    scored: int
    asked: int
    n: int


class MetricSummary(FrozenModel):
    """A metric, by arm."""

    kind: str
    arms: dict[str, MetricValue]


class EvalSummary(FrozenModel):
    """`summary.json` of an evaluation, and what `eval report` prints.

    Attributes:
        base: the arm that the others are compared with.
        labels: metric → arm → label → number of results.
        differences: metric → arm → the paired difference from the base.
        by_tag: tag → the means of the cases that have it.
        similarity_to_gain: metric → arm → Spearman's correlation of the references' similarity with the gain.
        unscored_reasons: reason why a result has no score → number of results.
        checks: the figures of the suite's other sections; None without any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.eval/1"] = Field(default="imagerag.eval/1", alias="schema")
    suite: dict[str, Any]
    cases: int
    results: int
    base: str
    arms: dict[str, ArmSummary]
    metrics: dict[str, MetricSummary]
    labels: dict[str, dict[str, dict[str, int]]]
    differences: dict[str, Any]
    by_tag: dict[str, Any]
    similarity_to_gain: dict[str, Any]
    unscored_reasons: dict[str, int]
    checks: CheckSummary | None = None


EvalDocument = EvalSummary | EvalStopped
