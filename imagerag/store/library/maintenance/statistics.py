"""Statistics of a library: content, disk usage, and similarity of captions to their images."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from imagerag.agent.ports import embed_texts
from imagerag.agent.types import FrozenModel, Similarity, is_low
from imagerag.store.library.caption_metadata import caption_metadata_of
from imagerag.store.library.caption_vectors import count_caption_vectors
from imagerag.store.library.filters.facets import by_frequency
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.library_disk_usage import DiskUse, disk_use
from imagerag.store.library.maintenance.similar_pairs import compares_all, similar_pairs
from imagerag.store.library.maintenance.vector_table import sorted_ids, vectors_of_ids
from imagerag.store.library.region_columns import count_regions
from imagerag.store.library.schema import OCR_COLUMNS, present
from imagerag.store.library.thresholds.content import captioned, read_columns

CAPTIONS: Final = 1_000
"""Captions that are encoded at most. Rows come sorted by SHA-256, so the first ones are a fair sample."""

COMPARED: Final = 20_000
"""Images that are compared with all others at most, likewise."""

BLOCK: Final = 256
WORST: Final = 5
"""Captions that are listed, unless it is said otherwise."""


class CaptionSimilarity(FrozenModel):
    """A caption, and the cosine between it and its own image."""

    id: str
    caption: str
    similarity: Similarity


class CaptionStatistics(FrozenModel):
    """Similarities of captions and their own images.

    Attributes:
        measured: how many captions were encoded.
        threshold: the library's, a cosine.
        accept_rate: share of them that reach it, in [0, 1].
        reject_rate: share of captions without a match that stay below it, as calibration has measured; None in
            libraries of earlier versions.
        worst: those furthest below it, or nearest to it; the furthest first.
    """

    measured: int
    threshold: Similarity
    accept_rate: float
    reject_rate: float | None = None
    worst: tuple[CaptionSimilarity, ...]


class NearDuplicates(FrozenModel):
    """Number of images that show the same thing as another one.

    Attributes:
        measured: images that were compared with all others.
        threshold: cosine from which on two images show the same thing.
        images: how many of the measured ones have such another one.
        accept_rate: share of the views of an image that reach the threshold; `reject_rate`: share of the images that
            no other one reaches it with. None in libraries of earlier versions.
        exact: whether they were compared with every other one; of more than 50,000 images a few are missed.
    """

    measured: int
    threshold: Similarity
    images: int
    accept_rate: float | None = None
    reject_rate: float | None = None
    exact: bool = True


class LibraryStatistics(FrozenModel):
    """Statistics of a library.

    Attributes:
        captions, titles, tagged: images that have one.
        caption_vectors: images whose caption is encoded, with the encoder `caption_embedder`.
        region_images: images whose regions are encoded, those with none among them; `regions`: how many they have.
        ocr_read: images that OCR has read; `ocr_words`: those in which it found words.
        described: images that a model described; `low_confidence`: those whose description probably does not fit. A
            description is no caption: `captions` and what is measured of captions are of persons' captions alone.
        linked, copied: images that have a file they are linked to, and a copy in the library.
        several_files: images of which there are several files.
        file_bytes: of the files of images, together, as far as it is known.
        disk: what the library itself takes.
        formats, licences, cameras, years: value → images; "" is unknown. The most common first, years in their order.
        megapixels: the smallest, median and largest image.
        first_taken, last_taken: when the earliest and the latest image was photographed.
        caption_similarity: None without a threshold or without captions.
        near_duplicates: None where no threshold between images is known.
    """

    images: int
    captions: int
    titles: int
    tagged: int
    caption_vectors: int = 0
    caption_embedder: str | None = None
    region_images: int = 0
    regions: int = 0
    ocr_read: int = 0
    ocr_words: int = 0
    described: int = 0
    low_confidence: int = 0
    linked: int
    copied: int
    several_files: int
    file_bytes: int
    disk: DiskUse
    formats: dict[str, int]
    licences: dict[str, int]
    cameras: dict[str, int]
    years: dict[str, int]
    megapixels: tuple[float, float, float] | None
    first_taken: datetime | None
    last_taken: datetime | None
    caption_similarity: CaptionStatistics | None = None
    near_duplicates: NearDuplicates | None = None


COLUMNS: Final = ("id", "media_type", "width", "height", "caption", "title", "tags", "licence", "camera", "taken",
                  "files", "size_bytes", *OCR_COLUMNS, "described_by", "description_confidence")  # fmt: skip


async def library_statistics(library: Library, *, worst: int = WORST) -> LibraryStatistics:
    """Count the content of a library, and measure the similarities of its captions and images.

    Args:
        worst: captions that are listed, those that are furthest from their own images.

    Raises:
        BackendError: the encoder failed.
    """
    counts = await library.table.read(lambda: _counted(library))
    return counts.model_copy(
        update={
            "caption_similarity": await _caption_similarity(library, worst),
            "near_duplicates": await library.table.read(lambda: _near_duplicates(library)),
        }
    )


def _counted(library: Library) -> LibraryStatistics:
    lance, copies = library.table.lance, library.table.images
    columns, some_copied = present(lance, COLUMNS), copies.root.exists()
    counts: Counter[str] = Counter()
    values: dict[str, Counter[str]] = {name: Counter() for name in ("media_type", "licence", "camera", "year")}
    sizes: list[float] = []
    times: list[datetime] = []
    for batch in lance.search().select(columns).to_batches(4096):
        for record in batch.to_pylist():
            time = record.get("taken")
            times += [time] if time else []
            sizes.append(record["width"] * record["height"] / 1e6)
            for name in ("media_type", "licence", "camera"):
                values[name][record.get(name) or ""] += 1
            values["year"][f"{time:%Y}" if time else ""] += 1
            counts.update(_facts(record, copied=some_copied and copies.path(record["id"]).exists()))
            counts["file_bytes"] += record.get("size_bytes") or 0
    region_images, regions = count_regions(lance)
    return LibraryStatistics(
        images=len(sizes),
        captions=counts["captions"],
        titles=counts["titles"],
        tagged=counts["tagged"],
        caption_vectors=count_caption_vectors(lance),
        caption_embedder=captions.encoder.spec if (captions := caption_metadata_of(lance)) else None,
        region_images=region_images,
        regions=regions,
        ocr_read=counts["ocr_read"],
        ocr_words=counts["ocr_words"],
        described=counts["described"],
        low_confidence=counts["low_confidence"],
        linked=counts["linked"],
        copied=counts["copied"],
        several_files=counts["several_files"],
        file_bytes=counts["file_bytes"],
        disk=disk_use(library.folder),
        formats=by_frequency(values["media_type"]),
        licences=by_frequency(values["licence"]),
        cameras=by_frequency(values["camera"]),
        years=dict(sorted(values["year"].items())),
        megapixels=_spread(sizes),
        first_taken=min(times, default=None),
        last_taken=max(times, default=None),
    )


def _facts(record: Mapping[str, Any], *, copied: bool) -> Iterable[str]:
    files = record.get("files") or ()
    facts = {
        "captions": record["caption"],
        "titles": record["title"],
        "tagged": record["tags"],
        "ocr_read": record.get("ocr_confidence") is not None,
        "ocr_words": record.get("ocr"),
        "described": record.get("described_by"),
        "low_confidence": record.get("described_by") and is_low(record.get("description_confidence")),
        "linked": files,
        "copied": copied,
        "several_files": len(files) > 1,
    }
    return (name for name, there in facts.items() if there)


def _spread(sizes: Sequence[float]) -> tuple[float, float, float] | None:
    ordered = sorted(sizes)
    return (ordered[0], ordered[len(ordered) // 2], ordered[-1]) if ordered else None


async def _caption_similarity(library: Library, worst: int) -> CaptionStatistics | None:
    measured = library.metadata.threshold
    columns = await library.table.read(lambda: read_columns(library.table.lance))
    ids = captioned(columns)["id"][:CAPTIONS].to_pylist()
    if measured is None or not ids:
        return None
    sample = sorted(await library.table.records(("id", "caption", "vector"), ids), key=lambda one: one["id"])
    cosines = []
    for at in range(0, len(sample), BLOCK):
        part = sample[at : at + BLOCK]
        texts = await embed_texts(library.embedder, [one["caption"] for one in part])
        cosines += [max(-1.0, min(1.0, float(text @ one["vector"]))) for text, one in zip(texts, part, strict=True)]
    ranked = sorted(zip(cosines, sample, strict=True), key=lambda one: (one[0], one[1]["id"]))
    return CaptionStatistics(
        measured=len(cosines),
        threshold=measured.cosine,
        accept_rate=sum(one >= measured.cosine for one in cosines) / len(cosines),
        reject_rate=measured.reject_rate,
        worst=tuple(
            CaptionSimilarity(id=one["id"], caption=one["caption"], similarity=similarity)
            for similarity, one in ranked[:worst]
        ),
    )


def _near_duplicates(library: Library) -> NearDuplicates | None:
    import numpy as np

    calibrated, threshold = library.metadata.image_threshold, library.image_threshold
    if calibrated is None or threshold is None:
        return None
    ids = sorted_ids(library)
    exact = compares_all(len(ids))
    vectors = vectors_of_ids(library, ids, half=not exact)
    measured = min(len(vectors), COMPARED)
    alike = np.zeros(len(vectors), dtype=bool)
    for ones, others, _ in similar_pairs(vectors, threshold, measured):
        alike[ones] = alike[others] = True
    return NearDuplicates(
        measured=measured,
        threshold=threshold,
        images=int(alike[:measured].sum()),
        accept_rate=calibrated.accept_rate,
        reject_rate=calibrated.reject_rate,
        exact=exact,
    )
