"""Runs: inputs, settings, and how they end."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_validator

from imagerag.agent import clock
from imagerag.agent.types.base import FrozenModel, ImageRef
from imagerag.agent.types.filters import MaybeFilter
from imagerag.agent.types.provenance import WebProvenance
from imagerag.agent.types.searches import Cause
from imagerag.agent.types.sizes import AnySize
from imagerag.agent.types.studio_hints import add_hints
from imagerag.agent.url_redaction import Spec
from imagerag.agent.visible_text import is_blank
from imagerag.formatting.messages import near

BUILT_IN_LIBRARY: Final = "sketch"
"""The library of the embedded world's catalogue. It is made when first asked for, and made anew when its encoder
changes, so nobody's own images go in there."""


PATIENCE_S: Final = 120.0
"""Limits are counted by the minute: who waits two gets through, and who is asked for hours should know at once."""


ReferenceCrop = Literal["auto", "region", "whole"]


class Outcome(StrEnum):
    """The outcome of a run. A run that waits for a human is *interrupted*, which is not an outcome."""

    ALIGNED = "aligned"
    BEST_EFFORT = "best_effort"
    NO_USABLE_REFERENCE = "no_usable_reference"
    REFUSED = "refused"
    BUDGET_EXHAUSTED = "budget_exhausted"
    JUDGE_UNAVAILABLE = "judge_unavailable"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunResult(FrozenModel):
    """Outcome and reason of a run that ended.

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
    """One of the user's own images, to appear in the result (personalised generation), or to be edited.

    Attributes:
        intent: "subject" appears in a new image; "edit" is the image that is changed, the rest of it kept.
        mask: a PNG of the image's size; where it is transparent, the image may change. For generators that take one.
        title: the image's in its library, as `source`, `author` and `licence` are; empty for one that was handed in.
        web: where it was found on the web, if it was.
    """

    image: ImageRef
    name: str = ""
    intent: Literal["subject", "edit"] = "subject"
    mask: ImageRef | None = None
    title: str = ""
    source: str = ""
    author: str = ""
    licence: str = ""
    web: WebProvenance | None = None

    @field_validator("name")
    @classmethod
    def _visible(cls, name: str) -> str:
        return "" if is_blank(name) else name

    @property
    def of_library(self) -> bool:
        """Whether it was taken from a library, where each image has a title."""
        return bool(self.title)


class ParentRun(FrozenModel):
    """The run that another one starts from.

    Attributes:
        step: after which of its steps; None when it goes on from that run's end.
        ancestors: the runs that one did again in its turn, nearest first.
    """

    run_id: str
    step: int | None = Field(default=None, ge=0)
    ancestors: tuple[str, ...] = ()

    @property
    def done_again(self) -> tuple[str, ...]:
        """The runs that are done again, nearest first; none when this one goes on from an end."""
        return (self.run_id, *self.ancestors) if self.step is not None else ()


class RunConfig(FrozenModel):
    """Configuration of a run. JSON-able, all fields with defaults.

    Attributes:
        max_rounds: how often to redraw at most.
        max_references: images sent with the prompt at most, subjects included; None is the generator's own limit.
        references_per_concept: references taken for each missing concept at most. A search with the prompt itself takes
            as many as searches for all that is missing would.
        threshold: cosine a reference must reach; "auto" is the library's calibrated one, "off" takes any.
        candidates: library images looked at per search.
        near_duplicate: cosine between two images from which one of them is passed over.
        judge_mode: "fused" asks one structured question, "stepwise" the paper's three.
        start: "generate" draws first; "retrieve" looks for references for the prompt first, then draws.
        retrieve_by: what the library is searched with for what is missing: a caption of each concept, the concept's own
            words, or the prompt (ImageRAG's ablation, tables 3 and 8).
        hybrid: search by captions and words too, beside similarity.
        likeness: what must look like the very image that was sent for it, where the judge sees images: "auto" is
            the user's own subjects, library images tagged as a product, person, mascot, logo and the like, and what
            the judge calls so; "always" is every image that is not for a style; "never" is none.
        reference_crop: what is sent of an image of which a region was found: "region" is the region with a margin,
            "whole" the whole image, and "auto" the region where it is less than half of the image.
        select: stop and let a human choose among the references that passed.
        seed: where the generator honours one.
        size: of the image, in pixels or in words ("16:9@2K"), which are translated for the generator; None is its
            default.
        partial_images: unfinished images to be shown while one is drawn, where the generator can; they cost tokens.
        mask_feather: pixels over which what is new fades into the image that is edited, inwards from its mask's edge.
        filter: what must hold of a reference, in the filter language.
        tags: tags a reference must have, all of them.
        licences: licences a reference may have; empty allows all.
        cache: "record" keeps every answer and uses this run's own again after a crash; "reuse" uses other runs' too;
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
    start: Literal["generate", "retrieve"] = "generate"
    retrieve_by: Literal["caption", "concept", "prompt"] = "caption"
    hybrid: bool = False
    likeness: Literal["auto", "always", "never"] = "auto"
    reference_crop: ReferenceCrop = "auto"
    select: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)
    size: AnySize = None
    partial_images: int = Field(default=0, ge=0, le=3)
    mask_feather: int = Field(default=0, ge=0, le=256)
    filter: MaybeFilter = None
    tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    cache: Literal["record", "reuse", "replay"] = "record"
    max_calls: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    assume_cost_usd_per_call: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    deadline_at: float | None = Field(default=None, allow_inf_nan=False)
    patience_s: float = Field(default=PATIENCE_S, ge=0, allow_inf_nan=False)

    def reference_limit(self, takes: int) -> int:
        """Number of images that go with one prompt at most.

        Args:
            takes: how many the generator takes.
        """
        return min(self.max_references or takes, takes)


