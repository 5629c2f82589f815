"""Calibration of a library's threshold: the cosine from which a hit counts, for one encoder.

Cosines of different encoders are not comparable, and the best of 5,000 images is nearer to any text than the best of
50: so the threshold is measured on the library itself, by three searches:

* *unrelated*: the best cosine for unrelated captions, from a list in the package in the language of the library's. For
  a library without captions, the value that they rarely reach is the only evidence.
* *own*: the best cosine of a caption of the library with an image that really shows its content.
* *hard negatives*: the best cosine when the library holds only similar things. One kind is a caption of the library,
  without the images that show it; the other is a caption that differs from one of the library's by a single word and
  matches no image.

The threshold is the cosine with equal errors, each relative to its limit: one in ten of the own captions refused, one
in twenty of the others accepted. If both limits cannot be met (crowded images, one vector for each), this choice
exceeds the worse of them least. The threshold is never below the floor, which unrelated captions rarely reach, as long
as the floor refuses no more than a quarter of the own captions.

There are two exceptions. Captions that the encoder does not connect with their images (article numbers, an unknown
language) are no evidence: the floor decides. And if other captions are as near as the library's own, as with words
unknown to the encoder, the own captions take precedence: one in ten of them is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from imagerag.agent.caption_language import caption_language
from imagerag.agent.ports import Embedder, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.store.library.library_metadata import Threshold, percentile_of
from imagerag.store.library.thresholds.best_cosines import BestCosines, ImageMatches, known_cosines
from imagerag.store.library.thresholds.caption_index import CaptionIndex, CaptionQuery
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.decisions import Decisions
from imagerag.store.library.thresholds.negative_captions import NULL_CAPTIONS
from imagerag.store.library.thresholds.unrelated_captions import TRANSLATED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Cosines = NDArray[np.float64]

REFUSED_OWN, ACCEPTED_NULL = 0.10, 0.05
"""What is allowed of the two errors."""

HOPELESS = 5.0
"""Multiple of both at which the captions decide nothing: every second own one refused, and every fourth other taken."""

WHOLESALE = 0.25
"""Share of the own captions that the floor may refuse. Measured on the sketch world, 500 images of one to
three things: if the floor always held, 8 % more of the own captions would be refused, and 5 % fewer of the others
accepted."""

OWN_SAMPLE, SWAP_SAMPLE = 256, 128
"""How many captions are embedded at most: an encoder on a CPU needs 20 to 90 ms for each."""

ENOUGH = 8
"""Fewer captions than this say nothing about the tails."""

QUANTILES = 101


@dataclass(frozen=True)
class TextQueries:
    """The queries of a calibration.

    Attributes:
        own: things that captions of the library name.
        near: hard negatives of them.
        unrelated: captions that no image matches.
    """

    own: Sequence[CaptionQuery]
    near: Sequence[str]
    unrelated: Sequence[str]

    @classmethod
    def of(cls, columns: Any) -> "TextQueries":
        index = CaptionIndex.of_columns(columns)
        return cls(index.sample(OWN_SAMPLE), index.hard_negatives(SWAP_SAMPLE), unrelated_captions(index))

    @property
    def texts(self) -> list[str]:
        return [*(query.text for query in self.own), *self.near, *self.unrelated]


@dataclass(frozen=True)
class TextMeasurement:
    """The encoded queries; compared with the library's vectors they give the threshold.

    Attributes:
        rows: number of images.
    """

    asked: TextQueries
    texts: "Vectors"
    shown: "ImageMatches"
    rows: int

    @classmethod
    async def of(
        cls, content: LibraryContent, embedder: Embedder, queries: TextQueries | None = None
    ) -> "TextMeasurement":
        """Encode the queries.

        Args:
            content: content of the library, at least one image.
            embedder: the encoder of its vectors.
            queries: other queries than those of calibration.
        """
        if queries is None:
            queries = await in_thread(TextQueries.of, content.columns)
        texts = await embed_texts(embedder, queries.texts)
        return cls(
            queries, texts, ImageMatches.of([query.matches for query in queries.own], len(content)), len(content)
        )

    def begin(self) -> "BestCosines":
        """Start a scan that takes all vectors."""
        return BestCosines(self.texts, self.shown)

    def evidence(self, best: "BestCosines") -> "TextEvidence":
        """The cosines that a threshold is derived from."""
        near, far = best.rest[: len(self.asked.near)], best.rest[len(self.asked.near) :]
        return TextEvidence(known_cosines(best.shown), known_cosines(best.others), near, far, best.connected())

    def threshold(self, best: "BestCosines") -> Threshold:
        """The threshold, from the best cosines of all texts."""
        import numpy as np

        evidence = self.evidence(best)
        cosine, near, null = evidence.cosine(), evidence.hard, evidence.negatives
        quantiles = _quantiles(null)
        return Threshold(
            cosine=cosine,
            percentile=percentile_of(cosine, quantiles),
            method="captions" if evidence.usable else "unrelated",
            minimum=evidence.floor,
            negative_quantiles=quantiles,
            positive_quantiles=_quantiles(evidence.own),
            accept_rate=float(np.mean(evidence.own >= cosine)) if len(evidence.own) else None,
            reject_rate=float(np.mean(null < cosine)),
            near_reject_rate=float(np.mean(near < cosine)) if len(near) else None,
            n_unrelated=len(evidence.unrelated),
            n_near=len(near),
            n_own=len(evidence.own),
            images=self.rows,
            calibrated=datetime.now(UTC),
        )


def unrelated_captions(index: CaptionIndex) -> list[str]:
    """Captions that match no image, in the language of the library's captions."""
    captions = TRANSLATED.get(caption_language(filter(None, index.texts)), NULL_CAPTIONS)
    return [text for text in captions if not index.shows(text)]


