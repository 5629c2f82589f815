"""What the mind asks of the world: small async protocols, domain types in and out.

Adapters in `tools/` and `store/` implement them structurally. Bytes pass through here, and only here: what a node
puts into the state is the `ImageRef` a `BlobStore` gave back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from imagerag.agent.control_tokens import control_tokens
from imagerag.agent.types import Concept, ImageRef, MaskCheck, Requirement, Scalar, Size, Variation, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Lever = Literal["temperature", "seed", "wording"]


@dataclass(frozen=True, kw_only=True)
class ImagePart:
    """An image handed to a model.

    Attributes:
        data: encoded bytes (PNG, JPEG or WebP).
        role: a "reference" from the library informs, the user's own "subject" appears in the picture, and the picture
            to "edit" is changed.
        likeness: whether what is drawn must be this very thing.
        concept: what it stands for in the prompt.
        caption: the detailed description it was found by.
        mask: a PNG of the same size; the picture is edited, and only where this is transparent.
    """

    data: bytes = field(repr=False)
    media_type: str
    role: Literal["subject", "reference", "edit"] = "reference"
    likeness: bool = False
    concept: str = ""
    caption: str = ""
    mask: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """What is known of a backend's prices before it is called: its optional attribute `tariff`.

    A backend without one has an unknown price, which is never taken for zero.

    Attributes:
        known: whether its calls will tell what they cost.
        most: (prompt in bytes, images sent, size) → US dollars that one call can cost at most; None when not known.
        partial_usd: what one unfinished picture can cost beside, where they were asked for.
        requests: how many requests to a model one call can come to, each of which costs.
        parts: the tariffs of a cascade's members: one call can come to all of them.
    """

    known: bool = False
    partial_usd: float = 0.0
    most: Callable[[int, int, Size | None], float | None] = lambda prompt, images, size: None
    requests: int = 1
    parts: "tuple[Tariff, ...]" = ()

    def assuming(self, usd: float) -> "Tariff":
        """The same, where a request whose price is not known counts as costing so much, in US dollars."""
        if self.parts:
            return tariff_of_all([part.assuming(usd) for part in self.parts])
        if self.known:
            return self
        assumed = usd * self.requests

        def most(prompt: int, images: int, size: Size | None) -> float | None:
            told = self.most(prompt, images, size)
            return assumed if told is None else told

        return replace(self, most=most)


def tariff_of_all(tariffs: "Sequence[Tariff]") -> Tariff:
    """The tariff of a cascade: known when every member's is; at most, every member is paid (an answer can be lost)."""

    def most(prompt: int, images: int, size: Size | None) -> float | None:
        prices = [tariff.most(prompt, images, size) for tariff in tariffs]
        return None if None in prices else sum(price for price in prices if price is not None)

    return Tariff(
        known=all(tariff.known for tariff in tariffs),
        most=most,
        partial_usd=sum(tariff.partial_usd for tariff in tariffs),
        parts=tuple(tariffs),
    )


FREE = Tariff(known=True, most=lambda prompt, images, size: 0.0)
"""The tariff of what runs on the user's own machine."""


