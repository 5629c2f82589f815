"""Values of question answering: sources, answers with citations, and the port of answerers.

The values here go through checkpoints and the journal: frozen, and without pixels. `Source` and
`AnswerWithCitations` pass between a node and an adapter; only `Source` holds bytes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal, Protocol

from pydantic import Field

from imagerag.agent.types import FrozenModel, ImageRef, Scalar, Sha256, Similarity

MAX_ANSWER: Final = 2_000
"""Characters of an answer; what is longer is cut, and ends in an ellipsis."""
MAX_SUPPORT: Final = 300
MAX_CITATIONS: Final = 20
MAX_ROWS: Final = 10_000
"""Images of a library whose metadata is read for one question; a larger one has to be narrowed by filters first."""
_MAX_TITLE, _MAX_TEXT, _MAX_VALUE, _MAX_KEYS = 120, 500, 200, 24


class AnswerOutcome(StrEnum):
    """The outcome of a question."""

    ANSWERED = "answered"
    NOT_HELD = "not_held"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    BUDGET_EXHAUSTED = "budget_exhausted"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    CANCELLED = "cancelled"


MAX_QUESTION_IMAGES: Final = 8
"""Images that one question may come with."""

MatchReason = Literal["similarity", "image", "metadata", "earlier"]
"""Why an image is a source: its similarity to the question's words, or to the question's image; what its metadata
says; an earlier answer of the thread spoke of it."""

SearchBy = Literal["image", "words", "both"]
"""What a library is searched with: the question's images, its words (in its metadata, too), or both."""


class HasMetadata(Protocol):
    """An image with its metadata, such as a hit of a search."""

    @property
    def image(self) -> ImageRef: ...
    @property
    def title(self) -> str: ...
    @property
    def caption(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def metadata(self) -> Mapping[str, Scalar]: ...
    @property
    def source(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def licence(self) -> str: ...


class RetrievedImage(FrozenModel):
    """An image that was retrieved for a question.

    Attributes:
        number: what citations call it, from 1; None when it was not accepted.
        similarity: cosine with the question's words; None when something else found it, far from the nearest.
        image_similarity: cosine with the nearest of the question's images; None where none was searched with, or it
            is far from the nearest.
        by: why it was looked at.
    """

    number: int | None = Field(default=None, ge=1)
    image: ImageRef
    similarity: Similarity | None = None
    image_similarity: Similarity | None = None
    by: MatchReason = "similarity"
    title: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Scalar] = Field(default_factory=dict)
    source: str = ""
    author: str = ""
    licence: str = ""

    @classmethod
    def of(
        cls, row: HasMetadata, *, similarity: float | None, by: MatchReason, image_similarity: float | None = None
    ) -> "RetrievedImage":
        """From what a library knows, texts cut to a bounded length: nobody's metadata floods an answer."""
        metadata = {short(key, _MAX_TITLE): _bounded(value) for key, value in list(row.metadata.items())[:_MAX_KEYS]}
        return cls(
            image=row.image,
            similarity=similarity,
            image_similarity=image_similarity,
            by=by,
            title=short(row.title, _MAX_TITLE),
            caption=short(getattr(row, "caption_or_description", row.caption), _MAX_TEXT),
            tags=tuple(short(tag, _MAX_TITLE) for tag in row.tags[:_MAX_KEYS]),
            metadata=metadata,
            source=short(row.source, _MAX_TEXT),
            author=short(row.author, _MAX_TITLE),
            licence=short(row.licence, _MAX_TITLE),
        )


class Part(FrozenModel):
    """The result of one side of an "or": its words, the number of images that fit, and the first of them."""

    words: str
    matched: int
    id: Sha256 | None = None


class MetadataResult(FrozenModel):
    """The answer of a library's metadata to a question, found without a model.

    Attributes:
        kind: what the question asks for; "unknown" when that could not be made out.
        rows: how many images were looked at.
        matched: how many of them fit.
        condition: what they had to fit, in words; empty for all.
        key: the number that orders them, or is averaged or summed.
        direction: which end of that order comes first.
        asked: the keys whose values are wanted.
        ids: the fitting ones, first ones first, `MAX_CITATIONS` at most.
        wanted: how many of the first ones of an order are asked for; 0 is all, in that order.
        rank: which one of an order is asked for, from 1: those of `ids` that lead are it, with what ties with it.
        leading: how many of `ids` those are, with what ties with the last of them.
        number: an average or a total.
        values: the distinct values of a key, with how often each occurs.
        parts: each side of an "or" by itself.
        unknown: words of the question that nothing in the library's metadata says.
        left_out: words that say what somebody is after and nothing about an image: "need", "options".
        notes: what should be known about how this was found.
    """

    kind: Literal["best", "value", "count", "list", "distinct", "average", "total", "unknown"] = "unknown"
    rows: int = 0
    matched: int = 0
    condition: str = ""
    key: str = ""
    direction: Literal["highest", "lowest", ""] = ""
    asked: tuple[str, ...] = ()
    ids: tuple[Sha256, ...] = ()
    wanted: int = 1
    rank: int = 1
    leading: int = 0
    number: float | None = None
    values: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def clear(self) -> bool:
        """Whether the question was understood to its last word."""
        return self.kind != "unknown" and not self.unknown


class Citation(FrozenModel):
    """A source's number, and what of the answer it supports."""

    source: int = Field(ge=1)
    supports: str = ""


class ConversationTurn(FrozenModel):
    """An earlier question of a thread, its answer, the images it spoke of, and those that it came with."""

    question: str
    answer: str
    outcome: AnswerOutcome
    library: str | None = None
    sources: tuple[RetrievedImage, ...] = ()
    images: tuple[ImageRef, ...] = ()


class AnswerResponse(FrozenModel):
    """An answer as the state keeps it; `reason` says why there is none."""

    text: str = ""
    cited: tuple[Citation, ...] = ()
    in_library: bool = False
    notes: tuple[str, ...] = ()
    reason: str = ""


class QAResult(FrozenModel):
    """Outcome and reason of a question; `error` is the class of the error that ended it, `at` an ISO 8601 time."""

    outcome: AnswerOutcome
    reason: str = ""
    error: str | None = None
    at: str | None = None


STATE_TYPES: Final = (
    AnswerOutcome,
    RetrievedImage,
    Part,
    MetadataResult,
    Citation,
    ConversationTurn,
    AnswerResponse,
    QAResult,
)
"""What of this a checkpoint may hold."""


def short(text: str, limit: int) -> str:
    """At most `limit` characters of a text; one that was cut ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _bounded(value: Scalar) -> Scalar:
    return short(value, _MAX_VALUE) if isinstance(value, str) else value
