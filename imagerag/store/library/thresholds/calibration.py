"""Calibration of a library's threshold: the cosine from which a hit counts, for one encoder.

Cosines of different encoders are not comparable, and the best of 5,000 images is nearer to any text than the best of
50: so the threshold is measured on the library itself, by three searches:

* *unrelated*: the best cosine for unrelated captions, from a list in the package. For a library without captions, the
  value that they rarely reach is the only evidence.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Embedder
from imagerag.agent.threads import in_thread
from imagerag.store.library.library_metadata import Threshold, percentile_of
from imagerag.store.library.region_columns import RegionPart, best_cosines
from imagerag.store.library.thresholds.caption_index import SCANNED, CaptionIndex, CaptionQuery
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.negative_captions import NULL_CAPTIONS

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

CONNECTED = 0.9
"""How many of the other images a caption's own image must beat on average (half of them is chance)."""

QUANTILES = 101


@dataclass(frozen=True)
class _Questions:
    """The queries of a calibration: own captions, hard negatives of them, and unrelated captions."""

    own: Sequence[CaptionQuery]
    near: Sequence[str]
    unrelated: Sequence[str]

    @classmethod
    def of(cls, columns: Any) -> "_Questions":
        index = CaptionIndex.of_columns(columns)
        unrelated = [text for text in NULL_CAPTIONS if not index.shows(text)]
        return cls(index.sample(OWN_SAMPLE), index.hard_negatives(SWAP_SAMPLE), unrelated)

    @property
    def texts(self) -> list[str]:
        return [*(query.text for query in self.own), *self.near, *self.unrelated]


async def calibrate(content: LibraryContent, embedder: Embedder) -> Threshold:
    """Measure a library's default threshold. The same content and encoder give the same threshold.

    Args:
        content: content of the library, at least one image.
        embedder: the encoder of the vectors.
    """
    measured = await TextMeasurement.of(content, embedder)
    return measured.threshold(await content.scan(measured.begin))


@dataclass(frozen=True)
class TextMeasurement:
    """The encoded queries; compared with the library's vectors they give the threshold.

    Attributes:
        rows: number of images.
    """

    asked: _Questions
    texts: "Vectors"
    shown: "_Shown"
    rows: int

    @classmethod
    async def of(cls, content: LibraryContent, embedder: Embedder) -> "TextMeasurement":
        """Args: as `calibrate`."""
        asked = await in_thread(_Questions.of, content.columns)
        texts = await embedder.embed_texts(asked.texts)
        return cls(asked, texts, _Shown.of([query.matches for query in asked.own], len(content)), len(content))

    def begin(self) -> "_BestCosines":
        """Start a scan that takes all vectors."""
        return _BestCosines(self.texts, self.shown)

    def threshold(self, best: "_BestCosines") -> Threshold:
        """The threshold, from the best cosines of all texts."""
        import numpy as np

        own, near = _known(best.shown), np.concatenate([_known(best.others), best.rest[: len(self.asked.near)]])
        far = best.rest[len(self.asked.near) :]
        beaten = best.beaten()
        usable = len(own) >= ENOUGH and len(near) >= ENOUGH and float(beaten.mean()) >= CONNECTED
        floor = negative_floor(far)
        cosine = clamp_threshold(floor, balanced_threshold(own, near, far), own) if usable else floor
        null = _quantiles(np.concatenate([near, far]))
        return Threshold(
            cosine=cosine,
            percentile=percentile_of(cosine, null),
            method="captions" if usable else "unrelated",
            minimum=floor,
            negative_quantiles=null,
            positive_quantiles=_quantiles(own),
            accept_rate=float(np.mean(own >= cosine)) if len(own) else None,
            n_unrelated=len(far),
            n_near=len(near),
            n_own=len(own),
            images=self.rows,
            calibrated=datetime.now(UTC),
        )


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


@dataclass(frozen=True)
class _Shown:
    """Matches between rows and texts, one bit for each pair.

    Attributes:
        bits: uint8 [rows, texts / 8].
        texts: number of texts.
    """

    bits: "NDArray[np.uint8]"
    texts: int

    @classmethod
    def of(cls, matches: "Sequence[NDArray[np.intp]]", rows: int) -> "_Shown":
        """Args: per text, the rows that show it."""
        import numpy as np

        bits = np.zeros((rows, (len(matches) + 7) // 8), dtype=np.uint8)
        for at, found in enumerate(matches):
            bits[found, at // 8] |= 128 >> at % 8
        return cls(bits, len(matches))

    def of_rows(self, places: "NDArray[np.intp]") -> "NDArray[np.bool_]":
        """bool [places, texts]."""
        import numpy as np

        return np.unpackbits(self.bits[places], axis=1, count=self.texts).astype(bool)


class _BestCosines:
    """Best cosines of texts over a library's vectors, updated part by part.

    Attributes:
        shown, others: for each text with known matches, its best cosine with matching and with other images; minus
            infinity without any.
        rest: for each other text, its best cosine.
    """

    def __init__(self, texts: "Vectors", shown: _Shown) -> None:
        import numpy as np

        self._texts, self._shown = texts, shown
        self.shown, self.others = np.full(shown.texts, -np.inf), np.full(shown.texts, -np.inf)
        self.rest = np.full(len(texts) - shown.texts, -np.inf)
        # Cosines of the first rows, a fair sample: the number of others that a match beats is known only at the end.
        self._sample = np.full((min(SCANNED, len(shown.bits)), shown.texts), -np.inf, dtype=np.float32)

    def add(self, places: "NDArray[np.intp]", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Add rows."""
        import numpy as np

        cosines = best_cosines(vectors, regions, self._texts)
        own, rest = cosines[:, : self._shown.texts], cosines[:, self._shown.texts :]
        rows, texts = np.nonzero(self._shown.of_rows(places))
        np.maximum.at(self.shown, texts, own[rows, texts])
        own[rows, texts] = -np.inf
        np.maximum(self.others, own.max(axis=0, initial=-np.inf), out=self.others)
        np.maximum(self.rest, rest.max(axis=0, initial=-np.inf), out=self.rest)
        first = places < len(self._sample)
        self._sample[places[first]] = own[first]

    def beaten(self) -> "Cosines":
        """For each text with known matches, the share of other rows in a sample that its best match beats."""
        import numpy as np

        there = np.isfinite(self._sample)
        won = ((self._sample < self.shown.astype(np.float32)) & there).sum(axis=0)
        count = there.sum(axis=0)
        shares: Cosines = (won / np.maximum(count, 1))[count > 0]
        return shares


def _known(cosines: "Cosines") -> "Cosines":
    return cosines[cosines > -2]


def _quantiles(values: "Cosines") -> tuple[float, ...]:
    import numpy as np

    if not len(values):
        return ()
    return tuple(float(value) for value in np.quantile(values, np.linspace(0, 1, QUANTILES)).round(6))
