"""The JSON documents that `eval run` and `eval report` print."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.types import Document, FrozenModel
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


class ArmDifference(FrozenModel):
    """The paired difference of an arm from the base, on the same cases.

    Attributes:
        mean: of (arm - base) over the pairs; None without a pair.
        stderr: its standard error.
        low, high: 95 % bootstrap interval (percentile).
        p: two-sided sign-flip permutation test of "no difference".
        n: number of pairs.
        unpaired: cases in which one of the two has no score.
        better, worse, same: number of pairs by the sign of the difference.
        p_holm: `p`, corrected for all arms that are compared.
    """

    mean: float | None
    stderr: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    unpaired: int
    better: int
    worse: int
    same: int
    p_holm: float | None


class Mean(FrozenModel):
    """A mean and its standard error; None where nothing was scored."""

    value: float | None
    stderr: float | None


class TagSummary(FrozenModel):
    """The means of the cases that have a tag: metric → arm → mean."""

    cases: int
    metrics: dict[str, dict[str, Mean]]


class Correlation(FrozenModel):
    """Spearman's correlation over `n` cases."""

    spearman: float | None
    n: int


class EvalTables(Document):
    """The files of the paper's tables that `eval report --out` wrote."""

    schema_name: Literal["imagerag.eval-tables/1"] = Field(default="imagerag.eval-tables/1", alias="schema")
    files: list[str]


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
    differences: dict[str, dict[str, ArmDifference]]
    by_tag: dict[str, TagSummary]
    similarity_to_gain: dict[str, dict[str, Correlation]]
    unscored_reasons: dict[str, int]
    checks: CheckSummary | None = None


EvalDocument = EvalSummary | EvalStopped
