"""The result of an arm for a case: one line of `results.jsonl`, schema `imagerag.result/1`.

A line holds all responses and decisions, and nothing that differs between machines or reruns: times are in
`timings.jsonl` beside it. Images are referred to by their SHA-256.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import open_regular_text
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import (
    Attempt,
    FrozenModel,
    ImageRef,
    ModelCall,
    Outcome,
    Requirement,
    RunSpec,
    Search,
    TrackedConcept,
)

Status = Literal["answered", "kept_initial", "no_reference", "refused", "budget", "technical"]
"""Status of a case: a new image; the initial one, as good as it was; the initial one or the best so far, since
the library holds nothing that helps; a model declined; the run's budget was spent; something broke."""

STATUSES: tuple[Status, ...] = ("answered", "kept_initial", "no_reference", "refused", "budget", "technical")
SCORED: frozenset[Status] = frozenset(("answered", "kept_initial", "no_reference", "refused", "budget"))
"""Statuses with an image that can be judged. A case that broke gets no score."""

Score = bool | float | str | None
"""True or false is an assertion, a number a score, a string a label; None could not be measured, which is no zero."""


class InitialImage(FrozenModel):
    """The image that all arms of a case started from.

    Attributes:
        origin: handed in with the case, drawn for it, or the arm's own affair.
        run_id: what the call that drew it is kept under in the journal.
        cost_usd: what drawing it cost; None when the price is not known.
    """

    image: ImageRef | None = None
    origin: Literal["generated", "handed_in", "own"] = "generated"
    generator: str = ""
    run_id: str = ""
    cost_usd: float | None = 0.0
    calls: int = 0
    error: str = ""


class Result(FrozenModel):
    """The result of one arm for one case with one seed.

    Attributes:
        suite: name, version and hash.
        arm_hash: SHA-256 of all that decides the arm's answers.
        setup: what the arm answered with; the journal's mode is always "record", for a replay says the same.
        status: see `Status`.
        retrievals, regenerations: how often the library was searched, and how often something was drawn again.
        calls: every answered call with its request's hash and the model's own words; the initial image's left out.
        cost_usd: of those calls; None when the price of any is not known.
        scores: metric → value; None where it could not be measured, and `unscored_reasons` says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.result/1"] = Field(default="imagerag.result/1", alias="schema")
    suite: Mapping[str, str]
    case: str
    arm: str
    arm_hash: str
    seed: int
    tags: tuple[str, ...] = ()
    prompt: str
    setup: RunSpec
    run_id: str
    status: Status
    outcome: Outcome | None
    reason: str = ""
    error: str | None = None
    initial_image: InitialImage
    image: ImageRef | None = None
    best_attempt: int | None = None
    retrievals: int = 0
    regenerations: int = 0
    requirements: tuple[Requirement, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    concepts: tuple[TrackedConcept, ...] = ()
    searches: tuple[Search, ...] = ()
    unresolved: tuple[str, ...] = ()
    calls: tuple[Mapping[str, Any], ...] = ()
    cost_usd: float | None = 0.0
    scores: Mapping[str, Score] = Field(default_factory=dict)
    unscored_reasons: Mapping[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, str]:
        """(case, seed, arm), unique in an evaluation."""
        return self.case, self.seed, self.arm

    def line(self) -> str:
        """The result as one line of JSON, always the same for the same result."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), ensure_ascii=False, separators=(",", ":"))


def status_of(record: RunRecord, initial: ImageRef | None) -> Status:
    """The status of a case, by its run's record."""
    if record.outcome == Outcome.REFUSED:
        return "refused"
    if record.outcome == Outcome.BUDGET_EXHAUSTED:
        return "budget"
    if record.image is None or record.outcome in (None, Outcome.FAILED, Outcome.JUDGE_UNAVAILABLE, Outcome.CANCELLED):
        return "technical"
    if record.outcome == Outcome.NO_USABLE_REFERENCE:
        return "no_reference"
    is_initial = initial is not None and record.image.sha256 == initial.sha256
    return "kept_initial" if is_initial else "answered"


def call_lines(calls: Iterable[ModelCall]) -> tuple[Mapping[str, Any], ...]:
    """The calls with a response, without their times. Failed tries have nothing to replay; they are in the timings."""
    left_out = {"elapsed_s", "retry_after_s", "completed", "cached", "assumed"}
    return tuple(call.model_dump(mode="json", exclude=left_out) for call in calls if call.completed)


def read_results(file: Path) -> Iterator[Result]:
    """Iterate over the results in a file.

    Raises:
        UsageError: there is no such file, or a line is no result.
    """
    for number, line in enumerate(lines_of(file), start=1):
        try:
            yield Result.model_validate_json(line)
        except ValueError as error:
            raise UsageError(f"{file}, line {number} is no imagerag.result/1: {error}") from error


def lines_of(file: Path) -> Iterator[str]:
    """Iterate over the lines of a file.

    Raises:
        UsageError: there is no such file.
    """
    if not file.is_file():
        raise UsageError(f"there is no {file}: imagerag eval run SUITE --out {file.parent} makes one")
    with open_regular_text(file) as opened:
        for line in opened:
            if line.strip():
                yield line.rstrip("\n")