class RunContext(RunConfig):
    """Configuration for direct callers of the graph: its `context_schema`. Unknown names are refused.

    Attributes:
        deadline_s: seconds from the making of this context until the run has to be done. LangGraph makes one of the
            JSON that each start or resume is given.
    """

    model_config = ConfigDict(json_schema_extra=add_hints)

    deadline_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    _made_at: float = PrivateAttr(default_factory=clock.seconds)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, data: Any) -> Any:
        unknown = [str(name) for name in data if name not in cls.model_fields] if isinstance(data, Mapping) else []
        if unknown:
            raise ValueError("; ".join(_no_setting(name, cls.model_fields) for name in unknown[:4]))
        return data

    def config(self, since: float | None = None) -> RunConfig:
        """The config, with the moment by which the run has to be done.

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
    guess = near(name, there_are)
    hint = f"did you mean {guess}?" if guess else f"there are {', '.join(there_are)}"
    return f"a run has no setting {name[:60]!r}: {hint}"


class SnapshotPins(FrozenModel):
    """Of each snapshot of a library (`NAME@TAG`) that a thread names, the hash of what it holds."""

    hashes: dict[str, str] = Field(default_factory=dict)

    @staticmethod
    def joined(earlier: "SnapshotPins | None", later: "SnapshotPins | None") -> "SnapshotPins":
        """Both; of one that both name, the later one's."""
        return SnapshotPins(hashes={n: one for pins in (earlier, later) if pins for n, one in pins.hashes.items()})


class RunSpec(FrozenModel):
    """Backends, library and configuration of a run: enough to repeat it, or to resume it elsewhere.

    Attributes:
        snapshots: of each library that is named with a tag (`NAME@TAG`), the hash of what it holds.
        reranker: what puts candidates that passed into another order; None leaves them by similarity.
        deadline_s: seconds each start or resume of the run may take.
    """

    generator: Spec
    judge: Spec
    library: Spec | None = None
    snapshots: dict[str, str] = Field(default_factory=dict)
    reranker: Spec | None = None
    config: RunConfig = RunConfig()
    deadline_s: float | None = Field(default=None, gt=0)

    def canonical(self) -> "RunSpec":
        """The same without what decides who pays: whose recorded answers are used, and which may be asked for."""
        return self.model_copy(update={"config": self.config.model_copy(update={"cache": "record"})})
