"""Queries of several terms as one vector: the sum of the terms' unit vectors by their weights, scaled to length 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Embedder, Filter, Hit, SearchTerm, TermSimilarity, queries_of
from imagerag.agent.ports.embedder import row_for_each
from imagerag.agent.retrieval.search_queries import naming
from imagerag.agent.threads import in_thread
from imagerag.agent.visible_text import is_blank
from imagerag.store.library import hybrid_search, search
from imagerag.store.library.hybrid_search import HybridQuery
from imagerag.store.library.table import LibraryTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Unit = Callable[[NDArray[np.float32], str], NDArray[np.float32]]
    """Scales the only row of a matrix to length 1; the text says what it is the vector of."""

_CANCELLED: Final = 0.01
"""Length of the sum, as a share of all weights, below which its direction is rounding and no meaning."""


@dataclass(frozen=True)
class CombinedQuery:
    """The vector of several terms.

    Attributes:
        vector: unit, float32 [dimension].
        vectors: unit, of each term.
        length: of the sum before it was scaled.
    """

    terms: Sequence[SearchTerm]
    vector: "Vector"
    vectors: "Sequence[Vector]"
    length: float

    @property
    def words(self) -> str:
        """The texts that are not subtracted."""
        return " ".join(term.text for term in self.terms if term.weight > 0)

    def nearest(self, table: LibraryTable, k: int, filter: Filter, hybrid: HybridQuery | None = None) -> list[Hit]:
        """The `k` rows with the highest cosine, best first, each with the contribution of every term.

        Args:
            hybrid: of `vector` and `words`; ranks by all lists of a hybrid search instead.
        """
        if hybrid is not None:
            hits = hybrid_search.hybrid(table.view, hybrid, k, filter, table.recent)
        else:
            hits = search.nearest(table.view, self.vector, k, filter, table.recent)
        return [self._explained(hit) for hit in hits]

    def _explained(self, hit: Hit) -> Hit:
        similar = [float(hit.vector @ vector) for vector in self.vectors]
        return replace(
            hit,
            terms=tuple(
                TermSimilarity(
                    term=term.name,
                    weight=term.weight,
                    similarity=max(-1.0, min(1.0, value)),
                    contribution=term.weight * value / self.length,
                )
                for term, value in zip(self.terms, similar, strict=True)
            ),
        )


async def combine(
    terms: Sequence[SearchTerm], embedder: Embedder, unit: "Unit", *, rewrite: bool = True
) -> CombinedQuery:
    """Encode several terms and add them up.

    Args:
        rewrite: let the encoder use words of its own for a text (`queries_of`); several of them count as one term, by
            their mean.

    Raises:
        UsageError: a text is empty, an image cannot be read, or the terms cancel each other out.
    """
    import numpy as np

    vectors = await _vectors(terms, embedder, unit, rewrite)
    weights = np.asarray([term.weight for term in terms], dtype=np.float64)
    total = weights @ np.asarray(vectors, dtype=np.float64)
    length = float(np.linalg.norm(total))
    if length < _CANCELLED * float(np.abs(weights).sum()):
        raise UsageError("the terms of the query cancel each other out: nothing is left to search with")
    return CombinedQuery(terms, (total / length).astype(np.float32), vectors, length)


async def _vectors(terms: Sequence[SearchTerm], embedder: Embedder, unit: "Unit", rewrite: bool) -> "list[Vector]":
    """The unit vector of each term; the texts of all are encoded together."""
    import numpy as np

    of_terms = [_texts(term, embedder, rewrite) for term in terms]
    texts = [text for several in of_terms for text in several]
    encoded = (
        row_for_each(await embedder.embed_texts(texts), len(texts), embedder.identity.spec)
        if texts
        else np.empty((0, 0), np.float32)
    )
    vectors, at = list["Vector"](), 0
    for term, several in zip(terms, of_terms, strict=True):
        if term.image is not None:
            vectors.append(await _image_vector(term, embedder, unit))
            continue
        part, at = encoded[at : at + len(several)], at + len(several)
        if len(several) > 1:
            mean = part.mean(axis=0, keepdims=True)
            part = mean / np.linalg.norm(mean)
        vectors.append(unit(part, f"the text {term.text[:60]!r}"))
    return vectors


def _texts(term: SearchTerm, embedder: Embedder, rewrite: bool) -> Sequence[str]:
    """What is encoded for a term that is a text."""
    if term.image is not None:
        return ()
    if is_blank(term.text):
        raise UsageError("a search needs some text")
    return (queries_of(embedder, term.text) if rewrite else ()) or (term.text,)


async def _image_vector(term: SearchTerm, embedder: Embedder, unit: "Unit") -> "Vector":
    from imagerag.store.images.image_info import inspect

    data: Any = term.image
    with naming(term.name):
        await in_thread(inspect, data)
    return unit(await embedder.embed_images([data]), f"the image {term.name[:60]!r}")
