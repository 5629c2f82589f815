"""The order of what a question found, by a reranker: the same second look as in a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.ports import Hit, ReferenceLibrary, Reranker
from imagerag.agent.retrieval.candidate_selection import candidates_of
from imagerag.agent.retrieval.reranking import CandidateReranker
from imagerag.agent.types import Concept, Query, Search

_NO_DUPLICATES = 2.0
"""No cosine reaches it: a question may be about images that are nearly the same."""


@dataclass(frozen=True, kw_only=True)
class SourceReranker:
    """Puts images that are near enough to a question into a reranker's order.

    Attributes:
        calls: through which a reranker that looks asks its model.
    """

    reranker: Reranker
    library: ReferenceLibrary
    calls: ModelCaller

    async def ordered(self, question: str, hits: Sequence[Hit]) -> tuple[list[Hit], str]:
        """The images that fit, best first, and a note where the reranker gave no order that could be read.

        Raises:
            RefusalError, BackendError, BudgetExceededError: the model that was asked did not answer.
        """
        near = [replace(hit, threshold=None) for hit in hits]
        search = Search(
            round=0,
            query=Query(concept=Concept(text=question), text=question, by="prompt"),
            candidates=candidates_of(near, threshold=None, near_duplicate=_NO_DUPLICATES),
        )
        second = CandidateReranker(reranker=self.reranker, library=self.library, calls=self.calls)
        ranked = await second.ranked(search, near, place=0)
        by_id = {hit.image.sha256: hit for hit in hits}
        return [by_id[c.image.sha256] for c in ranked.candidates if c.decision is None], ranked.note
