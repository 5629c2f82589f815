"""Calibration of the threshold between texts and captions: the cosine from which a caption says what a text says.

It is measured as the threshold between texts and images is (`calibration`), by the same three kinds of queries, on the
vectors of the captions. What differs is the queries that have a match: a caption is trivially nearest to itself, so a
query is a part of a caption, as somebody would search for it: about half of the words of one thing that it names, those
that fewest captions have ("trekking poles" for "blue trekking poles"). Rows whose caption says nothing else than the
query do not count at all, neither as a match nor as an error.

The rates are of held-out queries: the cosine that one half of them gives is tried on the other half, both ways. Where
it fails on more than `HOPELESS` times what is allowed, the hard negatives are left out, and the threshold only rejects
unrelated captions; where it fails on these too, none is claimed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.ports import Embedder, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.store.library.caption_metadata import CaptionThreshold
from imagerag.store.library.region_columns import RegionPart
from imagerag.store.library.thresholds.best_cosines import BestCosines, ImageMatches, known_cosines
from imagerag.store.library.thresholds.calibration import (
    ACCEPTED_NULL,
    ENOUGH,
    HOPELESS,
    OWN_SAMPLE,
    REFUSED_OWN,
    SWAP_SAMPLE,
    balanced_threshold,
    clamp_threshold,
    negative_floor,
    unrelated_captions,
)
from imagerag.store.library.thresholds.caption_index import CaptionIndex, CaptionQuery
from imagerag.store.library.thresholds.caption_words import words
from imagerag.store.library.thresholds.content import LibraryContent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Cosines = NDArray[np.float64]

Method = Literal["captions", "unrelated"]
METHODS: Final[tuple[Method, ...]] = ("captions", "unrelated")
"""What decides: hard negatives too, or only unrelated captions."""

FOLDS: Final = 2
"""Parts of the queries: each is tried with the threshold that the others give."""


@dataclass(frozen=True)
class CaptionQueries:
    """The queries of a calibration.

    Attributes:
        own: parts of captions, with the rows that say the same and more.
        same: for each of them the rows that say nothing else.
        near, unrelated: as in `calibration.TextQueries`.
    """

    own: Sequence[CaptionQuery]
    same: "Sequence[NDArray[np.intp]]"
    near: Sequence[str]
    unrelated: Sequence[str]

    @classmethod
    def of(cls, content: LibraryContent) -> "CaptionQueries":
        """The queries for a library's captions."""
        import numpy as np

        index = CaptionIndex.of_columns(content.columns)
        parts = dict.fromkeys(index.part_of(query.text) for query in index.sample(OWN_SAMPLE))
        own, same = [], []
        for query in index.queries(list(parts)):
            own_words = frozenset(words(query.text))
            alike = np.asarray(
                [frozenset(words(text)) == own_words for text in index.captions(query.matches)], dtype=bool
            )
            if not alike.all():
                own.append(CaptionQuery(query.text, query.matches[~alike]))
                same.append(query.matches[alike])
        return cls(own, same, index.hard_negatives(SWAP_SAMPLE), unrelated_captions(index))

    def first(self, most: int) -> "CaptionQueries":
        """At most so many queries of each kind."""
        return CaptionQueries(self.own[:most], self.same[:most], self.near[:most], self.unrelated[:most])

    @property
    def texts(self) -> list[str]:
        """All queries, own first."""
        return [*(query.text for query in self.own), *self.near, *self.unrelated]


