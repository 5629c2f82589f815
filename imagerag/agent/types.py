"""The values a run is made of.

All are frozen pydantic models that forbid unknown fields, so that they round-trip exactly through a checkpoint
and a typo is an error. None of them holds image bytes: an image is an `ImageRef`, its bytes live in the blob store.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from math import fsum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from imagerag.agent import clock
from imagerag.agent.url_redaction import Spec
from imagerag.formatting.messages import near

BUILT_IN_LIBRARY: Final = "sketch"
"""The library of the embedded world's catalogue. It is made when first asked for, and made anew when its encoder
changes, so nobody's own pictures go in there."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Similarity = Annotated[float, Field(ge=-1.001, le=1.001)]
Scalar = str | int | float | bool | None


PATIENCE_S: Final = 120.0
"""Limits are counted by the minute: who waits two gets through, and who is asked for hours should know at once."""


class FrozenModel(BaseModel):
    """Base of every value in the state: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(StrEnum):
    """How a run ended. A run that waits for a human is *interrupted*, which is not an outcome."""

    ALIGNED = "aligned"
    BEST_EFFORT = "best_effort"
    NO_USABLE_REFERENCE = "no_usable_reference"
    REFUSED = "refused"
    BUDGET_EXHAUSTED = "budget_exhausted"
    JUDGE_UNAVAILABLE = "judge_unavailable"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ImageRef(FrozenModel):
    """An image by its content: SHA-256 of the bytes, media type, width and height in pixels."""

    sha256: Sha256
    media_type: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Size(FrozenModel):
    """A picture size in pixels."""

    width: int = Field(ge=16, le=8192)
    height: int = Field(ge=16, le=8192)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class SamplingParams(FrozenModel):
    """What makes one ask differ from the one before.

    Attributes:
        attempt: 0 for the first ask, counting up.
        lever: what was turned: nothing, the temperature, or seed and wording where a model refuses temperature.
        temperature: sampling temperature in [0, 2]; None leaves the model's default.
        seed: seed for backends that honour one.
        wording: which of the prompt's wordings to use, 0 the first.
        in_vain: what was searched for before it and found nothing usable: something else is to be named.
    """

    attempt: int = Field(default=0, ge=0)
    lever: Literal["none", "temperature", "seed_and_wording"] = "none"
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = None
    wording: int = Field(default=0, ge=0)
    in_vain: tuple[str, ...] = ()


class Requirement(FrozenModel):
    """One atomic thing a picture is judged on. What the prompt asks for is fixed for the whole run.

    Attributes:
        kind: what the prompt asks for is "content" or "style", or one certain product, person or mascot ("likeness");
            "kept" is what an edit must leave as it was.
        picture: the number, from 1, of the picture beside the judged one that it is compared with, in the order they
            were sent. None for what the prompt itself asks for.
    """

    text: str
    kind: Literal["content", "style", "likeness", "kept"] = "content"
    picture: int | None = Field(default=None, ge=1)


class RequirementCheck(FrozenModel):
    """Whether one requirement is met in one image, with the judge's evidence where it gave some.

    Attributes:
        evidence: in the judge's words, or the numbers it decided by.
    """

    requirement: Requirement
    met: bool
    evidence: str = ""


class Concept(FrozenModel):
    """A requirement found missing, in few words; with a caption when the judge wrote one in the same answer."""

    text: str
    kind: Literal["content", "style", "likeness"] = "content"
    caption: str | None = None


class Verdict(FrozenModel):
    """The judge's answer on one attempt.

    A verdict is `judged`, or the judge `abstained` (it gave no readable answer twice, or nothing of the prompt can be
    checked): then it is neither aligned nor not aligned, and `aligned` and `score` are None. A bare yes/no judge gives
    no checks and no score.

    Attributes:
        aligned: True when every requirement is met.
        score: met / all, in [0, 1].
        missing: what a fused judge named as missing, captions included; empty when it has to be asked.
        raw: the judge's own words.
    """

    status: Literal["judged", "abstained"] = "judged"
    aligned: bool | None
    score: float | None = Field(default=None, ge=0, le=1)
    checks: tuple[RequirementCheck, ...] = ()
    missing: tuple[Concept, ...] = ()
    reason: str = ""
    raw: str = ""


class UsedReference(FrozenModel):
    """A library image, or one of the user's own, that was sent to the generator.

    Attributes:
        role: what is to be done with it: a "reference" informs, a "subject" appears in a new picture, and the picture
            to "edit" is changed.
        likeness: whether what is drawn must be this very thing: a judge that sees pictures compares them.
        concept: what it stands for in the prompt; for a subject, what the user called it.
        similarity: cosine with the caption it was found by; None for a subject image.
        choice: how it came to be sent.
        mask: for a subject that is edited: a PNG whose transparent pixels say where it may change.
    """

    image: ImageRef
    mask: ImageRef | None = None
    role: Literal["reference", "subject", "edit"] = "reference"
    likeness: bool = False
    choice: Literal["retrieved", "by_hand", "kept", "given"] = "retrieved"
    concept: str = ""
    caption: str = ""
    similarity: Similarity | None = None
    title: str = ""
    source: str = ""
    author: str = ""
    licence: str = ""


class MaskCheck(FrozenModel):
    """Whether an edited picture stayed as it was outside its mask.

    Attributes:
        held: the attempt's image shows the user's own picture there, pixel by pixel.
        changed_outside: share of those pixels that the generator had changed visibly, in [0, 1]; where the mask is
            held they were put back.
        drawn: the size that was drawn (WIDTHxHEIGHT), where the image was resized to lie exactly on the picture.
        reason: why it is not held.
    """

    held: bool
    changed_outside: float = Field(ge=0, le=1)
    drawn: str = ""
    reason: str = ""


class Attempt(FrozenModel):
    """One image of a run, with the exact prompt and references sent, and its verdict once judged.

    Attributes:
        index: 0 is the initial image.
        round: 0 for the initial image, then the round that drew it.
        prompt: the exact text sent to the generator; the user's own words when the image was handed in.
        original: what the generator gave back, byte for byte, where `image` was made from it: put back outside of a
            mask, or converted because not everything shows it.
        mask: whether the mask of the first subject is held, where it has one.
    """

    index: int = Field(ge=0)
    round: int = Field(ge=0)
    prompt: str
    image: ImageRef
    original: ImageRef | None = None
    mask: MaskCheck | None = None
    references: tuple[UsedReference, ...] = ()
    origin: Literal["generated", "handed_in"] = "generated"
    generator: str = ""
    variation: SamplingParams = SamplingParams()
    revised_prompt: str | None = None
    verdict: Verdict | None = None


Decision = Literal[
    "taken",
    "offered",
    "reserve",
    "below_threshold",
    "already_used",
    "near_duplicate",
    "rejected_by_hand",
    "rejected_by_reranker",
]
"""Why a candidate was or was not taken: sent; put before a human; passed but the generator's limit was reached;
under the threshold; in an earlier round it did not help; (nearly) the same picture as one already taken; the human
chose others; it passed, and the reranker found that it does not fit."""


Cause = Literal[
    "takes_none",
    "no_room",
    "no_library",
    "empty_library",
    "filtered",
    "excluded",
    "rejected_by_hand",
    "already_used",
    "rejected_by_reranker",
    "below_threshold",
]
"""What stood in the way of a reference: the generator takes none, or no more; there is no library, or it is empty; a
filter, or the list of images never to be used, left it out; the human took none; it was sent before; it does not fit;
nothing is similar enough."""


class Candidate(FrozenModel):
    """A library image that a search returned, with what was decided about it and why.

    Attributes:
        library: which of several libraries it is from; empty where there is one.
        threshold: the cosine it had to reach there; None is that of its search.
        likeness: whether what is drawn with it must be this very thing.
    """

    image: ImageRef
    similarity: Similarity
    decision: Decision | None = None
    likeness: bool = False
    title: str = ""
    caption: str = ""
    source: str = ""
    author: str = ""
    licence: str = ""
    library: str = ""
    threshold: float | None = None

    @property
    def passed(self) -> bool:
        """Whether its similarity reached the threshold."""
        return self.decision not in (None, "below_threshold")


class Query(FrozenModel):
    """One search: the caption (or the prompt itself) and the concept it looks for.

    Attributes:
        text: what is encoded and searched with.
        by: whether a caption is searched with, the concept's own words, or the prompt itself.
        ask: which of the round's asks for concepts named it, 0 the first.
        note: what had to be done to the text, for instance that it was shortened to fit the encoder.
    """

    concept: Concept
    text: str
    by: Literal["caption", "concept", "prompt"] = "caption"
    ask: int = Field(default=0, ge=0)
    note: str = ""


class OmittedByFilter(FrozenModel):
    """What a search would have found without one of its filters, beside what it found with it.

    Attributes:
        by: the filter; "filters" stands for all of them, where none alone makes a difference.
        found: images found without it.
        passing: those of them that reach the threshold.
        closest: the highest similarity among them.
        threshold: the cosine they had to reach; None when the threshold is off.
    """

    by: Literal["licences", "tags", "where", "excluded", "filters"]
    found: tuple[Sha256, ...]
    passing: tuple[Sha256, ...] = ()
    closest: Similarity
    threshold: float | None = None


class Search(FrozenModel):
    """One search and everything it returned, in one round.

    Attributes:
        threshold: the cosine a candidate had to reach; None when the threshold is off, and where each candidate has
            that of its own library.
        hybrid: whether the words of captions and titles counted, too.
        reranker: whose order the candidates that passed are in; empty when it is that of their similarity.
        note: why a reranker did not give the order.
        left_out: what its filters kept out, looked up where nothing passed.
    """

    round: int
    query: Query
    candidates: tuple[Candidate, ...] = ()
    threshold: float | None = None
    hybrid: bool = False
    reranker: str = ""
    note: str = ""
    left_out: tuple[OmittedByFilter, ...] = ()

    def threshold_of(self, candidate: Candidate) -> float | None:
        """The cosine that one of its candidates had to reach; None when the threshold is off."""
        return self.threshold if candidate.threshold is None else candidate.threshold

    @property
    def thresholds(self) -> dict[str, float]:
        """The cosine to reach by library, "" where there is one; empty when the threshold is off."""
        own = {c.library: c.threshold for c in self.candidates if c.threshold is not None}
        return dict(sorted(own.items())) or ({} if self.threshold is None else {"": self.threshold})


class TrackedConcept(FrozenModel):
    """What happened to one concept across rounds.

    Attributes:
        first_missing: the round in which it was first found missing.
        resolved: the round in which it was no longer missing; None while unresolved.
        used: the references sent for it, oldest first.
        stands_for: the missing concepts that it was searched for in place of: it is resolved with the first of them.
    """

    concept: Concept
    first_missing: int = Field(ge=0)
    resolved: int | None = None
    used: tuple[UsedReference, ...] = ()
    stands_for: tuple[str, ...] = ()


class ModelCall(FrozenModel):
    """One call of a model, as it was made.

    Attributes:
        role: which port was called, for instance "judge.critique".
        round: the round it belongs to.
        elapsed_s: wall time in seconds.
        cost_usd: what it cost; None when the price is not known (never zero for unknown).
        most_usd: what it could have cost at most, where a budget in money was kept and that was known.
        assumed: nobody knows its price, and `most_usd` is what the user said to count it at.
        usage: tokens by kind, where the service counts them.
        raw: the model's own words, where it answered in words.
        error: the error's message, when it failed.
        request: SHA-256 of everything the call was asked with.
        answered: False when no answer arrived (an error on the way).
        unsettled: no answer arrived, and nobody can know whether the service charges for it all the same: the process
            was killed, the run cancelled, or the time was over. It counts at `most_usd`.
        call_id: tells a call without an answer from others like it; empty for those that were answered.
        retry_after_s: how long the service then asked to wait, in seconds.
        reused: the answer came from another run's journal and cost nothing.
        requests: how often a model was asked for this one answer: more than once where a judge voted, and not at all
            where nothing could be sent (no key, nobody listening).
        note: why backends asked before this one did not answer (a cascade).
    """

    role: str
    backend: str
    round: int = 0
    variation: SamplingParams = SamplingParams()
    elapsed_s: float = Field(ge=0)
    cost_usd: float | None = None
    most_usd: float | None = None
    assumed: bool = False
    usage: Mapping[str, int] = Field(default_factory=dict)
    raw: str = ""
    error: str | None = None
    request: str = ""
    answered: bool = True
    unsettled: bool = False
    call_id: str = ""
    retry_after_s: float | None = None
    reused: bool = False
    requests: int = Field(default=1, ge=0)
    note: str = ""

    @property
    def counted_usd(self) -> float | None:
        """What it cost, or counts as where that is not known; None when neither is known."""
        return self.most_usd if self.cost_usd is None and (self.assumed or self.unsettled) else self.cost_usd

    @property
    def counts(self) -> bool:
        """Whether it may have cost something: a call that failed did not, unless nobody knows how it ended."""
        return self.error is None or self.unsettled

    def canonical(self) -> "ModelCall":
        """The same whoever paid for it."""
        return self.model_copy(update={"reused": False, "cost_usd": 0.0, "most_usd": None, "assumed": False})


def cost_of_calls(calls: Iterable[ModelCall]) -> float | None:
    """US dollars that calls cost together, or may have; None when the price of one is not known."""
    costs = [call.counted_usd for call in calls if call.counts]
    return None if None in costs else fsum(cost for cost in costs if cost is not None)


def assumed_cost(calls: Iterable[ModelCall]) -> float:
    """The part of `cost_of_calls` that was assumed, in US dollars."""
    assumed = [call.most_usd or 0.0 for call in calls if call.counts and call.assumed and call.cost_usd is None]
    return fsum(assumed)


def unsettled_cost(calls: Iterable[ModelCall]) -> float:
    """The part of `cost_of_calls` that calls without an answer may have cost, at most, in US dollars."""
    return fsum(call.most_usd or 0.0 for call in calls if call.unsettled and not call.assumed and call.cost_usd is None)


class Progress(FrozenModel):
    """How far a drawing is: steps of a pipeline in this process, or unfinished pictures of a service.

    Attributes:
        step: which of them, 1 the first.
        of: how many there are; 0 when that is not known.
        image: the unfinished picture, where there is one.
    """

    step: int = Field(ge=0)
    of: int = Field(default=0, ge=0)
    image: ImageRef | None = None


class RunResult(FrozenModel):
    """How and why a run ended.

    Attributes:
        error: the class of the error that ended it, if one did.
        causes: why there was no usable reference, what is most worth changing first.
        at: when, as an ISO 8601 time.
    """

    outcome: Outcome
    reason: str
    error: str | None = None
    causes: tuple[Cause, ...] = ()
    at: str | None = None


class Subject(FrozenModel):
    """One of the user's own images, to appear in the picture (personalised generation), or to be edited.

    Attributes:
        intent: "subject" appears in a new picture; "edit" is the picture that is changed, the rest of it kept.
        mask: a PNG of the image's size; where it is transparent, the image may change. For generators that take one.
        title: the picture's in its library, as `source`, `author` and `licence` are; empty for one that was handed in.
    """

    image: ImageRef
    name: str = ""
    intent: Literal["subject", "edit"] = "subject"
    mask: ImageRef | None = None
    title: str = ""
    source: str = ""
    author: str = ""
    licence: str = ""

    @property
    def of_library(self) -> bool:
        """Whether it was taken from a library, where each picture has a title."""
        return bool(self.title)


class ParentRun(FrozenModel):
    """Which run another one starts from.

    Attributes:
        step: after which of its steps; None when it goes on from that run's end.
        earlier: the runs that one did again in its turn, nearest first.
    """

    run_id: str
    step: int | None = Field(default=None, ge=0)
    earlier: tuple[str, ...] = ()

    @property
    def done_again(self) -> tuple[str, ...]:
        """The runs that are done again, nearest first; none when this one goes on from an end."""
        return (self.run_id, *self.earlier) if self.step is not None else ()


class RunConfig(FrozenModel):
    """What a run may set. JSON-able, all defaulted.

    Attributes:
        max_rounds: how often to redraw at most.
        max_references: images sent with the prompt at most, subjects included; None is the generator's own limit.
        references_per_concept: references taken for each missing concept at most. A search with the prompt itself takes
            as many as searches for all that is missing would.
        threshold: cosine a reference must reach; "auto" is the library's calibrated one, "off" takes any.
        candidates: library images looked at per search.
        near_duplicate: cosine between two images from which one of them is passed over.
        judge_mode: "fused" asks one structured question, "stepwise" the paper's three.
        start: "draft" draws first; "retrieve" looks for references for the prompt first, then draws.
        retrieve_by: what the library is searched with for what is missing: a caption of each concept, the concept's own
            words, or the prompt (ImageRAG's ablation, tables 3 and 8).
        hybrid: search by the words of captions and titles too, beside similarity.
        likeness: what must look like the very picture that was sent for it, where the judge sees pictures: "auto" is
            the user's own subjects, library pictures tagged as a product, person, mascot, logo and the like, and what
            the judge calls so; "always" is every picture that is not for a style; "never" is none.
        select: stop and let a human choose among the references that passed.
        seed: where the generator honours one.
        size: what to ask the generator for; None is its default.
        partial_images: unfinished pictures to be shown while one is drawn, where the generator can; they cost tokens.
        mask_feather: pixels over which what is new fades into the picture that is edited, inwards from its mask's edge.
        where: metadata a reference must have.
        tags: tags a reference must have, all of them.
        licences: licences a reference may have; empty allows all.
        journal: "record" keeps every answer and uses this run's own again after a crash; "reuse" uses other runs' too;
            "replay" makes no call at all, and fails where nothing was recorded.
        max_calls: requests to models (generator and judge) at most; each vote of a judge is one.
        max_cost_usd: US dollars at most; no call is made whose price is not known. 0 allows what is free.
        assume_cost_usd_per_call: US dollars that a request counts as whose price is not known: more than it costs.
        deadline_at: when to stop, in seconds since the epoch.
        patience_s: how long a call waits at most, all its tries together, for a service that says when to ask again.
            One that asks for more ends the run at once.
    """

    max_rounds: int = Field(default=3, ge=0, le=20)
    max_references: int | None = Field(default=None, ge=1, le=16)
    references_per_concept: int = Field(default=1, ge=1, le=16)
    threshold: Annotated[float, Field(ge=-1, le=1)] | Literal["auto", "off"] = "auto"
    candidates: int = Field(default=8, ge=1, le=100)
    near_duplicate: float = Field(default=0.97, ge=0, le=1.001)
    judge_mode: Literal["fused", "stepwise"] = "fused"
    start: Literal["draft", "retrieve"] = "draft"
    retrieve_by: Literal["caption", "concept", "prompt"] = "caption"
    hybrid: bool = False
    likeness: Literal["auto", "always", "never"] = "auto"
    select: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)
    size: Size | None = None
    partial_images: int = Field(default=0, ge=0, le=3)
    mask_feather: int = Field(default=0, ge=0, le=256)
    where: Mapping[str, str] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    journal: Literal["record", "reuse", "replay"] = "record"
    max_calls: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    assume_cost_usd_per_call: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    deadline_at: float | None = Field(default=None, allow_inf_nan=False)
    patience_s: float = Field(default=PATIENCE_S, ge=0, allow_inf_nan=False)


class RunContext(RunConfig):
    """What whoever calls the graph itself may set: its `context_schema`. Names that there are not are refused.

    Attributes:
        deadline_s: seconds from the making of this context until the run has to be done. LangGraph makes one of the
            JSON that each start or resume is given.
    """

    deadline_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    _made_at: float = PrivateAttr(default_factory=clock.seconds)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any) -> Any:
        unknown = [str(name) for name in given if name not in cls.model_fields] if isinstance(given, Mapping) else []
        if unknown:
            raise ValueError("; ".join(_no_setting(name, cls.model_fields) for name in unknown[:4]))
        return given

    def knobs(self, since: float | None = None) -> RunConfig:
        """The knobs, with the moment by which the run has to be done.

        Args:
            since: when the clock started, in seconds since the epoch; None is when this was made.
        """
        values = {name: getattr(self, name) for name in RunConfig.model_fields}
        if self.deadline_s is not None:
            until = (self._made_at if since is None else since) + self.deadline_s
            values["deadline_at"] = until if self.deadline_at is None else min(until, self.deadline_at)
        return RunConfig.model_construct(**values)


_BOUND: Final = frozenset({"generator", "judge", "library", "reranker", "embedder", "answerer", "home", "preset"})
"""Settings that are a graph's when it is made."""


def _no_setting(name: str, there_are: Collection[str]) -> str:
    if name in _BOUND:
        return f"{name} is chosen where the graph is made (by a server: its IMAGERAG_{name.upper()}), not for a run"
    meant = near(name, there_are)
    hint = f"did you mean {meant}?" if meant else f"there are {', '.join(there_are)}"
    return f"a run has no setting {name[:60]!r}: {hint}"


class RunSpec(FrozenModel):
    """What a run was made with: enough to make it again, or to resume it elsewhere.

    Attributes:
        reranker: what puts candidates that passed into another order; None leaves them by similarity.
        deadline_s: seconds each start or resume of the run may take.
    """

    generator: Spec
    judge: Spec
    library: str | None = None
    reranker: Spec | None = None
    knobs: RunConfig = RunConfig()
    deadline_s: float | None = Field(default=None, gt=0)

    def canonical(self) -> "RunSpec":
        """The same without what decides who pays: whose recorded answers are used, and which may be asked for."""
        return self.model_copy(update={"knobs": self.knobs.model_copy(update={"journal": "record"})})
