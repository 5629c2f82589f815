"""Hybrid search, where a library has vectors of its captions: an image counts by its own cosine or by its caption's."""

from collections.abc import Sequence

from imagerag.agent.threads import in_thread
from imagerag.store.library.caption_embedding import available_caption_embedder
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_threshold_update import CAPTIONED
from imagerag.store.library.check.rates import DEPTH
from imagerag.store.library.check.ways import CheckSize, Way, WayMeasurement
from imagerag.store.library.fusion_metadata import FusedThreshold
from imagerag.store.library.library import Library
from imagerag.store.library.schema import VECTOR
from imagerag.store.library.threshold_update import content_at
from imagerag.store.library.thresholds.calibration import ENOUGH
from imagerag.store.library.thresholds.caption_calibration import CaptionQueries
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.fused_calibration import WAYS, fused_cosines


class Hybrid:
    """Parts of captions, searched in all lists at once; the queries and what does not count are as in `TextToCaption`.

    The threshold is that of the image where it decides, else that of the caption.
    """

    name: Way = "hybrid"

    async def measure(self, library: Library, content: LibraryContent, size: CheckSize) -> WayMeasurement | None:
        """See `MeasuredWay`; None without caption vectors, or where their encoder is not available here."""
        if (encoder := available_caption_embedder(library)) is None:
            return None
        limits = library.metadata.fusion.threshold if library.metadata.fusion else None
        claimed = [one for one in ((limits.image, limits.caption) if limits else ()) if one is not None]
        captions = await content_at(library.table, CAPTION_VECTOR, CAPTIONED)
        queries = (await in_thread(CaptionQueries.of, captions)).first(size.captions) if len(captions) else None
        if queries is None or not queries.own:
            return WayMeasurement([], [], claimed[0] if claimed else None, None)
        images = await content_at(library.table, VECTOR, CAPTIONED)
        cosines = await fused_cosines(images, captions, library.embedder, encoder, queries)
        enough = cosines is not None and min(len(cosines.own), len(cosines.far)) >= 2 * ENOUGH
        same = [set(captions.ids(places)) for places in queries.same]
        return WayMeasurement(
            found=[
                await _hit_ids(library, query.text, without) for query, without in zip(queries.own, same, strict=True)
            ],
            right=[set(captions.ids(query.matches)) for query in queries.own],
            threshold=claimed[0] if claimed else None,
            decisions=cosines.decisions(_columns(limits)) if cosines is not None and enough else None,
        )


def _columns(limits: FusedThreshold | None) -> Sequence[int]:
    """The columns of the cosines that decide; both where none is claimed."""
    claimed = {"image": limits.image, "caption": limits.caption} if limits else {}
    decide = [name for name, cosine in claimed.items() if cosine is not None]
    return WAYS[decide[0] if len(decide) == 1 else "either"]


async def _hit_ids(library: Library, text: str, without: set[str]) -> list[str]:
    """The ids of the images that a hybrid search finds, best first, without those that do not count."""
    hits = await library.search(text, k=DEPTH + len(without), hybrid=True)
    return [hit.image.sha256 for hit in hits if hit.image.sha256 not in without][:DEPTH]
