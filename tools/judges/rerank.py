"""A second look at what a search found: by the judge, or by the words of the captions. Off by default.

ImageRAG, section 5 (ablation): reranking by a VLM or by BM25 changed nothing significant. It is here for libraries
whose captions say what pixels do not (names, part numbers), and to be measured.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.ports import Hit, ImagePart, Judge

_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
"""A word; in scripts without spaces, a character."""


class Reranker(Protocol):
    """Puts search results into a better order."""

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> list[int]:
        """Indices into `hits`, best first; those left out do not fit.

        Args:
            images: the pixels of `hits`, in the same order; a reranker that reads captions only takes none.

        Raises:
            RefusalError: content policy.
            BackendError: a model that was asked did not answer.
        """
        ...


@dataclass(frozen=True)
class VlmReranker:
    """Lets the judge pick from a numbered contact sheet. One call; an answer that cannot be read changes nothing."""

    judge: Judge

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> list[int]:
        """Indices the judge picked, best first."""
        if len(hits) != len(images):
            raise ValueError(f"{len(images)} images for {len(hits)} hits")
        if not hits:
            return []
        try:
            return list(await self.judge.choose(query, images))
        except JudgeReplyError:
            return list(range(len(hits)))


@dataclass(frozen=True)
class Bm25Reranker:
    """Orders by how well captions, titles and tags match the query's words (Okapi BM25); leaves none out.

    Hits that are equally good stay in the order the search gave them.

    Attributes:
        k1: how soon a repeated word stops counting, usually 1.2 to 2.
        b: how much a long text is held against it, in [0, 1].
    """

    k1: float = 1.5
    b: float = 0.75

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart] = ()) -> list[int]:
        """All indices, best match first."""
        texts = [words(" ".join((hit.caption, hit.title, *hit.tags))) for hit in hits]
        scores = bm25(words(query), texts, k1=self.k1, b=self.b)
        return sorted(range(len(hits)), key=lambda index: -scores[index])


def words(text: str) -> list[str]:
    """The words of a text, without case."""
    return _WORD.findall(text.casefold())


def bm25(query: Sequence[str], texts: Sequence[Sequence[str]], *, k1: float = 1.5, b: float = 0.75) -> list[float]:
    """How well each text matches a query; never negative (the inverse document frequency has 1 added inside the log).

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
