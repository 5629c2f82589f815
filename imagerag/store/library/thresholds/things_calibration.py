"""Calibration of the threshold for texts that list several things ("a mug and a lamp"), in a library with regions.

Such a text is compared with each image whose regions are separate things: the similarity is the mean cosine of the
things, each with a region of its own. This mean is lower than the best cosine of a single thing, because fewer images
show all things of a list than one of them; and lists without a match reach less, because one thing is missing. So it
has a threshold of its own, measured as `calibration` measures the one for single things: by lists in the library's
captions with the images that show them, the same without these images, and lists in which a single word is exchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.images.regions import are_separate
from imagerag.agent.ports import Embedder, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.store.library.region_columns import RegionPart, assigned
from imagerag.store.library.things_metadata import ThingsThreshold
from imagerag.store.library.thresholds.best_cosines import ImageMatches, known_cosines
from imagerag.store.library.thresholds.calibration import (
    ACCEPTED_NULL,
    ENOUGH,
    HOPELESS,
    REFUSED_OWN,
    balanced_threshold,
)
from imagerag.store.library.thresholds.caption_index import CaptionIndex, CaptionQuery
from imagerag.store.library.thresholds.caption_phrases import things_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Cosines = NDArray[np.float64]
    Places = NDArray[np.intp]

LISTS: Final = 64
"""Lists of the library's captions that are embedded at most, and as many hard negatives."""

_EXACT: Final = 8
"""Images of a part whose regions are assigned to the things, of those with the highest bound."""


@dataclass(frozen=True)
class ThingsMeasurement:
    """The encoded lists; compared with the vectors of regions they give the threshold.

    Attributes:
        own: lists that captions contain, with the rows that match them.
        texts: of the things of all lists, own first, unit, float32 [things, dimension].
        ends: for each list, the end of its things in `texts`.
        rows: number of images.
    """

    own: Sequence[CaptionQuery]
    texts: "Vectors"
    ends: Sequence[int]
    rows: int

    @classmethod
    async def of(cls, columns: Any, embedder: Embedder) -> "ThingsMeasurement | None":
        """Encode the lists of a library's captions; None where there are too few.

        Args:
            columns: as of `LibraryContent`.
        """
        own, near = await in_thread(_lists, columns)
        if min(len(own), len(near)) < ENOUGH:
            return None
        things_of_each = [things_of(text) for text in (*(query.text for query in own), *near)]
        distinct = list(dict.fromkeys(thing for things in things_of_each for thing in things))
        vectors = dict(zip(distinct, await embed_texts(embedder, distinct), strict=True))
        return cls(
            own, *_stacked([[vectors[thing] for thing in things] for things in things_of_each]), columns.num_rows
        )

    def begin(self) -> "ThingsScan":
        """Start a scan that takes all vectors."""
        return ThingsScan(self.texts, self.ends, ImageMatches.of([query.matches for query in self.own], self.rows))

    def threshold(self, best: "ThingsScan") -> ThingsThreshold | None:
        """The threshold, from the best similarities of all lists; None where it would tell nothing apart."""
        import numpy as np

        own, near = known_cosines(best.shown), known_cosines(best.rest)
        left_out = known_cosines(best.others)
        if min(len(own), len(near)) < ENOUGH:
            return None
        cosine = float(np.clip(balanced_threshold(own, left_out, near), -1, 1))
        accepted, rejected = float((own >= cosine).mean()), float((np.concatenate([left_out, near]) < cosine).mean())
        if 1 - accepted > HOPELESS * REFUSED_OWN or 1 - rejected > HOPELESS * ACCEPTED_NULL:
            return None
        return ThingsThreshold(
            cosine=cosine, accept_rate=accepted, reject_rate=rejected, n_own=len(own), n_near=len(near)
        )


class ThingsScan:
    """Best similarities of lists over a library's regions, updated part by part.

    Attributes:
        shown, others: of each own list with matching and with other images; minus infinity without any.
        rest: of each other list.
    """

    def __init__(self, texts: "Vectors", ends: Sequence[int], matches: ImageMatches) -> None:
        import numpy as np

        self._texts, self._matches = texts, matches
        self._lists = [slice(start, end) for start, end in zip((0, *ends), ends, strict=False)]
        self.shown, self.others = np.full(matches.texts, -np.inf), np.full(matches.texts, -np.inf)
        self.rest = np.full(len(ends) - matches.texts, -np.inf)

    def add(self, places: "Places", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Add the regions of some rows; those without separate things show no list."""
        import numpy as np

        if regions is None or not len(regions.rows):
            return
        starts, counts = regions.starts_and_counts()
        cosines = regions.vectors @ self._texts.T
        nearest = np.maximum.reduceat(cosines, starts, axis=0)
        matches = self._matches.of_rows(places[regions.rows[starts]])
        for at, things in enumerate(self._lists):
            able = are_separate(counts) & (counts >= things.stop - things.start)
            # No region is assigned twice, so the mean of the nearest regions is an upper bound.
            bounds = np.where(able, nearest[:, things].mean(axis=1), -np.inf)
            groups = [(self.rest, at - len(self.shown), able)]
            if at < len(self.shown):
                own = matches[:, at]
                groups = [(self.shown, at, able & own), (self.others, at, able & ~own)]
            for best, place, among in groups:
                for row in _highest(np.where(among, bounds, -np.inf)):
                    mean, _ = assigned(cosines[starts[row] : starts[row] + counts[row], things])
                    best[place] = max(best[place], mean)


def _highest(bounds: "Cosines") -> "Places":
    """The places of the highest bounds, at most `_EXACT`, of those that are known."""
    import numpy as np

    best = np.argpartition(-bounds, _EXACT)[:_EXACT] if len(bounds) > _EXACT else np.arange(len(bounds))
    return best[np.isfinite(bounds[best])]


def _lists(columns: Any) -> tuple[list[CaptionQuery], list[str]]:
    """Captions that list several things, with the rows that match them, and hard negatives of them."""
    index = CaptionIndex.of_columns(columns)
    texts = [text for text in dict.fromkeys(index.texts) if things_of(text)]
    near = [text for text in index.hard_negatives(LISTS, texts[: 4 * LISTS]) if things_of(text)]
    return index.queries(texts[:LISTS]), near


def _stacked(lists: "Sequence[Sequence[Any]]") -> "tuple[Vectors, list[int]]":
    """The vectors of all lists in one array, and the end of each."""
    import numpy as np

    return np.stack([one for rows in lists for one in rows]), np.cumsum([len(one) for one in lists]).tolist()