@dataclass(frozen=True)
class TextEvidence:
    """Best cosines of texts of each kind, from which a threshold is derived.

    Attributes:
        own: of captions, with an image that shows their content.
        left_out: of the same captions, with the other images; `near`: of texts that differ from a caption by a word.
        unrelated: of unrelated captions.
        connected: whether the encoder connects captions with their images.
    """

    own: "Cosines"
    left_out: "Cosines"
    near: "Cosines"
    unrelated: "Cosines"
    connected: bool

    @property
    def hard(self) -> "Cosines":
        """Of both kinds of hard negatives."""
        import numpy as np

        return np.concatenate([self.left_out, self.near])

    @property
    def negatives(self) -> "Cosines":
        """Of all captions without a match."""
        import numpy as np

        return np.concatenate([self.hard, self.unrelated])

    @property
    def floor(self) -> float:
        """The cosine that unrelated captions rarely reach; of a library that shows all of them, other captions."""
        null = self.unrelated if len(self.unrelated) else self.negatives
        return negative_floor(null) if len(null) else -1.0

    @property
    def usable(self) -> bool:
        """Whether captions decide: enough of them, and connected with their images."""
        return len(self.own) >= ENOUGH and len(self.hard) >= ENOUGH and self.connected

    def half(self, at: Literal[0, 1]) -> "TextEvidence":
        """Every second cosine of each kind, from the first or from the second one."""
        return replace(
            self,
            own=self.own[at::2],
            left_out=self.left_out[at::2],
            near=self.near[at::2],
            unrelated=self.unrelated[at::2],
        )

    def decided(self, cosine: float) -> Decisions:
        """The decisions of a threshold."""
        rejected = {
            "near": self.near < cosine,
            "left_out": self.left_out < cosine,
            "unrelated": self.unrelated < cosine,
        }
        return Decisions(self.own >= cosine, rejected)

    def cosine(self) -> float:
        """The threshold."""
        if not self.usable:
            return self.floor
        return clamp_threshold(self.floor, balanced_threshold(self.own, self.hard, self.unrelated), self.own)


def negative_floor(best: "Cosines") -> float:
    """The cosine that the best hit of an unrelated caption rarely reaches: a robust 99th percentile.

    In a very general library some captions of the list have true matches. Those are few and far above the rest, so the
    percentile is capped by a prediction from the lower half of the distribution, which they do not affect: its 99th
    percentile lies 2.3 (normal) to 4.4 (Gumbel, as of maxima) times as far above the median as the 16th lies below.
    """
    import numpy as np

    low, median, high = np.quantile(best, (0.16, 0.5, 0.99))
    return float(min(high, median + 3.5 * (median - low)))


def clamp_threshold(floor: float, cosine: float, own: "Cosines") -> float:
    """The cosine, raised to the floor unless that would refuse too many of the library's own captions.

    Args:
        floor: the cosine that unrelated captions rarely reach.
        cosine: the threshold derived from the captions.
        own: best cosines of captions that have a match, at least one.
    """
    return max(cosine, floor) if float((own < floor).mean()) <= WHOLESALE else cosine


def balanced_threshold(own: "Cosines", *nulls: "Cosines") -> float:
    """The cosine at which both errors are the same multiple of their limits.

    If no caption without a match reaches any own caption, it is the middle of the gap. If the multiple is above one, no
    cosine meets both limits, and this one exceeds the worse of them least. If it would be above `HOPELESS`, own
    captions take precedence: never more than one in ten is refused.

    Args:
        own: best cosines of captions that have a match.
        nulls: best cosines of captions without a match, one array per kind; the limit applies to each kind.
    """
    import numpy as np

    def refuse(strain: float) -> float:
        return float(np.quantile(own, min(1.0, REFUSED_OWN * strain), method="lower"))

    def accept(strain: float) -> float:
        share = max(0.0, 1 - ACCEPTED_NULL * strain)
        return max(float(np.quantile(null, share, method="higher")) for null in nulls if len(null))

    if accept(0) <= refuse(0):
        return (accept(0) + refuse(0)) / 2
    if accept(HOPELESS) > refuse(HOPELESS):
        return refuse(1)
    low, high = 0.0, HOPELESS
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if accept(middle) > refuse(middle) else (low, middle)
    return (accept(high) + refuse(high)) / 2


def _quantiles(values: "Cosines") -> tuple[float, ...]:
    import numpy as np

    if not len(values):
        return ()
    return tuple(float(value) for value in np.quantile(values, np.linspace(0, 1, QUANTILES)).round(6))
