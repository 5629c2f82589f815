"""Thresholds that are measured on content at once, without a library."""

from typing import Any

from imagerag.agent.ports import Embedder, EmbedderIdentity
from imagerag.store.library.library_metadata import ImageThreshold, Threshold
from imagerag.store.library.thresholds.calibration import TextMeasurement
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.image_calibration import ImageMeasurement, unclaimed


async def text_threshold(content: LibraryContent, embedder: Embedder) -> Threshold:
    """The threshold between texts and images."""
    measurement = await TextMeasurement.of(content, embedder)
    return measurement.threshold(await content.scan(measurement.begin))


async def image_threshold(content: LibraryContent, embedder: Embedder, read_images: Any) -> ImageThreshold:
    """The threshold between images."""
    measurement = await ImageMeasurement.of(content, embedder, read_images)
    return measurement.threshold(await content.scan(measurement.begin)) if measurement else unclaimed(content)


def identity_of(dimension: int) -> EmbedderIdentity:
    """The identity of an encoder of a test."""
    return EmbedderIdentity(spec="planted", model="planted", weights="", preprocess="", dimension=dimension)
