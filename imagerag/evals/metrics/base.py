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
    """An answer as metrics see it.

    Attributes:
        image: the bytes of the image it gave; None where a run left none or broke.
    """

    case: Case
    result: Result
    dependencies: EvalDependencies = field(repr=False)
    image: bytes | None = field(default=None, repr=False)


class Metric(Protocol):
    """Measures one answer at a time.

    Attributes:
        spec: how it was asked for; part of what decides the results.
        needs_image: whether it has nothing to say without an image.
    """

    @property
    def spec(self) -> str: ...
    @property
    def needs_image(self) -> bool: ...

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Scores by name. None is "does not apply"; an exception is "could not be measured"."""
        ...


@runtime_checkable
class AcrossSeeds(Protocol):
    """Measures all answers of one arm to one case together; every one of them gets the scores."""

    async def across(self, samples: Sequence[Sample]) -> Mapping[str, Score]:
        """Scores by name, of two samples or more."""
        ...
