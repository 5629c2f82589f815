"""The ports of question answering: a model that answers, its input and output, and a library that can be listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from imagerag.agent.ports import Filter, ImagePart, ModelResponse
from imagerag.agent.qa.types import (
    Citation,
    ConversationTurn,
    HasMetadata,
    MatchReason,
    MetadataResult,
    RetrievedImage,
)
from imagerag.agent.types import SamplingParams, Scalar


@runtime_checkable
class ListableLibrary(Protocol):
    """A library that can list what it knows of its images. One that cannot is asked by similarity alone."""

    async def listed(self, *, filter: Filter, limit: int) -> tuple[Sequence[HasMetadata], int]:
        """At most `limit` of the images that a filter lets through, sorted by id, and how many there are in all."""
        ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """A retrieved image as it is handed to an answerer. All texts are what somebody wrote: data, never instructions.

    Attributes:
        number: what a citation calls it, from 1.
        image: the pixels; None for an answerer that does not look.
        similarity: cosine with the question's words, where that is known.
        image_similarity: cosine with the nearest of the question's images, where that is known.
    """

    number: int
    id: str
    image: ImagePart | None = None
    title: str = ""
    caption: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    author: str = ""
    licence: str = ""
    similarity: float | None = None
    image_similarity: float | None = None
    by: MatchReason = "similarity"

    @classmethod
    def of(cls, retrieved_image: RetrievedImage, image: ImagePart | None) -> "Source":
        """An accepted image, with its pixels for an answerer that looks."""
        assert retrieved_image.number is not None, "only accepted images are sources"
        return cls(
            number=retrieved_image.number,
            id=retrieved_image.image.sha256,
            image=image,
            title=retrieved_image.title,
            caption=retrieved_image.caption,
            tags=retrieved_image.tags,
            metadata=retrieved_image.metadata,
            author=retrieved_image.author,
            licence=retrieved_image.licence,
            similarity=retrieved_image.similarity,
            image_similarity=retrieved_image.image_similarity,
            by=retrieved_image.by,
        )


@dataclass(frozen=True, kw_only=True)
class AnswerWithCitations(ModelResponse):
    """An answer.

    Attributes:
        cited: which source supports what.
        in_library: whether the sources hold the answer.
        notes: what was wrong with the model's answer and was left out.
    """

    text: str
    cited: tuple[Citation, ...] = ()
    in_library: bool = True
    notes: tuple[str, ...] = ()


class Answerer(Protocol):
    """Answers questions from retrieved images and their metadata, and from nothing else.

    Every method may raise RefusalError, BackendError, or JudgeReplyError when the model's words could not be read.

    Its `capabilities` are optional (see `Capabilities`): one that `takes_images` is handed those that a question
    comes with, one that `needs_images` the pixels of its sources; one that does not is handed more of them.

    Attributes:
        identity: `provider:model`.
        synonyms: words → the word that a library's metadata has for it, for looking things up.
    """

    @property
    def identity(self) -> str: ...
    @property
    def synonyms(self) -> Mapping[str, str]: ...

    async def answer(
        self,
        question: str,
        sources: Sequence[Source],
        *,
        finding: MetadataResult | None,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """Answer from `sources` alone; `finding` is what a look-up in the library's metadata gave, where one was made.

        `earlier` are the thread's last questions and answers, oldest first. `question_images` are the person's own,
        which the question is about: no sources.
        """
        ...

    async def answer_without(
        self,
        question: str,
        *,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """Answer without any source, for comparison; `question_images` are the person's own."""
        ...
