"""Best cosines of texts over a library's vectors, with images that match them and with others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagerag.store.library.region_columns import RegionPart, best_cosines
from imagerag.store.library.thresholds.caption_index import SCANNED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Cosines = NDArray[np.float64]

CONNECTED: Final = 0.9
"""How many of the other images a caption's own image must beat on average (half of them is chance)."""


@dataclass(frozen=True)
class ImageMatches:
    """Matches between rows and texts, one bit for each pair.

    Attributes:
        bits: uint8 [rows, texts / 8].
        texts: number of texts.
    """

    bits: "NDArray[np.uint8]"
    texts: int

    @classmethod
    def of(cls, matches: "Sequence[NDArray[np.intp]]", rows: int) -> "ImageMatches":
        """Args: per text, the rows that show it."""
        import numpy as np

        bits = np.zeros((rows, (len(matches) + 7) // 8), dtype=np.uint8)
        for at, places in enumerate(matches):
            bits[places, at // 8] |= 128 >> at % 8
        return cls(bits, len(matches))

    def of_rows(self, places: "NDArray[np.intp]") -> "NDArray[np.bool_]":
        """bool [places, texts]."""
        import numpy as np

        return np.unpackbits(self.bits[places], axis=1, count=self.texts).astype(bool)


class BestCosines:
    """Best cosines of texts over a library's vectors, updated part by part.

    Attributes:
        shown, others: for each text with known matches, its best cosine with matching and with other images; minus
            infinity without any.
        rest: for each other text, its best cosine.
    """

    def __init__(self, texts: "Vectors", matches: ImageMatches) -> None:
        import numpy as np

        self._texts, self._shown = texts, matches
        self.shown, self.others = np.full(matches.texts, -np.inf), np.full(matches.texts, -np.inf)
        self.rest = np.full(len(texts) - matches.texts, -np.inf)
        # Cosines of the first rows, a fair sample: the number of others that a match beats is known only at the end.
        self._sample = np.full((min(SCANNED, len(matches.bits)), matches.texts), -np.inf, dtype=np.float32)

    def add(self, places: "NDArray[np.intp]", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Add rows, with their regions where the library has some."""
        import numpy as np

        cosines = self._cosines(places, vectors, regions)
        own, rest = cosines[:, : self._shown.texts], cosines[:, self._shown.texts :]
        rows, texts = np.nonzero(self._shown.of_rows(places))
        np.maximum.at(self.shown, texts, own[rows, texts])
        own[rows, texts] = -np.inf
        np.maximum(self.others, own.max(axis=0, initial=-np.inf), out=self.others)
        np.maximum(self.rest, rest.max(axis=0, initial=-np.inf), out=self.rest)
        first = places < len(self._sample)
        self._sample[places[first]] = own[first]

    def _cosines(self, places: "NDArray[np.intp]", vectors: "Vectors", regions: RegionPart | None) -> "Vectors":
        """Cosines of rows and texts, float32 [rows, texts]; minus infinity for pairs that do not count."""
        return best_cosines(vectors, regions, self._texts)

    def connected(self) -> bool:
        """Whether the encoder connects the texts with the images that match them."""
        beaten = self.beaten()
        return len(beaten) > 0 and float(beaten.mean()) >= CONNECTED

    def beaten(self) -> "Cosines":
        """For each text with known matches, the share of other rows in a sample that its best match beats."""
        import numpy as np

        there = np.isfinite(self._sample)
        won = ((self._sample < self.shown.astype(np.float32)) & there).sum(axis=0)
        count = there.sum(axis=0)
        shares: Cosines = (won / np.maximum(count, 1))[count > 0]
        return shares


def known_cosines(cosines: "Cosines") -> "Cosines":
    """Those of texts that have an image of the kind."""
    return cosines[cosines > -2]
