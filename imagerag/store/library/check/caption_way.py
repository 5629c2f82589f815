"""Search of captions by texts, where a library has vectors of its captions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from imagerag.agent.ports import Filter, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.store.library.caption_embedding import available_caption_embedder
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_search import CaptionMatch, nearest_captions
from imagerag.store.library.caption_threshold_update import CAPTIONED
from imagerag.store.library.check.rates import DEPTH
from imagerag.store.library.check.ways import CheckSize, Way, WayMeasurement, halves
from imagerag.store.library.library import Library
from imagerag.store.library.threshold_update import content_at
from imagerag.store.library.thresholds.caption_calibration import CaptionCosines, CaptionQueries, CaptionScan, Method
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.decisions import Decisions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


@dataclass(frozen=True)
class CaptionEvidence:
    """Cosines of queries and captions, from which a threshold is derived by one method."""

    cosines: CaptionCosines
    method: Method

    def half(self, at: Literal[0, 1]) -> "CaptionEvidence":
        """Every second query of each kind, from the first or from the second one."""
        whole = self.cosines
        return replace(self, cosines=CaptionCosines(whole.own[at::2], whole.near[at::2], whole.far[at::2]))

    def cosine(self) -> float:
        """The threshold."""
        return self.cosines.threshold(self.method)

    def decided(self, cosine: float) -> Decisions:
        """The decisions of a threshold."""
        near, far = self.cosines.near < cosine, self.cosines.far < cosine
        return Decisions(self.cosines.own >= cosine, {"near": near, "unrelated": far})


class TextToCaption:
    """Parts of captions, compared with the captions; captions that say nothing else do not count.

    No match have captions with one word changed, parts of captions whose own captions are left out (both `near`), and
    unrelated captions in the language of the library's.
    """

    name: Way = "text_to_caption"

    async def measure(self, library: Library, content: LibraryContent, size: CheckSize) -> WayMeasurement | None:
        """See `MeasuredWay`; None without caption vectors, or where their encoder is not available here."""
        measured = library.metadata.caption_threshold
        if (encoder := available_caption_embedder(library)) is None:
            return None
        encoded = await content_at(library.table, CAPTION_VECTOR, CAPTIONED)
        queries = await in_thread(CaptionQueries.of, encoded) if len(encoded) else None
        cosine = measured.cosine if measured else None
        if queries is None or not queries.own:
            return WayMeasurement([], [], cosine, None)
        queries = replace(
            queries,
            own=queries.own[: size.captions],
            same=queries.same[: size.captions],
            near=queries.near[: size.near],
        )
        vectors = await embed_texts(encoder, queries.texts)
        best = await encoded.scan(lambda: CaptionScan(vectors, queries, len(encoded)))
        evidence = CaptionEvidence(
            CaptionCosines.of(best, len(queries.near)), measured.method if measured else "captions"
        )
        same = [set(encoded.ids(places)) for places in queries.same]
        return WayMeasurement(
            found=await _hit_ids(library, vectors, same),
            right=[set(encoded.ids(query.matches)) for query in queries.own],
            threshold=cosine,
            decisions=halves(evidence, min(len(evidence.cosines.own), len(evidence.cosines.far))),
        )


async def _hit_ids(library: Library, vectors: "Iterable[Vector]", same: Sequence[set[str]]) -> list[list[str]]:
    """For each text the ids of the images with the nearest captions, without those that do not count."""
    ids = []
    for vector, without in zip(vectors, same, strict=False):
        more = DEPTH + len(without)
        near = await library.table.read(partial(_nearest, library, vector, more))
        ids.append([one.id for one in near if one.id not in without][:DEPTH])
    return ids


def _nearest(library: Library, vector: "Vector", k: int) -> list[CaptionMatch]:
    return nearest_captions(library.table.lance, vector, k, Filter())
