"""Documents about searches of a library, and about similarities."""

from typing import Literal

from pydantic import Field

from imagerag.agent.types import Document, FoundBy, Region, Scalar, Sha256, Similarity


class SearchedTerm(Document):
    """A term of a query: a text, or the name of an image; one with a `weight` below 0 is subtracted."""

    term: str
    image: bool
    weight: float


class TermScore(Document):
    """What a term has to do with a result.

    Attributes:
        similarity: cosine of the image and the term alone.
        contribution: the term's share of the result's similarity; the shares of all terms add up to it.
    """

    term: str
    weight: float
    similarity: Similarity
    contribution: float


class SearchResult(Document):
    """An image that a search found.

    Attributes:
        accepted: whether its similarity reaches the threshold; None where none is known (`threshold_note`).
        terms: where the query has several terms, what each contributed.
        found_by: in a hybrid search the lists that have it, that which counted most first.
        path: the file it was indexed from, when that is still there.
        ocr: the words in it, as OCR read them.
        caption_similarity: cosine of the query and its caption; None where captions were not searched.
        caption_threshold: from which on it is accepted by its caption, whatever its own similarity.
        description: what the model `described_by` says of it; no person wrote it.
        description_confidence: how well that fits the image by the library's encoder, in [0, 1]; None: not measured.
        region: the box in it that gave the similarity; None is the whole image.
        library: where several were searched, the one it is from.
        threshold: the cosine to reach there, or in a hybrid search; None is that of the whole search.
    """

    id: Sha256
    similarity: Similarity
    caption_similarity: Similarity | None = None
    caption_threshold: Similarity | None = None
    library: str = ""
    threshold: float | None = None
    accepted: bool | None
    terms: list[TermScore] = Field(default_factory=list)
    found_by: list[FoundBy] = Field(default_factory=list)
    path: str | None
    caption: str
    title: str
    metadata: dict[str, Scalar]
    tags: list[str]
    source: str
    author: str
    licence: str
    ocr: str = ""
    description: str = ""
    described_by: str = ""
    description_confidence: float | None = None
    region: Region | None = None


class SearchDocument(Document):
    """Results of `search`, best first. `threshold` is a cosine; None when it was off, or is each library's own.

    `image` is the only image that was searched with, `terms` are all texts and images. `searched_with` are the words
    that the encoder was asked with instead of the query; none where it was the query. `threshold_note` says why it is
    not known which results are accepted, and `no_match` why the filters let nothing through, where that is so.
    `service_errors` say why services on the web that had to be asked as well gave no images. `by` says whether the
    query was compared with images or with their captions; the threshold is one of these.
    """

    schema_name: Literal["imagerag.search/1"] = Field(default="imagerag.search/1", alias="schema")
    library: str
    query: str | None
    by: Literal["images", "captions"] = "images"
    image: str | None
    terms: list[SearchedTerm] = Field(default_factory=list)
    searched_with: list[str] = Field(default_factory=list)
    threshold: float | None
    threshold_note: str = ""
    results: list[SearchResult]
    no_match: str = ""
    service_errors: list[str] = Field(default_factory=list)


class Compared(Document):
    """A text, and how similar the image is to it; `accepted` is None where there is no threshold."""

    text: str
    similarity: Similarity
    accepted: bool | None


class SimilarityDocument(Document):
    """Results of `similarity`, in the order of the texts. `threshold` is the library's; None for another encoder."""

    schema_name: Literal["imagerag.similarity/1"] = Field(default="imagerag.similarity/1", alias="schema")
    image: str
    embedder: str
    threshold: float | None
    results: list[Compared]