@dataclass(frozen=True, kw_only=True)
class GeneratedImage:
    """What a generator gives back: encoded bytes, and what the service said about them.

    Attributes:
        prompt: the text that was really sent, where the generator worded the references itself.
        answered_by: identity of the backend that drew, where it is another than was asked (a cascade).
        steps_down: why each backend asked before it did not, and what had to be left out of the request.
    """

    data: bytes = field(repr=False)
    media_type: str = "image/png"
    revised_prompt: str | None = None
    cost_usd: float | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    prompt: str | None = None
    answered_by: str = ""
    steps_down: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReferenceTemplate:
    """How a generator wants the images it is sent put into words, one way for each intent.

    Attributes:
        whole: references inform; with {items} and {prompt}.
        subject: the user's own subjects appear in a new picture; empty is `whole`.
        edit: the first image is changed and the rest of it kept; empty is `EDIT`.
        masked: the first image is edited within a mask; empty is `edit` where that is the intent, else `whole`.
        item: with {caption} and {n} (1-based position among all images sent).
        subject_item: the same for a subject; empty is `item`.
        edit_item: the same for the picture that is edited; empty is `item`.
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

    def for_images(self, sent: "Sequence[_Sent]") -> str:
        """The template for what the images are sent for: an edit before a subject before references."""
        edits = bool(sent) and sent[0].role == "edit"
        if sent and sent[0].mask is not None and self.masked:
            return self.masked
        if edits:
            return self.edit or EDIT
        return (self.subject or self.whole) if any(image.role == "subject" for image in sent) else self.whole

    def item_for(self, role: str) -> str:
        """How an image of that role is named."""
        return {"subject": self.subject_item, "edit": self.edit_item}.get(role, "") or self.item

    def tokens(self, count: int) -> frozenset[str]:
        """The control tokens of its own that it puts into a prompt with `count` images, for instance `<|image_1|>`."""
        texts = [self.whole, self.subject, self.edit, self.masked, self.joiner]
        items = [self.item, self.subject_item, self.edit_item]
        texts += [item.format(caption="", n=n) for item in items for n in range(1, count + 1)]
        return frozenset(token for text in texts for token in control_tokens(text))


EDIT: Final = "Edit the first of these images ({items}), change only what is asked for and keep the rest: {prompt}"
"""How an edit is asked for by a template that has no words of its own for it."""


class _Sent(Protocol):
    """What a template looks at of an image."""

    @property
    def role(self) -> str: ...
    @property
    def mask(self) -> object: ...


def can_edit(generator: object) -> bool:
    """Whether a generator changes a picture it is sent. One that does not say does, where it takes pictures at all."""
    said = getattr(generator, "edits", None)
    return bool(getattr(generator, "max_references", 0)) if said is None else bool(said)


def sees_references(judge: object) -> bool:
    """Whether a judge compares the picture with those it was drawn with; one that does not say sees only subjects."""
    return bool(getattr(judge, "sees_references", False))


def takes_mask(generator: object) -> bool:
    """Whether a generator takes a mask with its first image; one that does not say takes none."""
    return bool(getattr(generator, "takes_mask", False))


class ImageGenerator(Protocol):
    """Draws. What it can tell meanwhile goes to `current_call().progress` of `calls/call_context.py`.

    Three attributes are optional: `tariff` (see `Tariff`), `takes_mask`, whether the first image may have a mask, and
    `edits`, whether it changes a picture that it is sent (one that does not say may be asked to).

    Attributes:
        identity: `provider:model`, stable; part of every record.
        max_references: how many images it takes beside the prompt, subject images included.
        sizes: the sizes it can draw; None when any will do.
        honours_seed: whether the same seed gives the same picture.
        template: how references are put into words.
    """

    @property
    def identity(self) -> str: ...
    @property
    def max_references(self) -> int: ...
    @property
    def sizes(self) -> tuple[Size, ...] | None: ...
    @property
    def honours_seed(self) -> bool: ...
    @property
    def template(self) -> ReferenceTemplate: ...

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: Variation, size: Size | None
    ) -> GeneratedImage:
        """Draw one picture.

        Raises:
            RefusalError: content policy.
            BackendError: the model did not answer; `retryable` says whether again can help.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A model's answer without bytes.

    Attributes:
        raw: its own words, where it used words.
        cost_usd: what it cost; None when the price is not known.
        usage: tokens by kind, as the service counted them.
        requests: how often the model was asked for it, votes included.
        variation: what was really asked with, where the model refused what was wanted.
        answered_by: identity of the backend that answered, where it is another than was asked (a cascade).
        steps_down: why each backend asked before it did not.
    """

    raw: str = ""
    cost_usd: float | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    requests: int = 1
    variation: Variation | None = None
    answered_by: str = ""
    steps_down: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drawn(Reading):
    """What a generator gave back, once its bytes are in the blob store.

    Attributes:
        original: its own bytes, where `image` was made from them.
        mask: whether the first image's mask is held, where it has one.
    """

    image: ImageRef
    revised_prompt: str | None = None
    prompt: str | None = None
    original: ImageRef | None = None
    mask: MaskCheck | None = None


@dataclass(frozen=True, kw_only=True)
class ImageCheck(Reading):
    """What a judge was found to take: `limit` images with one request; None where as many as were asked with."""

    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Critique(Reading):
    """A verdict, and the checklist it was reached by (the run keeps the first one for good)."""

    verdict: Verdict
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Missing(Reading):
    """What the judge named as missing; empty when it could name nothing."""

    concepts: tuple[Concept, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Captions(Reading):
    """One caption per concept asked for, in their order."""

    captions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preference(Reading):
    """Which of two images fits the prompt better: "first", "second" or "neither" (a tie)."""

    better: Literal["first", "second", "neither"]


@dataclass(frozen=True, kw_only=True)
class Ranking(Reading):
    """Which candidates fit, best first: indices into what was asked about; those left out do not fit."""

    order: tuple[int, ...]


def images_at_most(judge: object) -> int | None:
    """How many images a judge can be shown at once, the judged one included; None is any number."""
    most = getattr(judge, "max_images", None)
    return most if isinstance(most, int) else None


class Judge(Protocol):
    """Looks at pictures and says what it sees.

    Every method may raise RefusalError, BackendError, or JudgeReplyError when the model's words could not be read.
    One attribute is optional: `max_images`, how many images it can be shown at once.

    One attribute is optional: `sees_references`. Where it is true, `subjects` of every method holds all images that the
    picture was drawn with, in the order they were sent (their `role` tells them apart), and `requirements` may have
    some with a `picture`: those compare the picture with one of these images, by its number from 1. Where all of them
    are of that sort, the judge makes the checklist of the prompt itself, and puts them at its end.

    Attributes:
        identity: `provider:model`.
        honours: which variations change its answers.
    """

    @property
    def identity(self) -> str: ...
    @property
    def honours(self) -> frozenset[Lever]: ...

    async def critique(
        self,
        prompt: str,
        image: ImagePart,
        *,
        subjects: Sequence[ImagePart],
        requirements: Sequence[Requirement],
        mode: Literal["fused", "stepwise"],
        variation: Variation,
        max_tokens: int | None = None,
    ) -> Critique:
        """Judge `image` against `prompt`, on the checklist `requirements` (empty: make one).

        A fused judge writes captions too: `max_tokens` is what the library's encoder reads of one, when known.
        """
        ...

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: Variation,
        subjects: Sequence[ImagePart] = (),
    ) -> Missing:
        """Name what of the prompt is not in the image, content and style: the second question after the verdict."""
        ...

    async def captions(
        self,
        prompt: str,
        concepts: Sequence[Concept],
        *,
        max_tokens: int,
        variation: Variation,
        image: ImagePart | None = None,
        verdict: Verdict | None = None,
        subjects: Sequence[ImagePart] = (),
    ) -> Captions:
        """Write one detailed, stand-alone caption per concept, each within `max_tokens` of the library's encoder.

        `image`, `verdict` and `subjects` are the conversation so far, for judges that hold one.
        """
        ...

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """Say which of two images fits the prompt better."""
        ...

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """Rank candidate references for `query`, by their pixels and captions."""
        ...


@dataclass(frozen=True, kw_only=True)
class EmbedderIdentity:
    """What vectors were made with; two libraries can share vectors only when all of it is equal.

    Attributes:
        spec: how to load the same encoder again, `provider:model`. Not compared: a model that was moved is the same.
        model: architecture name.
        weights: pretrained tag, or `sha256:…` of a weight file.
        preprocess: image size, interpolation, mean and standard deviation, in one line.
        dimension: length of a vector.
    """

    spec: str = field(compare=False)
    model: str
    weights: str
    preprocess: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.spec} ({self.model}, {self.weights}, {self.dimension}-d, {self.preprocess})"


class Embedder(Protocol):
    """Text and images into one space of unit vectors.

    A method is optional: `queries(text)`, the texts that a person's query is searched with instead (see `queries_of`).
    """

    @property
    def identity(self) -> EmbedderIdentity: ...
    @property
    def context_length(self) -> int:
        """How many tokens of a text are read, start and end markers included."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, start and end markers included; more than `context_length` would be cut."""
        ...

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1."""
        ...

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Encoded images (PNG, JPEG, WebP, …) to float32 [len(images), dimension], rows of norm 1."""
        ...


