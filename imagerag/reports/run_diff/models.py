"""The comparison of two runs as a document, `imagerag.diff/1`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from imagerag.agent.types import Outcome

Relation = Literal["unrelated", "replay", "continuation", "same_run"]


class DiffPart(BaseModel):
    """Base of what a comparison is made of: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(DiffPart):
    """One thing in which two runs differ.

    Attributes:
        what: in a word or two, for instance "prompt", "seed", "image".
        a: JSON-able; None where there is nothing. Images by their SHA-256, lists of references as lists.
        b: likewise.
    """

    what: str
    a: Any = None
    b: Any = None


class StepPosition(DiffPart):
    """A step of one of the runs.

    Attributes:
        step: its number, as `imagerag show` counts.
        text: what it did, on one line.
    """

    step: int
    text: str = ""


class Divergence(DiffPart):
    """A step that the runs did differently, or that only one of them did.

    Attributes:
        round: the round it belongs to; 0 for the end.
        inputs: inputs that differ: prompt, references, seed, judge, threshold, …
        same_inputs: both had inputs, and the same ones.
        outputs: responses and decisions that differ.
    """

    node: str
    round: int
    a: StepPosition | None = None
    b: StepPosition | None = None
    inputs: tuple[Difference, ...] = ()
    same_inputs: bool = False
    outputs: tuple[Difference, ...] = ()


class RunSummary(DiffPart):
    """One of the runs, in short.

    Attributes:
        image: SHA-256 of its result.
        score: of its best attempt.
        attempts: SHA-256 of each image, oldest first.
        cached_calls: responses from the journal; `calls` does not count them.
    """

    run_id: str
    prompt: str
    status: str
    outcome: Outcome | None = None
    reason: str = ""
    image: str | None = None
    score: float | None = None
    attempts: tuple[str, ...] = ()
    calls: int = 0
    cached_calls: int = 0
    cost_usd: float | None = None
    elapsed_s: float = 0.0


class RunDiff(DiffPart):
    """The differences of two runs, the first divergence first.

    Attributes:
        relation: what B is to A, or A to B: `descendant` is then the younger of them.
        since: for a replay, the step of the older run that was the first to be done again.
        setup: inputs and settings that differ.
        divergences: the steps that differ, in order; the first is where they part.
        shared: number of equal steps before the first divergence.
        result: results that differ: outcome, image, score, what is missing. Time and cost are not compared: a replay
            that changes nothing costs nothing, and is the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.diff/1"] = Field(default="imagerag.diff/1", alias="schema")
    a: RunSummary
    b: RunSummary
    relation: Relation = "unrelated"
    descendant: Literal["a", "b"] | None = None
    since: int | None = None
    setup: tuple[Difference, ...] = ()
    shared: int = 0
    divergences: tuple[Divergence, ...] = ()
    result: tuple[Difference, ...] = ()

    @computed_field  # type: ignore[prop-decorator]  # a property that is part of the document
    @property
    def same(self) -> bool:
        """Whether inputs, steps and results are the same."""
        return not (self.setup or self.divergences or self.result)

    @property
    def first(self) -> Divergence | None:
        """The first divergence."""
        return self.divergences[0] if self.divergences else None

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        document = self.model_dump(mode="json", by_alias=True)
        return {"schema": document.pop("schema"), "same": self.same, **document}
