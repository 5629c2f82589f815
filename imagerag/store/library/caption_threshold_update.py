"""Measure and store the threshold of a library's captions."""

from typing import TYPE_CHECKING, Any, Final

from imagerag.store.library.caption_embedding import available_caption_embedder
from imagerag.store.library.caption_metadata import CAPTION_VECTOR, caption_metadata_of, write_caption_metadata
from imagerag.store.library.threshold_update import content_at
from imagerag.store.library.thresholds.content import content_hash, read_columns

if TYPE_CHECKING:
    from imagerag.store.library.library import Library

CAPTIONED: Final = f"{CAPTION_VECTOR} IS NOT NULL AND caption != ''"
"""The rows that it is measured on: captions of persons, not descriptions of a model."""


def caption_threshold_is_stale(lance: Any) -> bool:
    """Whether captions of a LanceDB table are encoded, and their threshold was measured on others or never."""
    metadata = caption_metadata_of(lance)
    if metadata is None:
        return False
    measured = metadata.threshold.measured_on if metadata.threshold else ""
    return measured != content_hash(read_columns(lance, where=CAPTIONED))


async def update_caption_threshold(library: "Library") -> None:
    """Measure the threshold between texts and captions, and store it; nothing without an encoder of captions, or where
    it is not available here.

    If the encoder is changed meanwhile, nothing is stored: whoever changes it measures after that.
    """
    from imagerag.store.library.thresholds.caption_calibration import calibrate_captions

    await library.read_metadata()
    if (embedder := available_caption_embedder(library)) is None:
        return
    content = await content_at(library.table, CAPTION_VECTOR, CAPTIONED)
    threshold = await calibrate_captions(content, embedder)
    threshold = threshold.model_copy(update={"measured_on": content_hash(content.columns)})

    def store() -> None:
        with library.table.calibrating():
            now = caption_metadata_of(library.table.lance)
            if now is not None and now.encoder.embedder == embedder.identity:
                write_caption_metadata(library.table.lance, now.model_copy(update={"threshold": threshold}))

    await library.table.write(store)
    await library.read_metadata()
