"""The documents of an evaluation that `eval run`, `report` and `replay` print: `imagerag.schemas` names them."""

from typing import Any, Literal

from pydantic import Field

from imagerag.agent.types import FrozenModel
from imagerag.evals.check_record import CheckSummary


class EvalStopped(FrozenModel):
    """An evaluation that stopped before its end, as `eval run` says it."""

    schema_name: Literal["imagerag.eval/1"] = Field(alias="schema")
    done: int
    total: int
    stopped: str


class EvalReplay(FrozenModel):
    """What `eval replay` found: whether every result is the same to the byte, and which is not (case, seed, arm)."""

    schema_name: Literal["imagerag.eval-replay/1"] = Field(alias="schema")
    results: int
    identical: bool
    differs: tuple[str, int, str] | None
    carried: int


class ArmSummary(FrozenModel):
    """How the results of an arm ended; `hash` names what it was, `settings` what it was run with."""

    hash: str
    n: int
    statuses: dict[str, int]
    outcomes: dict[str, int]
    settings: dict[str, Any]


class MetricSummary(FrozenModel):
    """A metric, by arm: its value, standard error, interval, and how many answers it was asked of."""

    kind: str
    arms: dict[str, dict[str, float | None]]


class EvalSummary(FrozenModel):
    """`summary.json` of an evaluation, and what `eval report` prints.

    Attributes:
        base: the arm that the others are compared with.
        differences: metric → arm → the paired difference from the base.
        by_tag: the same means, of the cases with a tag.
        similarity_to_gain: arm → how far the similarity of the references goes with what they gained.
        unscored_reasons: why answers have no score, and how many.
        checks: the figures of the suite's other sections; None without any.
    """

    schema_name: Literal["imagerag.eval/1"] = Field(alias="schema")
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
