"""Duplicates in a library: the same bytes in several files, and nearly identical images."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.threads import in_thread
from imagerag.agent.types import FrozenModel, Similarity
from imagerag.formatting.interface_terms import python_call
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.similar_pairs import compares_all, similar_pairs
from imagerag.store.library.maintenance.vector_table import vectors_of_ids
from imagerag.store.library.schema import present
from imagerag.store.library.thresholds.content import parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Keep = Literal["largest", "oldest", "first"]

RANKED_BY: Final[Mapping[Keep, Sequence[tuple[str, Literal["ascending", "descending"]]]]] = {
    "largest": (("pixels", "descending"), ("size_bytes", "descending")),
    "oldest": (("undated", "ascending"), ("dated", "ascending"), ("created", "ascending")),
    "first": (),
}
"""Which image of a group is kept: the first in this order, then by path and id."""

COLUMNS: Final = ("id", "title", "width", "height", "size_bytes", "taken", "created", "source", "files")


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
    """Duplicates in a library.

    Attributes:
        threshold: cosine from which on two images count as the same.
        measured: whether the threshold is the library's calibrated one; else it was given.
        exact: whether every image was compared with every other one. Of more than 50,000 only those that lie near each
            other are, and about 1 in 200 of the pairs right at the threshold may be missed, of more similar ones fewer;
            cosines are then right to 0.0005.
        groups: of nearly the same images, the largest group first.
        copies: images with several files; the library holds each once.
    """

    threshold: Similarity
    measured: bool
    exact: bool = True
    groups: tuple[DuplicateGroup, ...]
    copies: tuple[CopiedImage, ...]


async def find_duplicates(library: Library, *, threshold: float | None = None, keep: Keep = "largest") -> Duplicates:
    """Find the images that reach a threshold with one another.

    Up to 50,000 images every pair is compared. Above that only neighbours are compared, and about 1 in 200 of the pairs
    right at the threshold may be missed. Memory is that of the vectors (of more images, in half precision), for any
    number of pairs: an image that is not kept is not compared again.

    Args:
        threshold: cosine from which two images count as the same; None is the library's calibrated one.
        keep: the image of a group to keep: the one with the most pixels, the one taken first, or the first by path.

    Raises:
        UsageError: no threshold is given, and the library has none.
    """
    limit = library.image_threshold if threshold is None else threshold
    if limit is None:
        raise UsageError(_no_threshold(library))
    ids = await library.table.read(lambda: _ranked_ids(library, keep))
    exact = compares_all(len(ids))
    vectors = await library.table.read(lambda: vectors_of_ids(library, ids, half=not exact))
    kept_places, cosines = await in_thread(kept_images, vectors, limit)
    del vectors  # 1 GB for a million images
    groups = await _groups(library, ids, kept_places, cosines)
    copies = await _copies(library)
    return Duplicates(threshold=limit, measured=threshold is None, exact=exact, groups=groups, copies=copies)


def _no_threshold(library: Library) -> str:
    """The error for a missing threshold, with what to type."""
    if library.metadata.image_threshold is None:
        why = f"it was not measured yet: {python_call('libraries.calibrate', library.name)}"
    else:
        why = "it has too few images to measure one, or its encoder cannot tell them apart: add images"
    return f"library {library.name!r} has no threshold between images: {why}. Or give one: `threshold=0.97`"


def kept_images(vectors: Any, limit: float) -> "tuple[NDArray[np.intp], NDArray[np.float32]]":
    """For each image the position of the kept image that it resembles (its own if it is kept), and the cosine between
    both.

    Args:
        vectors: unit, as for `similar_pairs`, in the order of preference for keeping.
    """
    import numpy as np

    kept_places, similarity = np.arange(len(vectors)), np.ones(len(vectors), dtype=np.float32)
    passed = np.zeros(len(vectors), dtype=bool)
    for ones, others, cosines in similar_pairs(vectors, limit, passed=passed):
        starts = np.flatnonzero(np.diff(ones, prepend=-1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ones)], strict=True):
            if passed[ones[start]]:
                continue
            free = ~passed[others[start:end]]
            like = others[start:end][free]
            passed[like], kept_places[like], similarity[like] = True, ones[start], cosines[start:end][free]
    return kept_places, np.minimum(similarity, 1)


async def _groups(
    library: Library, ids: Any, kept_places: "NDArray[np.intp]", cosines: "NDArray[np.float32]"
) -> tuple[DuplicateGroup, ...]:
    import numpy as np

    like = np.flatnonzero(kept_places != np.arange(len(kept_places)))
    of: dict[str, list[tuple[str, float]]] = {}
    for first, one, cosine in zip(
        ids.take(kept_places[like]).to_pylist(), ids.take(like).to_pylist(), cosines[like].tolist(), strict=True
    ):
        of.setdefault(first, []).append((one, cosine))
    details = await _similar_images(library, {*of, *(one for others in of.values() for one, _ in others)})
    groups = []
    for first, members in of.items():
        members.sort(key=lambda one: (-one[1], one[0]))
        others = tuple(
            details[one].model_copy(update={"similarity": cosine}) for one, cosine in members if one in details
        )
        if others and first in details:  # else it was removed meanwhile
            groups.append(DuplicateGroup(kept=details[first], others=others))
    return tuple(sorted(groups, key=lambda group: (-len(group.others), group.kept.id)))


async def _similar_images(library: Library, ids: Collection[str]) -> dict[str, SimilarImage]:
    """Id → reported data of an image."""
    columns = present(library.table.lance, ("id", "title", "width", "height", "source", "files"))
    return {
        record["id"]: SimilarImage(
            id=record["id"], title=record["title"] or "", path=_path(record), width=record["width"],
            height=record["height"], similarity=1,
        )
        for record in await library.table.records(columns, sorted(ids))
    }  # fmt: skip


def _path(record: Mapping[str, Any]) -> str:
    """As `path_of` a row."""
    files = record.get("files")
    return str(files[0]["path"] if files else record["source"] or "")


async def _copies(library: Library) -> tuple[CopiedImage, ...]:
    """The images whose bytes are in several files, sorted."""
    ids = await library.table.read(lambda: _ids_of_several_files(library))
    records = await library.table.records(["id", "title", "files"], ids)
    return tuple(
        CopiedImage(id=one["id"], title=one["title"] or "", paths=tuple(file["path"] for file in one["files"]))
        for one in sorted(records, key=lambda one: str(one["id"]))
        if len(one["files"] or ()) > 1
    )


def _ids_of_several_files(library: Library) -> list[str]:
    """The ids of images whose bytes are in several files, sorted."""
    import pyarrow.compute as pc

    lance = library.table.lance
    if "files" not in lance.schema.names:
        return []
    id_columns = (
        part["id"].filter(pc.greater(pc.list_value_length(part["files"]), 1)) for part in parts(lance, ["id", "files"])
    )
    return sorted(sha256 for ids in id_columns for sha256 in ids.to_pylist())


def _ranked_ids(library: Library, keep: Keep) -> Any:
    """The ids of all images in the order of preference for keeping, as an Arrow array."""
    import pyarrow as pa

    lance = library.table.lance
    columns = present(lance, COLUMNS)
    keys = [rank_columns(part) for part in parts(lance, columns)]
    return ranked(pa.concat_tables(keys), keep) if keys else pa.array([], pa.string())


def ranked(keys: Any, keep: Keep) -> Any:
    """The ids of images in the order of preference for keeping.

    Args:
        keys: Arrow table that `rank_columns` made.
    """
    import pyarrow.compute as pc

    order = [*RANKED_BY[keep], ("path", "ascending"), ("id", "ascending")]
    return keys["id"].take(pc.sort_indices(keys, sort_keys=order)).combine_chunks()


def rank_columns(rows: Any) -> Any:
    """Make the ranking columns from an Arrow table with the existing columns of `COLUMNS`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    have = set(rows.column_names)
    none = pa.nulls(rows.num_rows, rows.schema.field("created").type)
    capture_times = rows["taken"] if "taken" in have else none
    size = rows["size_bytes"] if "size_bytes" in have else pa.nulls(rows.num_rows, pa.int64())
    pixels = pc.multiply(pc.cast(rows["width"], pa.int64()), pc.cast(rows["height"], pa.int64()))
    return pa.table(
        {
            "id": rows["id"],
            "pixels": pixels,
            "size_bytes": pc.fill_null(size, 0),
            "undated": pc.is_null(capture_times),
            "dated": pc.coalesce(capture_times, rows["created"]),
            "created": rows["created"],
            "path": _paths(rows),
        }
    )


def _paths(rows: Any) -> Any:
    """The path of each image, as from `_path`, without making records."""
    import pyarrow.compute as pc

    source = pc.fill_null(rows["source"], "")
    if "files" not in rows.column_names:
        return source
    first = pc.list_slice(rows["files"].combine_chunks(), 0, 1, return_fixed_size_list=True)  # null where there is none
    return pc.coalesce(pc.struct_field(first.values, "path"), source.combine_chunks())
