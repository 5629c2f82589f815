"""Encode the regions of the images of a library. The images themselves are not encoded again."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import LibraryDamagedError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import png
from imagerag.agent.images.regions import DECODED, crops_at, regions_of
from imagerag.agent.ports import Embedder, PreparingEmbedder
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Region
from imagerag.store.library.encoding import one_row_each, vectors_or_reasons
from imagerag.store.library.library import Library
from imagerag.store.library.region_columns import EncodedRegions
from imagerag.store.library.schema import present
from imagerag.store.library.thresholds.content import is_unit
from imagerag.store.library.write_buffer import WriteBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

AT_ONCE: Final = 64
"""Images whose regions are encoded together."""

ENCODED: Final = 256
"""Crops that are encoded at a time."""


@dataclass
class EncodedCount:
    """What was encoded.

    Attributes:
        images: images whose regions were encoded; `regions`: how many these have.
        notes: (source, problem) of images whose regions could not be encoded.
    """

    images: int = 0
    regions: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)


async def encode_regions(
    library: Library, ids: Collection[str], progress: Callable[[int, int], None] | None = None
) -> EncodedCount:
    """Encode the regions of those of the images that have not been looked at, and write them into their rows.

    An image that cannot be read is noted, and tried again by the next call. If it is stopped,
    the next call does the rest. The library remembers that it has regions: `index` encodes those of new images from
    then on.

    Args:
        progress: called after every batch with images done and images in all.
    """
    report = EncodedCount()
    await library.remember_regions()
    new = await _without_regions(library, ids)
    async with WriteBuffer(library.update_regions, _size_of, library.tidy) as buffer:
        for at in range(0, len(new), AT_ONCE):
            part = new[at : at + AT_ONCE]
            regions = await _encoded(library, part, report)
            await buffer.add(regions)
            report.images += len(regions)
            report.regions += sum(len(one.boxes) for one in regions.values())
            if progress:
                progress(at + len(part), len(new))
    return report


def _size_of(regions: EncodedRegions) -> int:
    return sum(vector.nbytes for vector in regions.vectors)


async def _encoded(library: Library, ids: Sequence[str], report: EncodedCount) -> dict[str, EncodedRegions]:
    regions: dict[str, EncodedRegions] = {}
    crops: dict[str, tuple[tuple[Region, ...], list[Any]]] = {}
    for sha256 in ids:
        try:
            crops[sha256] = await in_thread(_cropped, await library.image_bytes(sha256), library.embedder)
        except LibraryDamagedError:
            raise
        except Exception as error:  # whatever is wrong with one image, the regions of the others are encoded
            report.notes.append((await library.source_or_id(sha256), f"its regions could not be encoded: {error}"))
    vectors = await encode_crops(library.embedder, [one for _, own in crops.values() for one in own])
    start = 0
    for sha256, (boxes, own) in crops.items():
        mine, start = vectors[start : start + len(own)], start + len(own)
        if reasons := [one for one in mine if isinstance(one, str)]:
            report.notes.append((await library.source_or_id(sha256), f"its regions could not be encoded: {reasons[0]}"))
        else:
            regions[sha256] = EncodedRegions(boxes, [one for one in mine if not isinstance(one, str)])
    return regions


async def encode_crops(embedder: Embedder, crops: Sequence[Any]) -> "list[Vectors | str]":
    """The unit vector of each crop, as `_encoder_input` made it, or the reason why it has none."""
    results: list[Any] = []
    for start in range(0, len(crops), ENCODED):
        encode = embedder.embed_prepared if isinstance(embedder, PreparingEmbedder) else embedder.embed_images
        part = crops[start : start + ENCODED]
        results += await vectors_or_reasons(one_row_each(encode, embedder.identity.spec), part)
    return [_usable(one) for one in results]


def _usable(vector: "Vectors | str") -> "Vectors | str":
    import numpy as np

    if isinstance(vector, str) or is_unit(float(np.linalg.norm(vector))):
        return vector if isinstance(vector, str) else np.asarray(vector, np.float32)
    return "the encoder gave no usable vector for one of them"


def crops_of_known(data: bytes, regions: Sequence[Region], embedder: Embedder) -> list[Any]:
    """The crops of known regions, as input of an encoder. Blocks."""
    return [_encoder_input(crop, embedder) for crop in crops_at(_decode(data), regions)]


def _cropped(data: bytes, embedder: Embedder) -> tuple[tuple[Region, ...], list[Any]]:
    regions = regions_of(_decode(data))
    return tuple(box for box, _ in regions), [_encoder_input(crop, embedder) for _, crop in regions]


def _decode(data: bytes) -> Any:
    return open_rgb(data, side=DECODED)


def _encoder_input(crop: Any, embedder: Embedder) -> Any:
    return embedder.prepare(crop) if isinstance(embedder, PreparingEmbedder) else png(crop)


async def _without_regions(library: Library, ids: Collection[str]) -> list[str]:
    """The images among `ids` that are in the library and have not been looked at, sorted."""
    columns = await library.table.read(lambda: present(library.table.lance, ("id", "region_boxes")))
    records = await library.table.records(columns, sorted(ids))
    return sorted(record["id"] for record in records if record.get("region_boxes") is None)