def queries_of(searched: object, text: str) -> tuple[str, ...]:
    """The texts that an encoder, or a library through its own, is best searched with for a query; none is the query."""
    own = getattr(searched, "queries", None)
    return tuple(own(text)) if own is not None else ()


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a search may return.

    Attributes:
        where: metadata key → the value it must equal (compared as text); all must hold.
        tags: all must be present.
        licences: one of them must be the licence; empty allows every licence.
        exclude: ids never returned.
        only: ids that may be returned; empty allows all.
    """

    where: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    exclude: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A library image that a search returned.

    Attributes:
        similarity: cosine in [-1, 1], higher is better.
        vector: its unit image vector, float32 [dimension]; lets near-duplicates be told without another search.
        title: a short human name, for instance the file's stem or the product's name.
        library: which of several libraries it is from; empty where there is one.
        threshold: the cosine it has to reach there; None is that of the whole search.
    """

    image: ImageRef
    similarity: float
    vector: "NDArray[np.float32]"
    title: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    source: str = ""
    author: str = ""
    licence: str = ""
    library: str = ""
    threshold: float | None = None


class ReferenceLibrary(Protocol):
    """The user's own pictures, searchable.

    One whose `search` takes `hybrid: bool` too can be searched by the words of captions and titles.
    """

    @property
    def name(self) -> str: ...
    @property
    def threshold(self) -> float:
        """The calibrated cosine that a candidate must reach."""
        ...

    @property
    def context_length(self) -> int: ...
    def count_tokens(self, text: str) -> int: ...

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images most similar to a text, best first."""
        ...

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images most similar to an image, best first."""
        ...

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of one of its images, verified against the hash.

        Raises:
            BlobError: missing or damaged.
        """
        ...

    async def for_models(self, sha256: str) -> tuple[bytes, str]:
        """One of its images as every model takes it: upright PNG, JPEG or WebP, and the media type.

        Raises:
            BlobError: missing or damaged.
        """
        ...


class Reranker(Protocol):
    """Puts what a search found into a better order. Off by default: it changed little (ImageRAG, section 5).

    Attributes:
        identity: `provider` or `provider:model`.
        looks: whether it wants pixels and asks a model; its calls are then journalled and counted, as every model's.
    """

    @property
    def identity(self) -> str: ...
    @property
    def looks(self) -> bool: ...

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        """Rank `hits` for `query`.

        Args:
            images: the pixels of `hits`, in the same order; empty for a reranker that does not look.

        Raises:
            RefusalError: content policy.
            BackendError: the model that was asked did not answer.
            JudgeReplyError: its answer could not be read.
        """
        ...


class BlobStore(Protocol):
    """Image bytes, kept once under their SHA-256."""

    async def keep(self, data: bytes) -> str:
        """Keep bytes that are no image we can read, and say where: an answer that was paid for is not lost."""
        ...

    async def put(self, data: bytes) -> ImageRef:
        """Keep `data` and say what it is.

        Raises:
            UsageError: not an image we can read, or a gigantic one.
        """
        ...

    async def get(self, sha256: str) -> bytes:
        """The bytes, verified against the hash.

        Raises:
            BlobError: missing or damaged.
        """
        ...

    async def for_models(self, sha256: str) -> tuple[bytes, str]:
        """The image as every model takes it: upright PNG, JPEG or WebP, and the media type.

        Raises:
            BlobError: missing or damaged.
        """
        ...
