"""The port of image generators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from imagerag.agent.control_tokens import control_tokens
from imagerag.agent.types import SamplingParams, Size, WebSource


@dataclass(frozen=True, kw_only=True)
class ImagePart:
    """An image handed to a model.

    Attributes:
        data: encoded bytes (PNG, JPEG or WebP).
        role: a "reference" from the library informs, the user's own "subject" appears in the image, and the image
            to "edit" is changed.
        likeness: whether what is drawn must be this very thing.
        concept: what it stands for in the prompt.
        caption: the detailed description it was found by.
        mask: a PNG of the same size; the image is edited only where this is transparent.
    """

    data: bytes = field(repr=False)
    media_type: str
    role: Literal["subject", "reference", "edit"] = "reference"
    likeness: bool = False
    concept: str = ""
    caption: str = ""
    mask: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class GeneratedImage:
    """A generator's response: encoded bytes, and what the service reported about them.

    Attributes:
        prompt: the text that was really sent, where the generator worded the references itself.
        served_by: identity of the backend that drew, where a fallback used another than the first.
        fallback_errors: the error of each backend that was tried before, and what was left out of the request.
        size: the size that was sent to the backend that drew, where a fallback translated it.
        references_sent: how many of the references were sent to it, the first ones; None is all.
        sources: pages and images on the web that the model itself used.
    """

    data: bytes = field(repr=False)
    media_type: str = "image/png"
    revised_prompt: str | None = None
    cost_usd: float | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    prompt: str | None = None
    served_by: str = ""
    fallback_errors: tuple[str, ...] = ()
    size: Size | None = None
    references_sent: int | None = None
    sources: tuple[WebSource, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReferenceTemplate:
    """A generator's wording of the images that it is sent, one for each intent.

    Attributes:
        whole: references inform; with {items} and {prompt}.
        subject: the user's own subjects appear in a new image; empty is `whole`.
        edit: the first image is changed and the rest of it kept; empty is `EDIT`.
        masked: the first image is edited within a mask; empty is `edit` where that is the intent, else `whole`.
        item: with {caption} and {n} (1-based position among all images sent).
        subject_item: the same for a subject; empty is `item`.
        edit_item: the same for the image that is edited; empty is `item`.
        joiner: between items.
    """

    whole: str = "According to these images of {items}, generate {prompt}"
    subject: str = ""
    edit: str = ""
    masked: str = ""
    item: str = "{caption}"
    subject_item: str = ""
    edit_item: str = ""
    joiner: str = ", "

    def for_images(self, images: "Sequence[_ReferenceAttributes]") -> str:
        """Choose the template by the roles of the images: an edit before a subject before references."""
        edits = bool(images) and images[0].role == "edit"
        if images and images[0].mask is not None and self.masked:
            return self.masked
        if edits:
            return self.edit or EDIT
        return (self.subject or self.whole) if any(image.role == "subject" for image in images) else self.whole

    def item_for(self, role: str) -> str:
        """The template of an item, for an image of that role."""
        return {"subject": self.subject_item, "edit": self.edit_item}.get(role, "") or self.item

    def tokens(self, count: int) -> frozenset[str]:
        """The control tokens of its own that it puts into a prompt with `count` images, for instance `<|image_1|>`."""
        texts = [self.whole, self.subject, self.edit, self.masked, self.joiner]
        items = [self.item, self.subject_item, self.edit_item]
        texts += [item.format(caption="", n=n) for item in items for n in range(1, count + 1)]
        return frozenset(token for text in texts for token in control_tokens(text))


EDIT: Final = "Edit the first of these images ({items}), change only what is asked for and keep the rest: {prompt}"
"""The wording of an edit, for a template without one of its own."""


class _ReferenceAttributes(Protocol):
    """The attributes of an image that a template depends on."""

    @property
    def role(self) -> str: ...
    @property
    def mask(self) -> object: ...


class ImageGenerator(Protocol):
    """Generates images. Progress goes to `current_call().progress` of `calls/call_context.py`.

    Its `capabilities` are optional (see `Capabilities`).

    Attributes:
        identity: `provider:model`, stable; part of every record.
        max_references: how many images it takes beside the prompt, subject images included.
        sizes: the sizes it can draw; None is any within `capabilities.size_rules`, an empty tuple only its own.
        template: the wording of references in a prompt.
    """

    @property
    def identity(self) -> str: ...
    @property
    def max_references(self) -> int: ...
    @property
    def sizes(self) -> tuple[Size, ...] | None: ...
    @property
    def template(self) -> ReferenceTemplate: ...

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image.

        Raises:
            RefusalError: content policy.
            BackendError: the call failed; `retryable` says whether a retry can help.
        """
        ...
