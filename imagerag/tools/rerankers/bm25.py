"""Reranker on text: Okapi BM25 of captions, titles and tags against the query. Local and free.

For libraries whose captions hold what pixels do not: names, part numbers. Not LanceDB's full-text search, which ranks a
whole table; this one ranks the few hits of any search, whatever its filter.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagerag.agent.errors import SpecError
from imagerag.agent.ports import FREE, Capabilities, Hit, ImagePart, Judge, Ranking

if TYPE_CHECKING:
    from imagerag.tools.spec import BackendSpec

_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
"""A word; in scripts without spaces, a character."""


@dataclass(frozen=True)
class Bm25Reranker:
    """Orders hits by BM25 of captions, titles and tags; drops none.

    Hits with equal scores keep the order of the search.

    Attributes:
        k1: saturation of repeated words, usually 1.2 to 2.
        b: penalty for long texts, in [0, 1].
    """

    k1: float = 1.5
    b: float = 0.75
    identity = "bm25"
    capabilities = Capabilities(tariff=FREE)

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart] = ()) -> Ranking:
        """All hits, best match first."""
        texts = [words(" ".join((hit.caption_or_description, hit.title, *hit.tags))) for hit in hits]
        scores = bm25(words(query), texts, k1=self.k1, b=self.b)
        return Ranking(order=tuple(sorted(range(len(hits)), key=lambda index: -scores[index])), cost_usd=0.0)


def bm25_reranker(spec: "BackendSpec", *, judge: Judge) -> Bm25Reranker:
    """`bm25`.

    Raises:
        SpecError: a model or an address is given.
    """
    if str(spec) != "bm25":
        raise SpecError(f"{str(spec)!r}: bm25 is one formula and runs here: write 'bm25'")
    return Bm25Reranker()


def words(text: str) -> list[str]:
    """Lower-case words of a text."""
    return _WORD.findall(text.casefold())


def bm25(query: Sequence[str], texts: Sequence[Sequence[str]], *, k1: float = 1.5, b: float = 0.75) -> list[float]:
    """BM25 score of each text for a query; never negative (the log of the inverse document frequency adds 1).

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
    """
    counts = [Counter(text) for text in texts]
    average = sum(map(len, texts)) / len(texts) if texts else 0.0
    scores = [0.0] * len(texts)
    for term in dict.fromkeys(query):
        holding = sum(term in count for count in counts)
        rarity = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for index, count in enumerate(counts):
            if count[term]:
                norm = k1 * (1 - b + b * len(texts[index]) / average)
                scores[index] += rarity * count[term] * (k1 + 1) / (count[term] + norm)
    return scores
