"""Structured results of the tools: small, bounded, without pixels."""

from typing import Annotated, Final, Literal

from pydantic import Field

from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.types import Cause, FrozenModel, ImageRef, Outcome, Region
from imagerag.formatting.quoting import line

MOST: Final = 20
"""Entries of any list."""

SHORT: Final = 120
LONG: Final = 400
ANSWER: Final = 2_000
MAX_PATH: Final = 4_096
"""A path that was cut or changed leads nowhere: a longer one, or one with control characters, is left out."""


class ReportedImage(FrozenModel):
    """An image: its id, and where its file is."""

    uri: Annotated[str, Field(description="image://SHA256")]
    media_type: str
    width: int
    height: int
    path: str | None = None

    @classmethod
    def of(cls, image: ImageRef, path: str | None = None) -> "ReportedImage":
        """From what a run or a library says of it."""
        return cls(
            uri=uri(image.sha256),
            media_type=line(image.media_type, SHORT),
            width=image.width,
            height=image.height,
            path=path if path and path == line(path, MAX_PATH) else None,
        )


class ReferenceReport(FrozenModel):
    """A library image, or one of the user's own, that went into an image, found itself, or waits to be chosen."""

    number: int
    uri: str
    role: Literal["reference", "subject", "edit", "hit", "offered", "cited"] = "reference"
    similarity: float | None = None
    image_similarity: Annotated[float | None, Field(description="Cosine with the question's own image.")] = None
    accepted: Annotated[bool | None, Field(description="Whether a run would use it by itself.")] = None
    contributions: Annotated[tuple[float, ...], Field(description="Of each term of a query.")] = ()
    found_by: str = ""
    concept: Annotated[str, Field(description="What of the prompt it stands for.")] = ""
    supports: Annotated[str, Field(description="What of the answer it supports.")] = ""
    title: str = ""
    caption: str = ""
    ocr: Annotated[str, Field(description="Words in the image, where a search found it.")] = ""
    description: Annotated[str, Field(description="What a model says of it; no person wrote that.")] = ""
    described_by: Annotated[str, Field(description="That model.")] = ""
    region: Annotated[
        Region | None, Field(description="Box of the image that was found or sent: shares of width and height.")
    ] = None
    licence: str = ""
    author: str = ""
    source: str = ""


class WebSourceReport(FrozenModel):
    """A page or an image on the web that the generator's own model used; nobody checked its licence."""

    title: str = ""
    page: str = ""
    image: str = ""


class RunReport(FrozenModel):
    """State of a run. Of its cost, `assumed_usd` was assumed where no price is known, and `unsettled_usd` is what
    calls without an answer may have cost."""

    kind: Literal["run"] = "run"
    run_id: str
    status: Literal["running", "interrupted", "ended"]
    outcome: Outcome | None
    reason: str = ""
    causes: Annotated[tuple[Cause, ...], Field(description="Why there was no usable reference.")] = ()
    image: ReportedImage | None = None
    last_image: Annotated[
        str | None, Field(description="image://SHA256 of the newest attempt, where an earlier one is better.")
    ] = None
    references: tuple[ReferenceReport, ...] = ()
    sources: tuple[WebSourceReport, ...] = ()
    unresolved: tuple[str, ...] = ()
    offered: Annotated[tuple[ReferenceReport, ...], Field(description="While interrupted: what to choose from.")] = ()
    max_selections: int | None = None
    calls: int = 0
    cached_calls: Annotated[int, Field(description="Answers from the journal: paid for before.")] = 0
    cost_usd: Annotated[float | None, Field(description="None when a price is not known.")] = None
    assumed_usd: float = 0.0
    unsettled_usd: float = 0.0
    has_unknown_cost: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    parent_run: str | None = None
    warnings: tuple[str, ...] = ()


class MetadataReport(FrozenModel):
    """A metadata key and its most frequent values."""

    key: str
    values: tuple[str, ...] = ()


class WayReport(FrozenModel):
    """How well one way to search a library works, and what the user can do about it."""

    way: str
    verdict: str
    summary: str
    advice: tuple[str, ...] = ()


class LibraryReport(FrozenModel):
    """A library, the values by which its images can be filtered, the most frequent first, and its snapshots."""

    name: str
    usual: bool = False
    images: int | None = None
    captioned: int | None = None
    described: Annotated[int | None, Field(description="How many a model described; these are no captions.")] = None
    threshold: float | None = None
    accept_rate: float | None = None
    reject_rate: float | None = None
    language: str = ""
    check: tuple[WayReport, ...] = ()
    tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    metadata: tuple[MetadataReport, ...] = ()
    snapshots: tuple[str, ...] = ()
    note: str = ""


class LibrariesReport(FrozenModel):
    """The libraries there are."""

    kind: Literal["libraries"] = "libraries"
    libraries: tuple[LibraryReport, ...] = ()
    note: str = ""


class SearchReport(FrozenModel):
    """Results of a search, best first."""

    kind: Literal["search"] = "search"
    library: str
    threshold: Annotated[
        float | None,
        Field(description="Cosine from which a run uses an image by itself; by image: the same thing."),
    ]
    by: Literal["words", "image", "terms", "captions"] = "words"
    terms: tuple[str, ...] = ()
    hits: tuple[ReferenceReport, ...] = ()
    note: str = ""


class AddedReport(FrozenModel):
    """An image that was added to a library, and where a search for its caption has it."""

    kind: Literal["added"] = "added"
    added: bool
    new: bool = False
    library: str
    image: ReportedImage
    rank: int | None = None
    similarity: float | None = None
    accepted: bool | None = None
    threshold: float | None = None


class AnswerReport(FrozenModel):
    """An answer from the images of a library; what it cost is told as in `RunReport`."""

    kind: Literal["answer"] = "answer"
    outcome: AnswerOutcome
    in_library: Annotated[bool, Field(description="Whether the images hold the answer.")]
    answer: str
    reason: str = ""
    citations: tuple[ReferenceReport, ...] = ()
    thread_id: Annotated[str, Field(description="To be passed as thread with a follow-up question.")]
    baseline_answer: Annotated[str | None, Field(description="What the model says without the images.")] = None
    calls: int = 0
    cached_calls: int = 0
    cost_usd: float | None = None
    assumed_usd: float = 0.0
    unsettled_usd: float = 0.0
    has_unknown_cost: tuple[str, ...] = ()


class ImageReport(FrozenModel):
    """An image that was asked for by its id."""

    kind: Literal["image"] = "image"
    image: ReportedImage


class ErrorReport(FrozenModel):
    """An error: nothing was done."""

    kind: Literal["error"] = "error"
    error: Annotated[str, Field(description="The class of the error.")]
    message: str


def uri(sha256: str) -> str:
    """The URI of an image for an assistant."""
    return f"image://{sha256}"
