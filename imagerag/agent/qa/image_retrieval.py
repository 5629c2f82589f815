"""Retrieval by the images that a question comes with: which of a library's are the same thing, as far as is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagerag.agent.ports import Filter, Hit, ReferenceLibrary
from imagerag.agent.qa.types import SearchBy
from imagerag.agent.retrieval.search_queries import add_nearer, search_image
from imagerag.agent.types import RunConfig
from imagerag.formatting.numbers import cosine

UNCLAIMED: Final = "no threshold between images is known for this library"


@dataclass(frozen=True)
class SimilarImages:
    """A library's images by their similarity to the question's.

    Attributes:
        hits: the nearest, best first.
        similar: cosine with the nearest of the question's images, by id.
        passing: those that are taken for sources.
        threshold: the cosine they had to reach; None when none is claimed, or it was off.
        notes: what should be known about how they were found.
    """

    hits: tuple[Hit, ...] = ()
    similar: Mapping[str, float] = field(default_factory=dict)
    passing: tuple[Hit, ...] = ()
    threshold: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of those that pass."""
        return tuple(hit.image.sha256 for hit in self.passing)


async def similar_images(
    library: ReferenceLibrary,
    question_images: Sequence[bytes],
    *,
    config: RunConfig,
    by: SearchBy,
    filter: Filter,
    looks: bool,
) -> SimilarImages:
    """Search with each image; of two similarities of one library image the higher counts.

    Args:
        question_images: encoded, as every model takes them.
        by: a threshold that was given as a number is between images where nothing else is searched with.
        looks: the answerer sees for itself what an image shows. Where no threshold is known, only such a one is
            handed the nearest.
    """
    best: dict[str, Hit] = {}
    for data in question_images:
        add_nearer(best, await search_image(library, data, k=config.candidates, filter=filter))
    hits = sorted(best.values(), key=lambda hit: (-hit.similarity, hit.image.sha256))[: config.candidates]
    similar = {hit.image.sha256: min(1.0, max(-1.0, float(hit.similarity))) for hit in hits}
    threshold, claims = _threshold(library, config, by)
    if claims or any(hit.threshold is not None for hit in hits):
        claimed = hits if claims else [hit for hit in hits if hit.threshold is not None]
        passing = [hit for hit in claimed if reaches(hit, similar[hit.image.sha256], threshold, config)]
        return SimilarImages(tuple(hits), similar, tuple(passing), threshold)
    note = "the nearest were shown, and which is the same thing is the model's to see" if looks else "none was taken"
    return SimilarImages(
        tuple(hits), similar, tuple(hits if looks else ()), None, (f"{UNCLAIMED}: {note}",) if hits else ()
    )


def reaches(hit: Hit, similarity: float, threshold: float | None, config: RunConfig) -> bool:
    """Whether an image is similar enough: by the threshold that it brings, where it has one."""
    auto = config.threshold == "auto"
    limit = hit.threshold if auto and hit.threshold is not None else threshold
    return limit is None or similarity >= limit or (auto and hit.caption_reaches)


def no_similar_images(near: float, threshold: float | None) -> str:
    """The reason why the search by image found nothing."""
    if threshold is None:
        return f"the closest to the image has {cosine(near)}, and {UNCLAIMED}"
    return f"the closest to the image has {cosine(near)}, {cosine(threshold)} is needed"


def _threshold(library: ReferenceLibrary, config: RunConfig, by: SearchBy) -> tuple[float | None, bool]:
    """The cosine to reach, and whether there is anything to go by."""
    if config.threshold == "off":
        return None, True
    if config.threshold != "auto" and by == "image":
        return float(config.threshold), True
    measured: float | None = getattr(library, "image_threshold", None)
    return measured, measured is not None
