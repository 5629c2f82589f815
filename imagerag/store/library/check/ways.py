"""Ways to search a library, each measured with queries of its own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol

from imagerag.agent.caption_language import caption_language
from imagerag.agent.ports import Filter, Hit
from imagerag.agent.threads import in_thread
from imagerag.store.library import search as searching
from imagerag.store.library.check.rates import DEPTH
from imagerag.store.library.check.unrelated_captions import UNRELATED
from imagerag.store.library.check.unrelated_translations import TRANSLATED
from imagerag.store.library.library import Library
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.thresholds.calibration import (
    ENOUGH,
    OWN_SAMPLE,
    SWAP_SAMPLE,
    TextMeasurement,
    TextQueries,
)
from imagerag.store.library.thresholds.caption_index import CaptionIndex
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.decisions import Decisions, Evidence, held_out
from imagerag.store.library.thresholds.image_calibration import ImageMeasurement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Way = Literal["text_to_image", "text_to_caption", "hybrid", "image_to_image"]
"""Ways to search, by what is searched with and what it is compared with."""

AT_ONCE: Final = 32
"""Vectors that are searched in one query."""


@dataclass(frozen=True)
class CheckSize:
    """How much is encoded for a check.

    Attributes:
        captions: own captions that are searched with, at most; `near`: hard negatives of them, at most.
        images: images that are searched with, at most: two views of each.
        unrelated: unrelated captions, those that match an image are left out; None is the package's, in the language of
            the library's captions where there are some.
    """

    captions: int
    near: int
    images: int
    unrelated: Sequence[str] | None = None

    @classmethod
    def of(cls, queries: int, unrelated: Sequence[str] | None = None) -> "CheckSize":
        """The size for a number of own captions: half as many hard negatives, and a quarter as many images."""
        return cls(queries, min(SWAP_SAMPLE, queries // 2), min(MOST_IMAGES, max(2 * ENOUGH, queries // 4)), unrelated)


MOST_IMAGES: Final = 48
"""Images that are searched with at most, because each takes two encodings."""

FEW: Final = 64
"""Own captions of the check after the first indexing: at most 156 texts and 32 views of images are encoded."""


@dataclass(frozen=True)
class WayMeasurement:
    """Measurement of one way.

    Attributes:
        found: for each query, the ids of the images found, best first; `right`: those that are right.
        threshold: the library's own; None where it has none.
        decisions: held out; None where there are too few queries.
        held_out: "captions": the library's own threshold, on captions that its calibration has not seen. "halves": a
            threshold of each half of the queries, on the other half.
        connected: whether the encoder connects queries with what matches them.
    """

    found: Sequence[Sequence[str]]
    right: Sequence[Collection[str]]
    threshold: float | None
    decisions: Decisions | None
    held_out: Literal["captions", "halves"] = "halves"
    connected: bool = True


class MeasuredWay(Protocol):
    """A way to search that can be measured."""

    @property
    def name(self) -> Way: ...

    async def measure(self, library: Library, content: LibraryContent, size: CheckSize) -> WayMeasurement | None:
        """Search a library this way.

        Returns:
            None where the library cannot be searched so.
        """
        ...


class TextToImage:
    """Things that captions name, compared with the images.

    The images that match are found by the words of captions alone. Three kinds of queries match none: captions with one
    word changed (`near`), captions whose own images are ignored (`left_out`), and unrelated captions.
    """

    name: Way = "text_to_image"

    async def measure(self, library: Library, content: LibraryContent, size: CheckSize) -> WayMeasurement:
        """See `MeasuredWay`."""
        queries, unseen = await in_thread(_text_queries, content, size)
        if not queries.own:
            return WayMeasurement([], [], library.threshold, None)
        measured = await TextMeasurement.of(content, library.embedder, queries)
        evidence = measured.evidence(await content.scan(measured.begin))
        decisions = evidence.decided(library.threshold) if unseen else halves(evidence, len(evidence.own))
        return WayMeasurement(
            found=await nearest_ids(library, [QueryVectors(vector) for vector in measured.texts[: len(queries.own)]]),
            right=[set(content.ids(query.matches)) for query in queries.own],
            threshold=library.threshold,
            decisions=decisions,
            held_out="captions" if unseen else "halves",
            connected=evidence.connected,
        )


def _text_queries(content: LibraryContent, size: CheckSize) -> tuple[TextQueries, bool]:
    """The queries, and whether calibration has not seen the own ones."""
    index = CaptionIndex.of_columns(content.columns)
    every = index.sample(OWN_SAMPLE + size.captions)
    unseen = len(every) - OWN_SAMPLE >= ENOUGH
    calibration_texts = set(index.hard_negatives(SWAP_SAMPLE))
    near = [text for text in index.hard_negatives(SWAP_SAMPLE + size.near) if text not in calibration_texts] or sorted(
        calibration_texts
    )
    own = every[OWN_SAMPLE:] if unseen else every[: size.captions]
    if (unrelated := size.unrelated) is None:
        unrelated = TRANSLATED.get(caption_language(filter(None, index.texts)), UNRELATED)
    return TextQueries(own, near[: size.near], [text for text in unrelated if not index.shows(text)]), unseen


class ImageToImage:
    """Views of images (cropped, mirrored, lighter, saved again), compared with the images.

    No match have images without their own views: the nearest other image should stay below the threshold.
    """

    name: Way = "image_to_image"

    async def measure(self, library: Library, content: LibraryContent, size: CheckSize) -> WayMeasurement:
        """See `MeasuredWay`."""
        measured = await ImageMeasurement.of(content, library.embedder, library.encoded_images, size.images)
        if measured is None:
            return WayMeasurement([], [], library.image_threshold, None)
        evidence = measured.evidence(await content.scan(measured.begin))
        return WayMeasurement(
            found=await nearest_ids(library, [QueryVectors(vector, regions=False) for vector in measured.views]),
            right=[{one} for one in content.ids(measured.viewed)],
            threshold=library.image_threshold,
            decisions=halves(evidence, min(len(set(measured.viewed.tolist())), len(evidence.others))),
        )


def halves(evidence: Evidence, queries: int) -> Decisions | None:
    """The decisions on held-out halves; None where a half has too few queries."""
    return held_out(evidence) if queries >= 2 * ENOUGH else None


async def nearest_ids(library: Library, queries: Sequence[QueryVectors]) -> list[list[str]]:
    """For each query the ids of the nearest images, best first, by the search that runs use."""
    table = library.table

    def search(part: Sequence[QueryVectors]) -> list[list[Hit]]:
        return searching.nearest_of_each(table.view, part, DEPTH, Filter(), table.recent)

    lists: list[list[Hit]] = []
    for start in range(0, len(queries), AT_ONCE):
        lists += await table.read(partial(search, queries[start : start + AT_ONCE]))
    return [[hit.image.sha256 for hit in hits] for hits in lists]
