"""Content of a library for calibration: captions as Arrow columns, and vectors part by part.

A library of a million rows is never converted to Python objects at once: the hash is computed from Arrow's bytes, and
vectors are read, used and dropped some thousands at a time.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from imagerag.agent.ports.embedder import UNIT
from imagerag.store.library.region_columns import RegionPart, images_with_regions, regions_beside
from imagerag.store.library.schema import VECTOR, ImageRecord, array_of, id_filter, present

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Places = NDArray[np.intp]
    Vectors = NDArray[np.float32]

COLUMNS: Final = ("id", "title", "caption")
"""What thresholds are measured on, beside the encoder."""

LANGUAGE: Final = "language"
"""Its tag of each caption, which libraries of earlier versions lack."""

PART: Final = 10_000
"""Rows read at a time. LanceDB's own stream of batches reads half a gigabyte ahead."""

BLOCK: Final = 4096
"""Rows that are compared with texts at a time."""

PART_WITH_REGIONS: Final = 1_000
"""Rows read at a time with the vectors of their regions: an image has up to 13."""


class VectorScan(Protocol):
    """Receives the vectors of a library, part by part."""

    def add(self, places: "Places", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Add rows: their positions in the library sorted by id, their unit vectors, and those of their regions."""
        ...


class ScansTogether:
    """Several scans that share one read."""

    def __init__(self, *scans: VectorScan) -> None:
        self.scans: tuple[Any, ...] = scans

    def add(self, places: "Places", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Take in some rows."""
        for scan in self.scans:
            scan.add(places, vectors, regions)


S = TypeVar("S", bound=VectorScan)


@dataclass(frozen=True)
class LibraryContent:
    """The content of a library at one time, sorted by id.

    Attributes:
        columns: Arrow table of `COLUMNS`, and of `LANGUAGE` where it has that.
        vectors: returns the vectors at some positions, float32 [positions, dimension].
        scan: passes every vector to a new scan; it starts again with another new scan when the read has to be repeated.
        with_regions: number of images whose regions are encoded.
    """

    columns: Any
    vectors: Callable[["Places"], Awaitable["Vectors"]]
    scan: Callable[[Callable[[], Any]], Awaitable[Any]]
    with_regions: int = 0

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def ids(self, places: "Places") -> list[str]:
        """The ids at some positions."""
        ids: list[str] = self.columns["id"].take(places).to_pylist()
        return ids

    @classmethod
    def of(cls, rows: Sequence[ImageRecord], vectors: "Vectors") -> "LibraryContent":
        """Make the content from rows in memory, sorted by id, and their unit vectors, float32 [rows, dimension]."""
        import pyarrow as pa

        columns = {name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in COLUMNS}
        return cls.in_memory(pa.table(columns), vectors)

    @classmethod
    def of_texts(cls, captions: Sequence[str], vectors: "Vectors") -> "LibraryContent":
        """Make the content from captions alone and their unit vectors, float32 [captions, dimension]."""
        import pyarrow as pa

        ids = [f"{at:09}" for at in range(len(captions))]
        return cls.in_memory(pa.table({"id": ids, "title": [""] * len(ids), "caption": list(captions)}), vectors)

    @classmethod
    def in_memory(cls, columns: Any, vectors: "Vectors", regions: Any | None = None) -> "LibraryContent":
        """Make the content from `COLUMNS` sorted by id, and the unit vectors of their rows, float32 [rows, dimension].

        Args:
            regions: Arrow column of the vectors of each row's regions, where the library has them.
        """
        import numpy as np

        async def vectors_at(places: "Places") -> "Vectors":
            return vectors[places]

        async def scan(begin: Callable[[], S]) -> S:
            result = begin()
            for start in range(0, len(vectors), BLOCK):
                part = vectors[start : start + BLOCK]
                own = RegionPart.of(regions.slice(start, BLOCK)) if regions is not None else None
                result.add(np.arange(start, start + len(part)), part, own)
            return result

        return cls(columns, vectors_at, scan)


def read_whole(table: Any, vector: str = VECTOR, where: str | None = None) -> LibraryContent | None:
    """Read the content of a small LanceDB table in one query; None where it is larger than one part.

    Args:
        vector: the column of the vectors.
        where: what must hold of the rows, in SQL; None is all.
    """
    regions = regions_beside(table, vector)
    if table.count_rows() > (PART_WITH_REGIONS if regions else PART):
        return None
    columns = read_columns(table, vector, *regions, *present(table, (LANGUAGE,)), where=where)
    return LibraryContent.in_memory(
        columns.drop_columns([vector, *regions]), array_of(columns[vector]), columns[regions[0]] if regions else None
    )


def read_columns(table: Any, *more: str, where: str | None = None) -> Any:
    """Read `COLUMNS` and further columns of a LanceDB table, sorted by id; missing texts in `COLUMNS` are "".

    Args:
        where: what must hold of the rows, in SQL; None is all.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    query = table.search().select([*COLUMNS, *more])
    rows = (query if where is None else query.where(where)).to_arrow()
    texts = {name: pc.fill_null(rows[name], "") for name in COLUMNS}
    rows = pa.table(texts | {name: rows[name] for name in more})
    return rows.take(pc.sort_indices(rows["id"])).combine_chunks()


def captioned(columns: Any) -> Any:
    """The rows with a caption. The first ones by id are a fair sample, because ids are hashes."""
    import pyarrow.compute as pc

    return columns.filter(pc.greater(pc.binary_length(columns["caption"]), 0))


def content_of(table: Any) -> str:
    """SHA-256 of the current content of a library, to compare with the content of its calibration."""
    return content_hash(read_columns(table), images_with_regions(table))


def content_hash(columns: Any, with_regions: int = 0) -> str:
    """SHA-256 of a library's content: the id, title and caption of each image, sorted by id.

    Args:
        with_regions: how many images have regions, which thresholds depend on; noted behind the hash. The words tell
            thresholds of earlier versions, which compared regions otherwise: they are measured again.
    """
    return _hash(columns, COLUMNS) + (f"+{with_regions} compared apart" if with_regions else "")


def images_hash(columns: Any) -> str:
    """SHA-256 of the ids of a library's images, sorted."""
    return _hash(columns, COLUMNS[:1])


def _hash(columns: Any, names: Sequence[str]) -> str:
    """Hash the bytes of all values, and their lengths, so that different splits of the same bytes differ."""
    import pyarrow.compute as pc

    hashed = sha256()
    for start in range(0, columns.num_rows, PART):
        for name in names:
            part = pc.cast(columns[name].slice(start, PART), "binary")
            hashed.update(pc.cast(pc.binary_length(part), "int32").to_numpy().tobytes())
            for chunk in part.chunks:
                hashed.update(pc.binary_join(_as_list(chunk), b"")[0].as_buffer())
    return hashed.hexdigest()


def _as_list(chunk: Any) -> Any:
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk)


