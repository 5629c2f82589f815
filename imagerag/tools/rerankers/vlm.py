"""Reranker that asks a judge to select from numbered contact sheets. One call per search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.ports import Capabilities, Hit, ImagePart, Judge, Ranking, members_of

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices
    from imagerag.tools.spec import BackendSpec


@dataclass(frozen=True)
class VlmReranker:
    """Asks a judge which candidates fit, and drops the others.

    Source: ImageRAG, section 5 (reranking with a VLM, which changed nothing significant there).
    """

    judge: Judge

    @property
    def identity(self) -> str:
        """`vlm:` and the judge's identity."""
        return f"vlm:{self.judge.identity}"

    @property
    def capabilities(self) -> Capabilities:
        """Prices and members of the judge (several if it is a fallback)."""
        return Capabilities(tariff=estimator_of(self.judge), needs_images=True, members=tuple(members_of(self.judge)))

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        """The hits that the judge selects, best first.

        Raises:
            RefusalError, BackendError, JudgeReplyError: as the judge.
            ValueError: not as many images as hits.
        """
        if len(hits) != len(images):
            raise ValueError(f"{len(images)} images for {len(hits)} hits")
        return await self.judge.choose(query, images) if hits else Ranking(order=())


def vlm_reranker(spec: "BackendSpec", *, judge: Judge, prices: "Prices | None" = None) -> VlmReranker:
    """`vlm`: the run's own judge selects; `vlm:PROVIDER:MODEL[@URL]`: another judge does.

    Raises:
        SpecError: no such judge.
    """
    from imagerag.tools.registry import make_judge

    other = str(spec).partition(":")[2]
    return VlmReranker(make_judge(other, prices=prices) if other else judge)
