"""What a library is searched with, and what it finds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.lone_surrogates import valid_json, valid_text
from imagerag.agent.types import FoundBy, ImageRef, Region, RunConfig, Scalar, WebProvenance, caption_or_description
from imagerag.agent.types.filters import Comparison, Condition, FilterExpression, all_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Conditions on the results of a search.

    Attributes:
        where: what must hold of an image's metadata and of all else that is known of it.
        tags: all must be present.
        licences: one of them must be the licence; empty allows every licence.
        exclude: ids never returned.
        only: ids that may be returned; empty allows all.
    """

    where: FilterExpression | None = None
    tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    exclude: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    @classmethod
    def of_run(cls, config: RunConfig, *, exclude: frozenset[str] = frozenset()) -> "Filter":
        """The filter of a run's or a question's config."""
        return cls(where=config.filter, tags=config.tags, licences=config.licences, exclude=exclude)

    @property
    def condition(self) -> Condition | None:
        """The condition on an image, `exclude` and `only` aside; None where all images pass."""
        terms: list[Condition] = [Comparison(key="tag", op="=", values=(tag,)) for tag in self.tags]
        terms += [Comparison(key="licence", op="=", values=self.licences)] if self.licences else []
        terms += [self.where.parsed] if self.where else []
        return all_of(terms) if terms else None

    def matches(self, record: Any) -> bool:
        """Whether it lets an image through: a `Hit`, or what else has `image`, `metadata` and `tags`. For libraries
        that have no query language of their own."""
        from imagerag.agent.types.filters.matching import matches

        condition, sha256 = self.condition, record.image.sha256
        allowed = sha256 not in self.exclude and (not self.only or sha256 in self.only)
        return allowed and (condition is None or matches(condition, record))


MOST_WEIGHT: Final = 100.0
"""Of a search term; beside one of this weight, others hardly count."""


@dataclass(frozen=True, kw_only=True)
class SearchTerm:
    """One term of a query: a text or an image, and how much it counts.

    Attributes:
        image: a path, an address (`https://…`, `image://SHA256`), or the bytes of an image; None for a text.
        weight: how much it counts; below 0 it is subtracted.
        name: how the term is called where results are shown; by default its text or path.

    Raises:
        UsageError: not one of text and image, or a weight that is 0, not finite, or above 100.
    """

    text: str = ""
    image: str | Path | bytes | None = field(default=None, repr=False)
    weight: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.text and self.image is not None:
            raise UsageError("a term of a query is a text or an image, one of them")
        if not 0 < abs(self.weight) <= MOST_WEIGHT:
            raise UsageError(f"the weight of a term is above 0 and at most {MOST_WEIGHT:g}, not {self.weight:g}")
        if not self.name:
            path = "" if self.image is None else "image" if isinstance(self.image, bytes) else str(self.image)
            object.__setattr__(self, "name", path or self.text)


@dataclass(frozen=True, kw_only=True)
class TermSimilarity:
    """What one term of a query has to do with a hit.

    Attributes:
        term, weight: the term.
        similarity: cosine of the image and the term alone.
        contribution: the term's share of the hit's similarity; the shares of all terms add up to it.
    """

    term: str
    weight: float
    similarity: float
    contribution: float


_TEXTS: Final = ("title", "caption", "source", "author", "licence", "ocr", "description", "described_by", "library")
"""Texts of a hit: those of somebody's own library may hold what cannot be stored."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A library image that a search returned.

    Attributes:
        similarity: cosine in [-1, 1], higher is better: of the whole image or of its nearest region.
        region: the box that gave it; None is the whole image.
        vector: its unit image vector, float32 [dimension]; lets near-duplicates be told without another search.
        title: a short human name, for instance the file's stem or the product's name.
        ocr: the words in the image, as OCR read them; empty where it has not been read.
        description: what the model `described_by` says of the image; no person wrote it. Empty where none was asked.
        description_confidence: how well it fits the image by the library's encoder, in [0, 1]; None: not measured.
        library: which of several libraries it is from; empty where there is one.
        threshold: the cosine it has to reach there; None is that of the whole search.
        terms: how much each term contributed, in a search with several.
        found_by: in a hybrid search the lists that have it, that which counted most first.
        caption_similarity: cosine of the query and the image's caption by the library's caption encoder, in [-1, 1];
            None where captions were not searched.
        caption_threshold: the cosine from which on the image counts by its caption, whatever its own; None where only
            its own does.
        web: where it was found on the web; None for an image of a library of the user's own.
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
    ocr: str = ""
    description: str = ""
    described_by: str = ""
    description_confidence: float | None = None
    library: str = ""
    threshold: float | None = None
    terms: tuple[TermSimilarity, ...] = ()
    found_by: tuple[FoundBy, ...] = ()
    caption_similarity: float | None = None
    caption_threshold: float | None = None
    region: Region | None = None
    web: WebProvenance | None = None

    def __post_init__(self) -> None:
        for name in _TEXTS:
            if not (text := getattr(self, name)).isascii():
                object.__setattr__(self, name, valid_text(text))
        object.__setattr__(self, "tags", tuple(map(valid_text, self.tags)))
        object.__setattr__(self, "metadata", valid_json(self.metadata))

    def reaches(self, threshold: float | None, *, by_caption: bool = False) -> bool:
        """Whether the image counts, by its own cosine or by that of its caption.

        Args:
            threshold: of the whole search, for a hit that has none of its own; None lets all count.
            by_caption: the search compared captions alone, and the threshold is theirs.
        """
        limit = threshold if self.threshold is None else self.threshold
        if by_caption:
            return limit is None or (self.caption_similarity is not None and self.caption_similarity >= limit)
        return limit is None or self.similarity >= limit or self.caption_reaches

    @property
    def margin(self) -> float:
        """The distance from what the hit has to reach, by image or by caption, whichever is larger; without a
        threshold, what it reaches. It compares hits of which some have to reach less than others."""
        own = self.similarity - (self.threshold or 0.0)
        if self.caption_similarity is None:
            return own
        if self.caption_threshold is not None:
            return max(own, self.caption_similarity - self.caption_threshold)
        # A hybrid search without thresholds ranks by images; in one by captions alone, `threshold` is theirs.
        return own if self.found_by else self.caption_similarity - (self.threshold or 0.0)

    @property
    def caption_reaches(self) -> bool:
        """Whether the image counts by its caption."""
        if self.caption_similarity is None or self.caption_threshold is None:
            return False
        return self.caption_similarity >= self.caption_threshold

    def without_thresholds(self) -> "Hit":
        """The hit for a search with a threshold of the user's own, or none."""
        return replace(self, threshold=None, caption_threshold=None)

    @property
    def caption_or_description(self) -> str:
        """The caption; without one, the description by a model, marked as such, unless its confidence is low."""
        return caption_or_description(self.caption, self.description, self.described_by, self.description_confidence)


class SearchHits(list[Hit]):
    """The hits of a search that went on without a service that failed.

    Attributes:
        service_errors: why services that had to be asked as well gave none.
    """

    def __init__(self, hits: Iterable[Hit] = (), *, service_errors: Iterable[str] = ()) -> None:
        super().__init__(hits)
        self.service_errors = tuple(service_errors)


def service_errors_of(hits: object) -> tuple[str, ...]:
    """Why services that a search had to ask gave no hits; empty where none failed."""
    return getattr(hits, "service_errors", ())


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """Sort the hits of one search. Where they have thresholds of their own, the distance from these is compared."""
    return sorted(hits, key=lambda hit: (-hit.margin, hit.image.sha256))