async def calibrate_captions(content: LibraryContent, embedder: Embedder) -> CaptionThreshold:
    """Measure the threshold between texts and captions. The same content and encoder give the same threshold.

    Args:
        content: of the rows whose caption has a vector, with these vectors.
        embedder: the encoder of the captions; it embeds the queries.

    Raises:
        BackendError: the encoder failed.
    """
    queries = await in_thread(CaptionQueries.of, content)
    counts = {"n_own": len(queries.own), "n_near": len(queries.near), "n_unrelated": len(queries.unrelated)}
    unmeasured = CaptionThreshold(cosine=None, captions=len(content), calibrated=datetime.now(UTC))
    if min(len(queries.own), len(queries.unrelated)) < ENOUGH:
        return unmeasured.model_copy(update=counts)
    vectors = await embed_texts(embedder, queries.texts)
    best = await content.scan(lambda: CaptionScan(vectors, queries, len(content)))
    cosines = CaptionCosines.of(best, len(queries.near))
    tried = [(method, cosines.held_out(method)) for method in METHODS]
    method, rates = next((one for one in tried if not one[1].is_hopeless(one[0])), tried[0])
    cosine = None if rates.is_hopeless(method) else cosines.threshold(method)
    return unmeasured.model_copy(update=counts | vars(rates) | {"cosine": cosine, "method": method})


@dataclass(frozen=True)
class _Rates:
    """Shares of held-out queries: accepted matches, rejected hard negatives, rejected unrelated captions.

    There may be no hard negatives, where captions differ in little: their rate is None then.
    """

    accept_rate: float
    near_reject_rate: float | None
    unrelated_reject_rate: float

    def is_hopeless(self, method: Method) -> bool:
        """Whether one of the errors is more than `HOPELESS` times what is allowed."""
        rejected = self.unrelated_reject_rate
        if method == "captions" and self.near_reject_rate is not None:
            rejected = min(rejected, self.near_reject_rate)
        return 1 - self.accept_rate > HOPELESS * REFUSED_OWN or 1 - rejected > HOPELESS * ACCEPTED_NULL


class CaptionScan(BestCosines):
    """Best cosines of queries over the vectors of captions; captions that say the same as a query do not count."""

    def __init__(self, texts: "Vectors", queries: CaptionQueries, rows: int) -> None:
        super().__init__(texts, ImageMatches.of([query.matches for query in queries.own], rows))
        self._same = ImageMatches.of(queries.same, rows)

    def _cosines(self, places: "NDArray[np.intp]", vectors: "Vectors", regions: RegionPart | None) -> "Vectors":
        import numpy as np

        cosines = super()._cosines(places, vectors, regions)
        rows, texts = np.nonzero(self._same.of_rows(places))
        cosines[rows, texts] = -np.inf
        return cosines


@dataclass(frozen=True)
class CaptionCosines:
    """Best cosines of queries with a match, of hard negatives, and of unrelated captions."""

    own: "Cosines"
    near: "Cosines"
    far: "Cosines"

    @classmethod
    def of(cls, best: BestCosines, near: int) -> "CaptionCosines":
        """Args: the scan, and how many of its other texts are hard negatives."""
        import numpy as np

        return cls(
            known_cosines(best.shown), np.concatenate([known_cosines(best.others), best.rest[:near]]), best.rest[near:]
        )

    def threshold(self, method: Method) -> float:
        """The cosine with equal errors, as in `calibration`."""
        cosine = balanced_threshold(self.own, *([self.near] if method == "captions" else []), self.far)
        return min(1.0, clamp_threshold(negative_floor(self.far), cosine, self.own))

    def held_out(self, method: Method) -> _Rates:
        """The rates, each with the threshold that the other half gives."""
        import numpy as np

        parts: list[tuple[Any, Any, Any]] = []
        for rest, part in self._folds():
            cosine = rest.threshold(method)
            parts.append((part.own >= cosine, part.near < cosine, part.far < cosine))
        accepted, near, far = (np.concatenate(kind) for kind in zip(*parts, strict=True))
        return _Rates(float(accepted.mean()), float(near.mean()) if len(near) else None, float(far.mean()))

    def _folds(self) -> "Iterator[tuple[CaptionCosines, CaptionCosines]]":
        import numpy as np

        for fold in range(FOLDS):
            kinds = [(kind, np.arange(len(kind)) % FOLDS == fold) for kind in (self.own, self.near, self.far)]
            yield (
                CaptionCosines(*(kind[~in_fold] for kind, in_fold in kinds)),
                CaptionCosines(*(kind[in_fold] for kind, in_fold in kinds)),
            )
