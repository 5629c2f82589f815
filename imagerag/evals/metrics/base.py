"""The metric interface, and its input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.result_record import Result, Score
from imagerag.evals.suites.case import Case

DIGITS = 12
"""Digits kept of a score: more are noise."""


@dataclass(frozen=True)
class Sample:
    """A result, with everything that a metric may use.

    Attributes:
        image: the bytes of the result's image; None where the run failed or ended without one.
    """

    case: Case
    result: Result
    dependencies: EvalDependencies = field(repr=False)
    image: bytes | None = field(default=None, repr=False)


class Metric(Protocol):
    """Scores one result at a time.

    Attributes:
        spec: the spec of the metric; part of the plan.
        needs_image: whether the metric applies only to results with an image.
    """

    @property
    def spec(self) -> str: ...
    @property
    def needs_image(self) -> bool: ...

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Compute the scores by name. None means "does not apply"; an exception means "could not be measured"."""
        ...


@runtime_checkable
class AcrossSeeds(Protocol):
    """Scores all results of one arm for one case together; each of them gets the scores."""

    async def across(self, samples: Sequence[Sample]) -> Mapping[str, Score]:
        """Compute the scores by name, for two or more samples."""
        ...
