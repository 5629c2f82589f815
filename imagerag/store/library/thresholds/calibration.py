"""Finding the cosine from which a hit counts, for one library and one encoder.

Cosines mean nothing across encoders, and the best of 5,000 images is nearer to any text than the best of 50: so the
threshold is measured on the library itself. Three questions are asked of it:

* *unrelated*: how near does the best image come to a caption that has nothing to do with it? A shipped bank of
  captions is searched with; what they rarely reach is all there is to go by for a library without captions.
* *own*: how near is the best image that really shows what a caption of the library says?
* *hard negatives*: how near does the best image come when the library does not hold what is asked for, but things like
  it? A caption of the library is searched with and the images that show it are left out; and captions are made that
  differ from one of the library's by a single word, and that no image fits.

The threshold is where the errors are equal, each measured against what is allowed of it: one in ten of the own
captions refused, one in twenty of the others accepted. Where both cannot be had (crowded images, one vector for
each) it still is, as the worse of the two promises is then broken least. It is never below the floor, what unrelated
captions rarely reach, as long as the floor refuses no more than a quarter of the own captions.

It departs from this twice. Captions that the encoder does not connect with their images (article numbers, a language it
never saw) are no evidence: the floor decides. And where others come as near as the library's own, as words that the
encoder never saw may, there is nothing to weigh: the own captions come first, and one in ten of them is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Embedder
from imagerag.agent.threads import in_thread
from imagerag.store.library.library_metadata import Threshold, percentile_of
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
    """What a library is asked: its own captions, hard negatives of them, and what has nothing to do with it."""

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
        content: of at least one image.
        embedder: the encoder the vectors were made with.
    """
    measured = await TextMeasurement.of(content, embedder)
    return measured.threshold(await content.scan(measured.begin))


@dataclass(frozen=True)
class TextMeasurement:
    """What a library is asked, encoded: compared with its vectors, it gives the threshold.

    Attributes:
        rows: how many images there are.
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
        """What takes all vectors in."""
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
    """What the best hit of an unrelated caption rarely reaches: the 99th percentile, read with care.

    In a library of everything some of the bank's captions do find what they say. Those are few and far above the
    rest, so the percentile is capped by what the lower half of the distribution, which they cannot touch, predicts:
    its 99th percentile lies 2.3 (normal) to 4.4 (Gumbel, as of maxima) times as far above the median as the 16th
    lies below.
    """
    import numpy as np

    low, median, high = np.quantile(best, (0.16, 0.5, 0.99))
    return float(min(high, median + 3.5 * (median - low)))


def clamp_threshold(floor: float, cosine: float, own: "Cosines") -> float:
    """The cosine, raised to the floor unless that refuses the library's own captions wholesale.

    Args:
        floor: what unrelated captions rarely reach.
        cosine: what the captions ask for.
        own: best cosines of captions that have a match, at least one.
    """
    return max(cosine, floor) if float((own < floor).mean()) <= WHOLESALE else cosine


def balanced_threshold(own: "Cosines", *nulls: "Cosines") -> float:
    """The cosine at which both errors are the same multiple of what is allowed of them.

    Where nothing without a match reaches any own caption it is the middle of the gap. Where the multiple is above one,
    no cosine keeps both promises, and the one at which they are equal breaks the worse of them least. Where it would
    be above `HOPELESS`, own captions come first: never more than one in ten is refused.

    Args:
        own: best cosines of captions that have a match.
        nulls: best cosines of captions that have none, one array per kind; what is allowed is allowed of each.
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
    """Which rows show which texts, a bit for each pair.

    Attributes:
        bits: uint8 [rows, texts / 8].
        texts: how many there are.
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
    """Best cosines of texts over a library's vectors, which come part by part.

    Attributes:
        shown, others: per text of which is known what shows it, its best cosine with what does and with what does not;
            minus infinity where there is nothing.
        rest: per text of the rest, its best cosine.
    """

    def __init__(self, texts: "Vectors", shown: _Shown) -> None:
        import numpy as np

        self._texts, self._shown = texts, shown
        self.shown, self.others = np.full(shown.texts, -np.inf), np.full(shown.texts, -np.inf)
        self.rest = np.full(len(texts) - shown.texts, -np.inf)
        # Those of the first rows, which are a fair sample: how many others a match beats is known at the end only.
        self._sample = np.full((min(SCANNED, len(shown.bits)), shown.texts), -np.inf, dtype=np.float32)

    def add(self, places: "NDArray[np.intp]", vectors: "Vectors") -> None:
        """Take in some rows."""
        import numpy as np

        cosines = vectors @ self._texts.T
        own, rest = cosines[:, : self._shown.texts], cosines[:, self._shown.texts :]
        rows, texts = np.nonzero(self._shown.of_rows(places))
        np.maximum.at(self.shown, texts, own[rows, texts])
        own[rows, texts] = -np.inf
        np.maximum(self.others, own.max(axis=0, initial=-np.inf), out=self.others)
        np.maximum(self.rest, rest.max(axis=0, initial=-np.inf), out=self.rest)
        first = places < len(self._sample)
        self._sample[places[first]] = own[first]

    def beaten(self) -> "Cosines":
        """Per text with others, the share of them that its best match beats, of a sample of the rows."""
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