def scan_table(
    table: Any, ids: Any, scan: VectorScan, vector: str = VECTOR, *, regions: bool = False, size: int | None = None
) -> None:
    """Pass the vectors of a LanceDB table to a scan.

    Args:
        ids: sorted Arrow array; rows with other ids are newer and skipped, as are rows without a vector.
        vector: the column of the vectors.
        regions: pass those of the regions, too.
        size: rows that are read at a time; None is the usual number.
    """
    import numpy as np
    import pyarrow.compute as pc

    sorted_ids, beside = _bytes(ids), regions_beside(table, vector) if regions else []
    for columns in parts(table, ["id", vector, *beside], PART_WITH_REGIONS if beside else size):
        if columns[vector].null_count:
            columns = columns.filter(pc.is_valid(columns[vector])).combine_chunks()
        for batch in columns.to_batches(BLOCK):
            own = _bytes(batch["id"])
            places = np.minimum(np.searchsorted(sorted_ids, own), len(sorted_ids) - 1)
            vectors = batch[vector].flatten().to_numpy(zero_copy_only=False).reshape(len(own), -1)
            part = RegionPart.of(batch[beside[0]]) if beside else None
            if not (there := sorted_ids[places] == own).all():
                places, vectors, part = places[there], vectors[there], part.only(there) if part else None
            if len(places):
                scan.add(places, np.asarray(vectors, dtype=np.float32), *([part] if beside else []))


def vectors_of(table: Any, ids: Sequence[str], vector: str = VECTOR) -> "Vectors":
    """The vectors of some rows of a LanceDB table; zeros for rows that no longer exist."""
    import numpy as np

    columns = table.search().select(["id", vector]).where(id_filter("id", ids)).to_arrow()
    vectors = array_of(columns[vector])
    places = {sha256: at for at, sha256 in enumerate(columns["id"].to_pylist())}
    none = np.zeros(vectors.shape[1], dtype=np.float32)
    return np.stack([vectors[places[one]] if one in places else none for one in ids])


def is_unit(norm: float) -> bool:
    """Whether a norm is 1 within the precision of 32-bit floats."""
    return bool(abs(norm - 1) < UNIT)  # false for NaN


def parts(table: Any, columns: Sequence[str], size: int | None = None) -> Iterator[Any]:
    """Columns of all rows as Arrow tables, some thousands of rows at a time."""
    size = PART if size is None else size
    start, more = 0, True
    while more:
        part = table.search().select([*columns]).offset(start).limit(size).to_arrow()
        if part.num_rows:
            yield part
        start, more = start + part.num_rows, part.num_rows >= size


def _bytes(ids: Any) -> "NDArray[np.bytes_]":
    """Arrow ids as a numpy array, without Python objects if all have one length (hashes)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    width = pc.max(pc.binary_length(ids)).as_py() or 1
    if pc.min(pc.binary_length(ids)).as_py() != width:
        return np.asarray(ids.to_numpy(zero_copy_only=False), dtype=np.bytes_)
    fixed = pa.concat_arrays([pc.cast(pc.cast(part, "binary"), pa.binary(width)) for part in _chunks(ids)])
    return np.frombuffer(fixed.buffers()[1], dtype=f"S{width}", count=len(fixed), offset=fixed.offset * width)


def _chunks(column: Any) -> Sequence[Any]:
    chunks: Sequence[Any] = getattr(column, "chunks", [column])
    return chunks
