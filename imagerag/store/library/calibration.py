"""Finding the cosine from which a hit counts, for one library and one encoder.

Cosines mean nothing across encoders, and the best of 5,000 images is nearer to any text than the best of 50: so the
threshold is measured on the library itself. Three questions are asked of it:

* *unrelated*: how near does the best image come to a caption that has nothing to do with it? A shipped bank of
  captions is searched with; what they rarely reach is all there is to go by for a library without captions.
* *own*: how near is the best image that really shows what a caption of the library says?
* *near misses*: how near does the best image come when the library does not hold what is asked for, but things like
  it? A caption of the library is searched with and the images that show it are left out; and captions are made that
  differ from one of the library's by a single word, and that no image fits.

The threshold is where the errors are equal, each measured against what is allowed of it: one in ten of the own
captions refused, one in twenty of the others accepted. Where both cannot be had (crowded pictures, one vector for
each) it still is, as the worse of the two promises is then broken least. It is never below the floor, what unrelated
captions rarely reach, as long as the floor refuses no more than a quarter of the own captions.

It departs from this twice. Captions that the encoder does not connect with their images (article numbers, a language it
never saw) are no evidence: the floor decides. And where others come as near as the library's own, as words that the
encoder never saw may, there is nothing to weigh: the own captions come first, and one in ten of them is refused.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imagerag.agent.ports import Embedder
from imagerag.store.library.caption_index import CaptionIndex
from imagerag.store.library.metadata import Threshold, percentile_of
from imagerag.store.library.negative_captions import NULL_CAPTIONS
from imagerag.store.library.schema import ImageRecord

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
"""Share of the own captions that the floor may refuse. Measured on the sketch world, 500 pictures of one to
three things: if the floor always held, 8 % more of the own captions would be refused, and 5 % fewer of the others
accepted."""

OWN_SAMPLE, SWAP_SAMPLE = 256, 128
"""How many captions are embedded at most: an encoder on a CPU needs 20 to 90 ms for each."""

ENOUGH = 8
"""Fewer captions than this say nothing about the tails."""

CONNECTED = 0.9
"""How many of the other images a caption's own image must beat on average (half of them is chance)."""

QUANTILES = 101
BLOCK = 32


async def calibrate(rows: Sequence[ImageRecord], vectors: "Vectors", embedder: Embedder) -> Threshold:
    """Measure a library's default threshold. The same rows and encoder give the same threshold.

    Args:
        rows: all of the library, at least one.
        vectors: their unit image vectors, float32 [rows, dimension].
        embedder: the encoder the vectors were made with.
    """
    import numpy as np

    index = CaptionIndex.of(rows)
    asked = index.sample(OWN_SAMPLE)
    swapped = index.near_misses(SWAP_SAMPLE)
    unrelated = [text for text in NULL_CAPTIONS if not index.matches(text).size]
    texts = await embedder.embed_texts([*(query.text for query in asked), *swapped, *unrelated])

    own, left_out, beaten = _own_and_left_out(texts[: len(asked)], vectors, [query.matches for query in asked])
    rest = _best(texts[len(asked) :], vectors)
    near = np.concatenate([left_out, rest[: len(swapped)]])
    far = rest[len(swapped) :]
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
        images=len(rows),
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


def _own_and_left_out(
    texts: "Vectors", vectors: "Vectors", matches: "Sequence[NDArray[np.intp]]"
) -> "tuple[Cosines, Cosines, Cosines]":
    """Per text: its best cosine among its matches; where there are other images, its best among them, and the share
    of them that its best match beats."""
    import numpy as np

    own, others, beaten = [], [], []
    for start in range(0, len(texts), BLOCK):
        cosines = texts[start : start + BLOCK] @ vectors.T
        for row, found in zip(cosines, matches[start : start + BLOCK], strict=True):
            own.append(row[found].max())
            rest = np.delete(row, found)
            if len(rest):
                others.append(rest.max())
                beaten.append((rest < own[-1]).mean())
    return np.array(own, dtype=float), np.array(others, dtype=float), np.array(beaten, dtype=float)


def _best(texts: "Vectors", vectors: "Vectors") -> "Cosines":
    """Per text, its best cosine over the library."""
    import numpy as np

    blocks = [(texts[at : at + BLOCK] @ vectors.T).max(axis=1) for at in range(0, len(texts), BLOCK)]
    return np.concatenate([np.zeros(0), *blocks]).astype(float)


def _quantiles(values: "Cosines") -> tuple[float, ...]:
    import numpy as np

    if not len(values):
        return ()
    return tuple(float(value) for value in np.quantile(values, np.linspace(0, 1, QUANTILES)).round(6))
