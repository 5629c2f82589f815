"""Measure and store a library's thresholds while other processes may change it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.caption_language import SAMPLE, caption_language
from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import Embedder
from imagerag.store.library.library_metadata import (
    ImageThreshold,
    LibraryMetadata,
    Threshold,
    library_metadata_of,
    write_library_metadata,
)
from imagerag.store.library.region_columns import images_with_regions
from imagerag.store.library.schema import VECTOR, present
from imagerag.store.library.thresholds.content import (
    LANGUAGE,
    LibraryContent,
    S,
    ScansTogether,
    captioned,
    content_hash,
    content_of,
    images_hash,
    read_columns,
    read_whole,
    scan_table,
    vectors_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.store.library.library import Library
    from imagerag.store.library.table import LibraryTable
    from imagerag.store.library.thresholds.calibration import TextMeasurement

MEASURED: Final = 4
"""How often a library that keeps changing is measured: whoever changes it last measures after that."""


async def update_thresholds(
    library: "Library", table: "LibraryTable", *, anew: bool
) -> tuple[Threshold, LibraryMetadata]:
    """Measure both thresholds and store them with a hash of the content.

    If the library changes meanwhile, they are measured again: a threshold never replaces one measured on later content.

    Returns:
        The threshold between texts and images, and the library's new metadata.

    Raises:
        LibraryError: the library is empty.
    """
    await table.prepare()
    for last in (*[False] * (MEASURED - 1), True):
        version = await table.read(lambda: table.lance.version)
        measurement = await _measure(library, table, anew)
        update = {
            "threshold": measurement.threshold,
            "image_threshold": measurement.image_threshold,
        }
        keep = partial(_keep, table, update, version, anyway=last)
        if await table.write(keep):
            break
    return measurement.threshold, await table.read(lambda: library_metadata_of(table.lance, table.name))


async def _measure(library: "Library", table: "LibraryTable", anew: bool) -> "Measurement":
    content = await content_at(table)
    image_threshold = None if anew else library.metadata.image_threshold
    return await measure(library, content, library.embedder, image_threshold)


@dataclass(frozen=True)
class Measurement:
    """The thresholds of a library, and what the one between texts and images was measured with.

    Attributes:
        texts: the encoded captions.
        best_own: for each of the library's own captions among them, the best cosine with an image that shows its
            content.
    """

    threshold: Threshold
    image_threshold: ImageThreshold
    texts: "TextMeasurement"
    best_own: "NDArray[np.float64]"


async def measure(
    library: "Library", content: LibraryContent, embedder: Embedder, image_threshold: ImageThreshold | None = None
) -> Measurement:
    """Measure the thresholds between texts and images, and between images.

    Args:
        content: what the library holds, with vectors of `embedder`.
        image_threshold: a threshold between images, which is returned if it was measured on the same images.

    Raises:
        LibraryError: the library is empty.
    """
    from imagerag.store.library.thresholds.calibration import TextMeasurement
    from imagerag.store.library.thresholds.image_calibration import ImageMeasurement, unclaimed
    from imagerag.store.library.thresholds.things_calibration import ThingsMeasurement

    if not len(content):
        raise LibraryError(f"library {library.name!r} is empty: there is nothing to calibrate")
    captions_key, images = await asyncio.to_thread(
        lambda: (content_hash(content.columns, content.with_regions), images_hash(content.columns))
    )
    if image_threshold and image_threshold.measured_on != images:
        image_threshold = None
    texts = await TextMeasurement.of(content, embedder)
    things = await ThingsMeasurement.of(content.columns, embedder) if content.with_regions else None
    views = None if image_threshold else await ImageMeasurement.of(content, embedder, library.encoded_images)
    begins = {name: one.begin for name, one in (("texts", texts), ("things", things), ("views", views)) if one}
    scan = await content.scan(lambda: ScansTogether(*(begin() for begin in begins.values())))
    scans = dict(zip(begins, scan.scans, strict=True))
    threshold = texts.threshold(scans["texts"])
    between = image_threshold or (views.threshold(scans["views"]) if views else unclaimed(content))
    language = await asyncio.to_thread(language_of, content.columns)
    return Measurement(
        threshold.model_copy(
            update={
                "measured_on": captions_key,
                "caption_language": language,
                "things": things.threshold(scans["things"]) if things else None,
            }
        ),
        between.model_copy(update={"measured_on": images}),
        texts,
        scans["texts"].shown,
    )


def language_of(columns: Any) -> str:
    """The language of captions as a BCP 47 tag, from their words and from the tags that they have in the library."""
    sample = captioned(columns).slice(0, SAMPLE)
    tags = sample[LANGUAGE].to_pylist() if LANGUAGE in sample.column_names else []
    return caption_language(sample["caption"].to_pylist(), filter(None, tags))


async def content_at(table: "LibraryTable", vector: str = VECTOR, where: str | None = None) -> LibraryContent:
    """The current content of a library; later rows are ignored.

    Args:
        vector: the column of the vectors.
        where: what must hold of the rows, in SQL; None is all.
    """
    with_regions = await table.read(lambda: images_with_regions(table.lance))
    if (whole := await table.read(lambda: read_whole(table.lance, vector, where))) is not None:
        return replace(whole, with_regions=with_regions)
    columns = await table.read(lambda: read_columns(table.lance, *present(table.lance, (LANGUAGE,)), where=where))

    async def vectors(places: Any) -> Any:
        ids = columns["id"].take(places).to_pylist()
        return await table.read(lambda: vectors_of(table.lance, ids, vector))

    async def scan(begin: Callable[[], S]) -> S:
        def work() -> S:
            result = begin()
            scan_table(table.lance, columns["id"], result, vector, regions=True)
            return result

        return await table.read(work)

    return LibraryContent(columns, vectors, scan, with_regions)


def _keep(table: "LibraryTable", update: Mapping[str, Any], version: int, *, anyway: bool) -> bool:
    """Store what was measured in the library's metadata, if its content is still the one it was measured on.

    Args:
        version: version of the table before the measurement; if it is unchanged, the content need not be compared.
        anyway: store it in any case if there is none yet; the process that changes the library calibrates
            afterwards.
    """
    with table.calibrating():
        metadata = library_metadata_of(table.lance, table.name)
        same = table.lance.version == version or content_of(table.lance) == update["threshold"].measured_on
        if not same and not (anyway and metadata.threshold is None):
            return anyway
        write_library_metadata(table.lance, metadata.model_copy(update=update))
        return True
