"""A second look at what a search found, by a reranker: of what reaches the threshold, the best first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.errors import BlobError, JudgeReplyError
from imagerag.agent.ports import (
    Hit,
    ImagePart,
    Ranking,
    ReferenceLibrary,
    Reranker,
    capabilities_of,
    reranks_by_model,
)
from imagerag.agent.types import Candidate, Decision, Search

LOOKED_AT: Final = 8
"""Searches of one round that a model is asked about; what a run can come to has an end, however much is missing."""


@dataclass(frozen=True, kw_only=True)
class CandidateReranker:
    """Ranks the candidates of one search.

    Attributes:
        calls: through which a reranker that looks asks its model.
    """

    reranker: Reranker
    library: ReferenceLibrary
    calls: ModelCaller

    async def ranked(self, search: Search, hits: Sequence[Hit], *, place: int) -> Search:
        """The search with its open candidates in the reranker's order, those it left out rejected.

        An answer that cannot be read changes nothing, and the search's note says so.

        Args:
            hits: what the candidates were made of, in their order.
            place: which of the round's searches it is, from 0.

        Raises:
            RefusalError, BackendError, BudgetExceededError: the model that was asked did not answer.
        """
        undecided = [index for index, candidate in enumerate(search.candidates) if candidate.decision is None]
        if not undecided:
            return search
        if reranks_by_model(self.reranker) and place >= LOOKED_AT:
            return search.noted(f"not reranked: only {LOOKED_AT} searches of a round are")
        try:
            ranking = await self._ask(search, [hits[index] for index in undecided])
        except JudgeReplyError as unread:
            why = f"{self.reranker.identity} gave no order that could be read, so it is that of the search: {unread}"
            return search.noted(why)
        order = [undecided[index] for index in dict.fromkeys(ranking.order) if 0 <= index < len(undecided)]
        rejected = [index for index in undecided if index not in order]
        others = [candidate for candidate in search.candidates if candidate.decision is not None]
        candidates = (
            *(search.candidates[index] for index in order),
            *(_decided(search.candidates[index], "rejected_by_reranker") for index in rejected),
            *others,
        )
        return search.model_copy(update={"candidates": candidates, "reranker": self.reranker.identity})

    async def _ask(self, search: Search, hits: Sequence[Hit]) -> Ranking:
        text = search.query.text
        if not reranks_by_model(self.reranker):
            return await self.reranker.rerank(text, hits, ())

        async def ask() -> Ranking:
            illustrated = hits if capabilities_of(self.reranker).needs_images else ()
            return await self.reranker.rerank(text, hits, [await self._part(hit) for hit in illustrated])

        content = {
            "prompt": text,
            "images": [["candidate", hit.image.sha256, hit.caption_or_description] for hit in hits],
            # Another round that finds the same is another call: a search does not know what the run asked before.
            "round": search.round,
        }
        return await self.calls.execute("rerank", self.reranker.identity, Ranking, content, ask)

    async def _part(self, hit: Hit) -> ImagePart:
        try:
            data, media_type = await self.library.encode_for_model(hit.image.sha256)
        except BlobError:
            # Its file is missing, which is told if it is chosen. A library that keeps small images has one for now.
            small = getattr(self.library, "thumbnail", None)
            if small is None:
                raise
            data, media_type = await small(hit.image.sha256), "image/webp"
        return ImagePart(data=data, media_type=media_type, caption=hit.caption_or_description)


def _decided(candidate: Candidate, decision: Decision) -> Candidate:
    return candidate.model_copy(update={"decision": decision})
