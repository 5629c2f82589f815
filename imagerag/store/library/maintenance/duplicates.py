"""Images that a library holds more than once: the same bytes in several files, and nearly the same image."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.threads import in_thread
from imagerag.agent.types import FrozenModel, Similarity
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.image_selection import path_of
from imagerag.store.library.maintenance.similar_pairs import similar_pairs
from imagerag.store.library.maintenance.statistics import ids_and_vectors
from imagerag.store.library.schema import ImageRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Keep = Literal["largest", "oldest", "first"]

READ: Final = 4096
"""Rows that are read at a time."""

ORDERS: Final[Mapping[Keep, Callable[[ImageRecord], tuple[object, ...]]]] = {
    "largest": lambda row: (-row.image.width * row.image.height, -row.size_bytes, path_of(row), row.id),
    "oldest": lambda row: (row.taken is None, row.taken or row.created, row.created, path_of(row), row.id),
    "first": lambda row: (path_of(row), row.id),
}
"""Which image of a group is kept: that with the least value."""


class SimilarImage(FrozenModel):
    """An image that shows what the kept one of its group shows; `similarity` is the cosine between both."""

    id: str
    title: str
    path: str
    width: int
    height: int
    similarity: Similarity


class DuplicateGroup(FrozenModel):
    """Images that show the same: the one that is kept, and the others, the most similar first.

    Each of the others reaches the threshold with the kept one itself: of a chain of similar images, the ends are not
    taken for the same.
    """

    kept: SimilarImage
    others: tuple[SimilarImage, ...]


class CopiedImage(FrozenModel):
    """An image whose bytes are in several files."""

    id: str
    title: str
    paths: tuple[str, ...]


class Duplicates(FrozenModel):
    """What a library holds more than once.

    Attributes:
        threshold: cosine from which on two images count as the same.
        measured: whether the threshold is the library's calibrated one; else it was given.
        groups: of nearly the same images, the largest group first.
        copies: images with several files; the library holds each once.
    """

    threshold: Similarity
    measured: bool
    groups: tuple[DuplicateGroup, ...]
    copies: tuple[CopiedImage, ...]


async def find_duplicates(library: Library, *, threshold: float | None = None, keep: Keep = "largest") -> Duplicates:
    """Find the images that reach a threshold with one another, as comparing every pair does.

    Args:
        threshold: cosine from which on two images count as the same; None is the library's calibrated one.
        keep: which image of a group is kept: the one with the most pixels, the one taken first, or the first by path.

    Raises:
        UsageError: no threshold is given, and the library has none.
    """
    limit = library.image_threshold if threshold is None else threshold
    if limit is None:
        raise UsageError(_no_threshold(library))
    ids, vectors = await library.table.read(lambda: ids_and_vectors(library))
    near = await in_thread(_neighbours, vectors, limit)
    several = await library.table.read(lambda: _ids_of_several_files(library))
    # Of a large library only those rows become objects that are told of.
    rows = {row.id: row for row in await _rows(library, {*several, *(ids[place] for place in near)})}
    ranked = sorted((n for n in near if ids[n] in rows), key=lambda n: ORDERS[keep](rows[ids[n]]))
    groups = _grouped(ids, rows, ranked, near)
    copies = [
        CopiedImage(id=row.id, title=row.title, paths=tuple(file.path for file in row.files))
        for row in (rows[one] for one in several if one in rows)
        if len(row.files) > 1
    ]
    return Duplicates(threshold=limit, measured=threshold is None, groups=tuple(groups), copies=tuple(copies))


def _no_threshold(library: Library) -> str:
    """Why nobody has said from when on images are the same, and what to type."""
    if library.metadata.image_threshold is None:
        why = f"it was not measured yet: imagerag library calibrate {library.name}"
    else:
        why = "it has too few images to measure one, or its encoder cannot tell them apart"
    return f"library {library.name!r} has no threshold between images: {why}. Or give one: --threshold 0.97"


async def _rows(library: Library, ids: Collection[str]) -> list[ImageRecord]:
    """Rows by their ids, some thousands at a time."""
    ordered = sorted(ids)
    parts = [await library.rows(ordered[at : at + READ]) for at in range(0, len(ordered), READ)]
    return [row for part in parts for row in part]


def _ids_of_several_files(library: Library) -> list[str]:
    """The ids of images whose bytes are in several files, sorted."""
    import pyarrow.compute as pc

    lance = library.table.lance
    if "files" not in lance.schema.names:
        return []
    batches = lance.search().select(["id", "files"]).to_batches(READ)
    found = [batch["id"].filter(pc.greater(pc.list_value_length(batch["files"]), 1)).to_pylist() for batch in batches]
    return sorted(sha256 for part in found for sha256 in part)


def _neighbours(vectors: "NDArray[np.float32]", limit: float) -> dict[int, dict[int, float]]:
    """Of each row that has such, the other rows that reach the limit with it."""
    near: dict[int, dict[int, float]] = defaultdict(dict)
    for ones, others, cosines in similar_pairs(vectors, limit):
        for one, other, cosine in zip(ones.tolist(), others.tolist(), cosines.tolist(), strict=True):
            near[one][other] = near[other][one] = min(1.0, cosine)
    return near


def _grouped(
    ids: Sequence[str], rows: Mapping[str, ImageRecord], ranked: Sequence[int], near: Mapping[int, Mapping[int, float]]
) -> list[DuplicateGroup]:
    taken: set[int] = set()
    groups = []
    for kept in ranked:
        if kept in taken:
            continue
        others = [n for n in near.get(kept, {}) if n not in taken and ids[n] in rows]
        taken |= {kept, *others}
        if others:
            similar = sorted(others, key=lambda n: (-near[kept][n], ids[n]))
            groups.append(
                DuplicateGroup(
                    kept=_similar(rows[ids[kept]], 1.0),
                    others=tuple(_similar(rows[ids[n]], near[kept][n]) for n in similar),
                )
            )
    return sorted(groups, key=lambda group: (-len(group.others), group.kept.id))


def _similar(row: ImageRecord, similarity: float) -> SimilarImage:
    return SimilarImage(
        id=row.id, title=row.title, path=path_of(row), width=row.image.width, height=row.image.height,
        similarity=similarity,
    )  # fmt: skip
