"""Calibration of the threshold of a hybrid search: when an image fits by its own cosine or by that of its caption.

Two thresholds that accept one in twenty of what does not fit accept more than that together. So both are raised
together: the cosines of each list are measured in units of what queries without a match reach in it (their median is 0,
their 95th percentile 1), the larger of both counts, and its threshold is that with equal errors, as in `calibration`.
The queries are those of the threshold between texts and captions (`caption_calibration`).

The rates are of held-out queries. If one of the two cosines alone makes fewer errors on them, it alone decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from imagerag.agent.ports import Embedder, EmbedderIdentity, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.store.library.fusion_metadata import FusedThreshold
from imagerag.store.library.thresholds.calibration import (
    ACCEPTED_NULL,
    ENOUGH,
    HOPELESS,
    REFUSED_OWN,
    balanced_threshold,
    clamp_threshold,
    negative_floor,
)
from imagerag.store.library.thresholds.caption_calibration import CaptionQueries, CaptionScan
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.decisions import Decisions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Cosines = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Vectors = NDArray[np.float32]

EACH: Final = 96
"""Queries of each kind at most: each is encoded by both encoders."""

WAYS: Final[dict[str, Sequence[int]]] = {"image": (0,), "caption": (1,), "either": (0, 1)}
"""Way → the columns of the cosines that decide."""


async def calibrate_fused(
    images: LibraryContent, captions: LibraryContent, embedder: Embedder, caption_embedder: Embedder
) -> FusedThreshold | None:
    """Measure the threshold of a hybrid search; None with too few captions. Args: as `fused_cosines`."""
    cosines = await fused_cosines(images, captions, embedder, caption_embedder)
    return cosines.threshold() if cosines else None


async def fused_cosines(
    images: LibraryContent,
    captions: LibraryContent,
    embedder: Embedder,
    caption_embedder: Embedder,
    queries: CaptionQueries | None = None,
) -> "FusedCosines | None":
    """The best cosines of queries by image and by caption; None with too few captions.

    Args:
        images: the rows whose caption has a vector, with their image vectors.
        captions: the same rows, with the vectors of the captions.
        embedder: of the image vectors.
        caption_embedder: of the captions.
        queries: other queries than those of calibration.
    """
    if queries is None:
        queries = (await in_thread(CaptionQueries.of, captions)).first(EACH)
    if min(len(queries.own), len(queries.unrelated)) < ENOUGH:
        return None
    scans = []
    encoded = await embedded_by_each(queries.texts, embedder, caption_embedder)
    for content, vectors in zip((images, captions), encoded, strict=True):
        scans.append(await content.scan(partial(CaptionScan, vectors, queries, len(captions))))
    return FusedCosines.of(scans, len(queries.near))


async def embedded_by_each(texts: Sequence[str], *encoders: Embedder) -> list["Vectors"]:
    """The vectors of texts by each encoder; an encoder that is named twice encodes once."""
    vectors: dict[EmbedderIdentity, Vectors] = {}
    for encoder in encoders:
        if encoder.identity not in vectors:
            vectors[encoder.identity] = await embed_texts(encoder, texts)
    return [vectors[encoder.identity] for encoder in encoders]


@dataclass(frozen=True)
class FusedCosines:
    """Best cosines of queries by image and by caption, float64 [queries, 2].

    Attributes:
        own: of queries with a match, with what matches; near, far: of hard negatives and of unrelated captions.
    """

    own: "Cosines"
    near: "Cosines"
    far: "Cosines"

    @classmethod
    def of(cls, scans: Sequence[CaptionScan], near: int) -> "FusedCosines":
        """Args: the scans of images and of captions, and how many of their other texts are hard negatives."""
        import numpy as np

        own, others, rest = (
            np.stack([getattr(scan, name) for scan in scans], axis=1) for name in ("shown", "others", "rest")
        )
        others = others[np.isfinite(others).all(axis=1)]
        return cls(own[np.isfinite(own).all(axis=1)], np.concatenate([others, rest[:near]]), rest[near:])

    def threshold(self) -> FusedThreshold:
        """The way that makes the fewest errors on held-out queries, and its cosines."""
        rates = {way: self.held_out(columns) for way, columns in WAYS.items()}
        best = min(rates, key=lambda way: max((1 - rates[way][0]) / REFUSED_OWN, (1 - rates[way][1]) / ACCEPTED_NULL))
        accepted, rejected = rates[best]
        hopeless = 1 - accepted > HOPELESS * REFUSED_OWN or 1 - rejected > HOPELESS * ACCEPTED_NULL
        cosines = dict(zip(WAYS[best], self.cosines(WAYS[best]), strict=True))
        return FusedThreshold(
            image=None if hopeless else cosines.get(0),
            caption=None if hopeless else cosines.get(1),
            accept_rate=accepted,
            reject_rate=rejected,
            n_own=len(self.own),
            n_near=len(self.near),
            n_unrelated=len(self.far),
        )

    def held_out(self, columns: Sequence[int]) -> tuple[float, float]:
        """Shares of accepted matches and of rejected others, each by the cosines that the other half gives."""
        import numpy as np

        decisions = self.decisions(columns)
        return float(decisions.accepted.mean()), float(np.concatenate([*decisions.rejected.values()]).mean())

    def decisions(self, columns: Sequence[int]) -> Decisions:
        """The decisions on each half of the queries by the cosines that the other half gives."""
        import numpy as np

        parts = []
        for fold in (0, 1):
            rest, part = self._half(1 - fold), self._half(fold)
            cosines = np.asarray(rest.cosines(columns))
            own, near, far = (_reaching(one[:, columns], cosines) for one in (part.own, part.near, part.far))
            parts.append(Decisions(own, {"near": ~near, "unrelated": ~far}))
        return Decisions.joined(parts)

    def cosines(self, columns: Sequence[int]) -> list[float]:
        """The cosine to reach in each of the columns."""
        import numpy as np

        others = np.concatenate([self.near, self.far])[:, columns]
        middle, high = np.quantile(others, (0.5, 0.95), axis=0)
        spread = np.maximum(high - middle, 1e-6)
        own, near, far = (((one[:, columns] - middle) / spread).max(axis=1) for one in (self.own, self.near, self.far))
        least = clamp_threshold(negative_floor(far), balanced_threshold(own, near, far), own)
        return [min(1.0, float(value)) for value in middle + least * spread]

    def _half(self, which: int) -> "FusedCosines":
        return FusedCosines(self.own[which::2], self.near[which::2], self.far[which::2])


def _reaching(cosines: "Cosines", least: "Cosines") -> "Flags":
    """For each query, whether one of its cosines reaches its threshold."""
    import numpy as np

    return np.asarray((cosines >= least).any(axis=1))
