"""Recall of an encoder: a library's images, found by their own captions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagerag.agent.types import FrozenModel
from imagerag.store.library.region_columns import RegionPart, best_cosines
from imagerag.store.library.thresholds.calibration import TextMeasurement
from imagerag.store.library.thresholds.caption_index import CaptionQuery
from imagerag.store.library.thresholds.content import LibraryContent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Cosines = NDArray[np.float64]


class CaptionRecall(FrozenModel):
    """Ranks of a caption's own images among all of the library's.

    Attributes:
        captions: number of captions that were asked; without any, the others are None.
        recall_at_1, recall_at_10: share of captions with an own image among the first or the first ten, in [0, 1].
        mrr: mean reciprocal rank of the first own image, in (0, 1].
    """

    captions: int
    recall_at_1: float | None = None
    recall_at_10: float | None = None
    mrr: float | None = None

    @classmethod
    def of_ranks(cls, ranks: Sequence[int]) -> "CaptionRecall":
        """Summarize the rank of each caption's first own image, counted from 1."""
        if not ranks:
            return cls(captions=0)
        count = len(ranks)
        return cls(
            captions=count,
            recall_at_1=sum(rank <= 1 for rank in ranks) / count,
            recall_at_10=sum(rank <= 10 for rank in ranks) / count,
            mrr=sum(1 / rank for rank in ranks) / count,
        )


async def caption_recall(content: LibraryContent, measured: TextMeasurement, best_own: "Cosines") -> CaptionRecall:
    """Rank the images of a library for the own captions that its threshold was measured with.

    Args:
        content: what was measured.
        best_own: for each of these captions, the best cosine with an image that shows its content.
    """
    queries = measured.asked.own
    if not queries:
        return CaptionRecall(captions=0)
    scan = await content.scan(lambda: _Ranks(measured.texts[: len(queries)], queries, best_own))
    return CaptionRecall.of_ranks(scan.ranks())


class _Ranks:
    """Counts for each text how many other images are nearer than its nearest own one."""

    def __init__(self, texts: "Vectors", queries: Sequence[CaptionQuery], own: "Cosines") -> None:
        import numpy as np

        self._texts, self._own = texts, np.asarray(own, dtype=np.float32)
        self._matches = [np.sort(query.matches) for query in queries]
        self._nearer = np.zeros(len(texts), dtype=np.int64)

    def add(self, places: "NDArray[np.intp]", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Add rows."""
        import numpy as np

        nearer = best_cosines(vectors, regions, self._texts) > self._own
        for at, matches in enumerate(self._matches):
            self._nearer[at] += np.count_nonzero(nearer[:, at] & ~np.isin(places, matches))

    def ranks(self) -> list[int]:
        """The rank of each text's nearest own image, counted from 1."""
        return [int(count) + 1 for count in self._nearer]
