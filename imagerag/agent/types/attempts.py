"""Attempts: what was drawn with what, and how it was judged."""

from typing import Literal

from pydantic import Field

from imagerag.agent.types.base import FrozenModel, ImageRef, SamplingParams, Similarity, Size
from imagerag.agent.types.provenance import WebProvenance
from imagerag.agent.types.regions import Region
from imagerag.agent.types.web_sources import MAX_SOURCES, WebSource


class Requirement(FrozenModel):
    """One atomic requirement of an image. Those from the prompt are fixed for the whole run.

    Attributes:
        kind: what the prompt asks for is "content" or "style", or one certain product, person or mascot ("likeness");
            "kept" is what an edit must leave as it was, and "feedback" what a person wanted changed in an earlier
            image, in their words.
        image: the number, from 1, of the image beside the judged one that it is compared with, in the order they
            were sent. None for what the prompt itself asks for.
    """

    text: str
    kind: Literal["content", "style", "likeness", "kept", "feedback"] = "content"
    image: int | None = Field(default=None, ge=1)

    @property
    def of_prompt(self) -> bool:
        """Whether the judge made it of the prompt."""
        return self.image is None and self.kind != "feedback"


class RequirementCheck(FrozenModel):
    """The check of one requirement in one image, with the judge's evidence where it gave some.

    Attributes:
        evidence: in the judge's words, or the numbers it decided by.
        unclear: whether it is not met because it can mean several things: no drawing and no reference can help.
    """

    requirement: Requirement
    met: bool
    evidence: str = ""
    unclear: bool = False


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
        role: what is to be done with it: a "reference" informs, a "subject" appears in a new image, and the image
            to "edit" is changed.
        likeness: whether what is drawn must be this very thing: a judge that sees images compares them.
        concept: what it stands for in the prompt; for a subject, what the user called it.
        similarity: cosine with the caption it was found by; None for a subject image.
        selected_by: how it came to be sent.
        mask: for a subject that is edited: a PNG whose transparent pixels say where it may change.
        region: the box in a library image that was found; None is the whole image.
        crop: what was sent instead of the whole image: its region, with a margin.
        web: where it was found on the web; None for an image of a library of the user's own.
    """

    image: ImageRef
    mask: ImageRef | None = None
    region: Region | None = None
    crop: ImageRef | None = None
    role: Literal["reference", "subject", "edit"] = "reference"
    likeness: bool = False
    selected_by: Literal["retrieved", "by_hand", "kept", "given", "parent_run"] = "retrieved"
    concept: str = ""
    caption: str = ""
    similarity: Similarity | None = None
    title: str = ""
    source: str = ""
    author: str = ""
    licence: str = ""
    web: WebProvenance | None = None

    @property
    def sent(self) -> ImageRef:
        """What models are sent: the crop, or the image itself."""
        return self.crop or self.image


class Revision(FrozenModel):
    """The image of an earlier run that this one changes after feedback.

    Attributes:
        mask: a PNG of the image's size; where it is transparent, the image may change.
        instruction: what the generator is told to change.
        references: what the image was drawn with, whose authors are to be credited still.
    """

    image: ImageRef
    mask: ImageRef | None = None
    instruction: str
    references: tuple[UsedReference, ...] = ()

    @property
    def reference(self) -> UsedReference:
        """The image as the one that is edited."""
        return UsedReference(
            image=self.image, mask=self.mask, role="edit", selected_by="parent_run", title="the image before"
        )


class MaskCheck(FrozenModel):
    """The check of an edited image outside its mask.

    Attributes:
        held: the attempt's image shows the user's own image there, pixel by pixel.
        changed_outside: share of those pixels that the generator had changed visibly, in [0, 1]; where the mask is
            held they were put back.
        drawn: the size that was drawn (WIDTHxHEIGHT), where the image was resized to lie exactly on the image.
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
        size: the size that the generator was asked for, in pixels; the image's own may differ. None left it to it.
        fallback_errors: why each generator tried before it did not draw, and what was left out of the request.
        sources: what the generator's own model found on the web and used; not among the references.
    """

    index: int = Field(ge=0)
    round: int = Field(ge=0)
    prompt: str
    image: ImageRef
    original: ImageRef | None = None
    mask: MaskCheck | None = None
    size: Size | None = None
    references: tuple[UsedReference, ...] = ()
    sources: tuple[WebSource, ...] = Field(default=(), max_length=MAX_SOURCES)
    origin: Literal["generated", "handed_in"] = "generated"
    generator: str = ""
    variation: SamplingParams = SamplingParams()
    revised_prompt: str | None = None
    fallback_errors: tuple[str, ...] = ()
    verdict: Verdict | None = None
