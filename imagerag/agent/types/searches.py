"""Searches of a library, and the concepts they are for."""

from typing import Literal

from pydantic import Field

from imagerag.agent.types.attempts import Concept, UsedReference
from imagerag.agent.types.base import FrozenModel, ImageRef, Sha256, Similarity
from imagerag.agent.types.provenance import WebProvenance, WebSearch
from imagerag.agent.types.regions import Region

Decision = Literal[
    "taken",
    "offered",
    "reserve",
    "below_threshold",
    "already_used",
    "near_duplicate",
    "rejected_by_hand",
    "rejected_by_reranker",
    "missing_file",
]
"""Why a candidate was or was not taken: sent; put before a human; passed but the generator's limit was reached;
under the threshold; in an earlier round it did not help; (nearly) the same image as one already taken; the human
chose others; it passed, and the reranker found that it does not fit; it passed, and its file is gone or was changed."""


ListName = Literal["image", "caption", "words"]
"""A list of a hybrid search: by image vectors, by caption vectors, or by words."""

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
    "missing_file",
    "below_threshold",
    "unclear_feedback",
]
"""What stood in the way of a reference: the generator takes none, or no more; there is no library, or it is empty; a
filter, or the list of images never to be used, left it out; the human took none; it was sent before; it does not fit;
its file is gone; nothing is similar enough; nobody knows what to look for."""


class FoundBy(FrozenModel):
    """One list of a hybrid search that an image is in, and how much it counted.

    Attributes:
        list: the images nearest to the query, the captions nearest to it, or the best matches of its words.
        rank: the image's place in the list, from 1.
        score: cosine in [-1, 1]; of words, their BM25 score, at least 0, which is comparable within one search only.
        share: the list's share of the image's fused score, in [0, 1]; the shares of all lists add up to 1, or are 0
            where the library's weights give no weight to any list that has the image.
        field: of words, where most of them are: "caption", "title", "tags", "ocr" or "description".
        words: the words of the query that are there.
    """

    list: ListName
    rank: int = Field(ge=1)
    score: float
    share: float = Field(ge=0, le=1)
    field: str = ""
    words: tuple[str, ...] = ()


class Candidate(FrozenModel):
    """A library image that a search returned, with what was decided about it and why.

    Attributes:
        found_by: the lists of a hybrid search that it is in, that which counted most first.
        caption_similarity, caption_threshold: cosine of the query and its caption, and from which on it passed by that,
            whatever its own; None where its caption did not decide.
        library: which of several libraries it is from; empty where there is one.
        threshold: the cosine it had to reach there; None is that of its search.
        likeness: whether what is drawn with it must be this very thing.
        region: the box in it that is as similar; None is the whole image.
        web: where it was found on the web; None for an image of a library of the user's own.
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
    found_by: tuple[FoundBy, ...] = ()
    caption_similarity: float | None = None
    caption_threshold: float | None = None
    region: Region | None = None
    web: WebProvenance | None = None

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
    """Results that one of a search's filters left out, beside those that it let through.

    Attributes:
        by: the filter; "filters" stands for all of them, where none alone makes a difference.
        found: images found without it.
        passing: those of them that reach the threshold.
        closest: the highest similarity among them.
        threshold: the cosine they had to reach; None when the threshold is off.
    """

    by: Literal["licences", "tags", "filter", "excluded", "filters"]
    found: tuple[Sha256, ...]
    passing: tuple[Sha256, ...] = ()
    closest: Similarity
    threshold: float | None = None


class Search(FrozenModel):
    """One search and everything it returned, in one round.

    Attributes:
        threshold: the cosine a candidate had to reach; None when the threshold is off, and where each candidate has
            that of its own library.
        hybrid: whether captions and words counted, too.
        reranker: whose order the candidates that passed are in; empty when it is that of their similarity.
        note: why a reranker did not give the order, or what became of an image's file.
        left_out: what its filters kept out, looked up where nothing passed.
        no_match: why the filters let nothing through, where that is so: what the library holds instead.
        web: searches of the web, made where no image of the user's own passed.
    """

    round: int
    query: Query
    candidates: tuple[Candidate, ...] = ()
    threshold: float | None = None
    hybrid: bool = False
    reranker: str = ""
    note: str = ""
    left_out: tuple[OmittedByFilter, ...] = ()
    no_match: str = ""
    web: tuple[WebSearch, ...] = ()

    def noted(self, note: str) -> "Search":
        """The same with a further note."""
        return self.model_copy(update={"note": "; ".join(filter(None, [self.note, note]))})

    def threshold_of(self, candidate: Candidate) -> float | None:
        """The cosine that one of its candidates had to reach; None when the threshold is off."""
        return self.threshold if candidate.threshold is None else candidate.threshold

    @property
    def thresholds(self) -> dict[str, float]:
        """The cosine to reach by library, "" where there is one; empty when the threshold is off."""
        own = {c.library: c.threshold for c in self.candidates if c.threshold is not None}
        shared = self.threshold is not None and any(c.threshold is None for c in self.candidates)
        if self.threshold is not None and (shared or not own):
            own[""] = self.threshold
        return dict(sorted(own.items()))


class TrackedConcept(FrozenModel):
    """The history of one concept across rounds.

    Attributes:
        first_missing_round: the round in which it was first found missing.
        resolved_round: the round in which it was no longer missing; None while unresolved.
        references: the references sent for it, oldest first.
        stands_for: the missing concepts that it was searched for in place of: it is resolved with the first of them.
    """

    concept: Concept
    first_missing_round: int = Field(ge=0)
    resolved_round: int | None = None
    references: tuple[UsedReference, ...] = ()
    stands_for: tuple[str, ...] = ()
