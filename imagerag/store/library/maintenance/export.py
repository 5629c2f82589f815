"""Export of a library: a Parquet file with its vectors, or a folder of images with sidecars."""

import json
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.images.formats import FORMATS, IMAGE_SUFFIXES
from imagerag.agent.threads import in_thread
from imagerag.agent.types import FrozenModel, Scalar
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.library.description_columns import MachineDescription
from imagerag.store.library.library import Library
from imagerag.store.library.metadata_columns import KEY, KIND
from imagerag.store.library.region_columns import OTHER_REGIONS
from imagerag.store.library.schema import IMAGE_COLUMN, OTHER_VECTOR, ImageRecord
from imagerag.store.library.sources.exported_table import MARK
from imagerag.store.storage_errors import storage_errors

ROWS: Final = 256
_NAME: Final = re.compile(r"(?:^|-)(?P<id>[0-9a-f]{12})\.\w+$")
Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


class ImageSidecar(FrozenModel):
    """Sidecar of an exported image: all metadata, empty fields too."""

    model_config = ConfigDict(populate_by_name=True, json_schema_serialization_defaults_required=True)

    schema_name: Literal["imagerag.image/1"] = Field(default="imagerag.image/1", alias="schema")
    title: str
    caption: str
    source: str
    author: str
    licence: str
    camera: str
    lens: str
    place: str
    language: str
    taken: datetime | None
    latitude: float | None
    longitude: float | None
    ocr: str
    ocr_confidence: float | None
    machine_description: MachineDescription | None
    tags: tuple[str, ...]
    metadata: dict[str, Scalar]

    @classmethod
    def of(cls, row: ImageRecord) -> "ImageSidecar":
        """The sidecar of an image."""
        names = cls.model_fields.keys() - {"schema_name", "metadata", "machine_description"}
        texts = {name: getattr(row, name) for name in names}
        return cls(metadata=dict(row.metadata), machine_description=MachineDescription.of(row), **texts)


class Export(FrozenModel):
    """Result of an export.

    Attributes:
        path: the file or the folder.
        images: how many were written.
        bytes: of the whole export.
        missing: ids of images whose bytes could not be had → why; in Parquet they have a row without bytes.
    """

    path: str
    images: int
    bytes: int
    missing: dict[str, str]


async def export_parquet(
    library: Library, out: Path, *, with_bytes: bool = False, progress: Progress | None = None
) -> Export:
    """Write every row with its vector and its typed columns into a Parquet file, complete or not at all.

    Args:
        with_bytes: write the bytes of the images too, as the column `image`.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    missing: dict[str, str] = {}
    lance, total, done = library.table.lance, await library.count(), 0

    def work() -> None:
        nonlocal done
        # `labels` is only used for search; all bytes, also those of earlier versions, come from `image_bytes`.
        elsewhere = ("labels", IMAGE_COLUMN, OTHER_VECTOR, OTHER_REGIONS)
        names = [name for name in lance.schema.names if name not in elsewhere]
        schema = pa.schema([_named(lance.schema.field(name)) for name in names], {MARK: b"1"})
        schema = schema.append(pa.field(IMAGE_COLUMN, pa.binary())) if with_bytes else schema
        fresh = out.with_name(f".{out.name}.part")
        try:
            with pq.ParquetWriter(fresh, schema, compression="zstd") as writer:
                for batch in lance.search().select(names).to_batches(ROWS):
                    table = pa.Table.from_batches([batch]).select(names)
                    if with_bytes:
                        data = [_bytes(library, one, missing) for one in batch.column("id").to_pylist()]
                        table = table.append_column(schema.field(IMAGE_COLUMN), [pa.array(data, pa.binary())])
                    writer.write_table(table.rename_columns(schema.names).cast(schema))
                    done += batch.num_rows
                    if progress:
                        progress(done, total)
            fresh.replace(out)
        finally:
            fresh.unlink(missing_ok=True)

    with storage_errors(out, "cannot write"):
        out.parent.mkdir(parents=True, exist_ok=True)
        await library.table.read(work)
    return Export(path=str(out), images=done, bytes=out.stat().st_size, missing=missing)


def _named(field: Any) -> Any:
    """The name of a column in an export; a column of a metadata key contains the original key."""
    info = field.metadata or {}
    return field.with_name(f"m_{info[KEY].decode()}_{info[KIND].decode()}") if KEY in info and KIND in info else field


def _bytes(library: Library, digest: str, missing: dict[str, str]) -> bytes | None:
    try:
        return library.table.image_bytes(digest)
    except BlobError as error:
        missing[digest] = str(error)
        return None


async def export_folder(
    library: Library, out: Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Export:
    """Write every image with a sidecar into a folder, from which `index` makes the same rows.

    If it is stopped, the same export writes the missing files.

    Args:
        overwrite: replace an earlier export.

    Raises:
        UsageError: the folder holds other files, those of an earlier export, or such as the library links to.
        StorageError: the disk is full, or cannot be written.
    """
    missing: dict[str, str] = {}
    rows, size, written = await library.rows(), 0, 0
    names = {row.id: file_name(row) for row in rows}
    with storage_errors(out, "cannot write"):
        stale = await in_thread(_check_folder, out, {names[row.id]: row for row in rows}, overwrite)
        for done, row in enumerate(rows, 1):
            data = await in_thread(_bytes, library, row.id, missing)
            if data is not None:
                size += await in_thread(_write, out / names[row.id], data, row)
                written += 1
            if progress:
                progress(done, len(rows))
        await in_thread(_remove_stale, out, stale, [names[row.id] for row in rows], missing)
    return Export(path=str(out), images=written, bytes=size, missing=missing)


def _check_folder(out: Path, rows: Mapping[str, ImageRecord], overwrite: bool) -> list[str]:
    """Check that an export may write a folder: it is new or empty, or holds a part of the same export, or an earlier
    export to overwrite. Returns the names of files that are then obsolete."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder for the export")
    there = sorted(name for name in (os.listdir(out) if out.is_dir() else ()) if not name.startswith(".tmp-"))
    ours = {name + suffix for name in rows for suffix in ("", ".json")}
    earlier = {name + suffix for name in there if _is_exported(out / name) for suffix in ("", ".json")}
    if others := [name for name in there if name not in ours | earlier]:
        raise UsageError(f"{out} holds other files ({others[0]}, …): name a new folder for the export")
    stale = [name for name in there if name not in ours or _is_other(out / name, rows.get(name.removesuffix(".json")))]
    if stale and not overwrite:
        raise UsageError(
            f"{out} holds an export that is another now ({stale[0]}):\nname a new folder, or add `overwrite=True`"
        )
    stale = [name for name in stale if name not in ours]
    linked = {file.path for row in rows.values() for file in row.files} if stale else set()
    if kept := [name for name in stale if linked & {form(out / name) for form in (os.path.abspath, os.path.realpath)}]:
        raise UsageError(
            f"{out} holds an earlier export, and the library links to\nan image of it ({kept[0]}): name a new folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    return stale


def _remove_stale(out: Path, stale: Sequence[str], written: Sequence[str], missing: Collection[str]) -> None:
    """Remove what an earlier export wrote, now that the new one is there; but no image whose bytes were not to be had:
    this may be the last copy."""
    same = {(name + suffix).casefold(): name + suffix for name in written for suffix in ("", ".json")}
    lost = {digest[:12] for digest in missing}
    for name in stale:
        new = same.get(name.casefold())
        found = _NAME.search(name.removesuffix(".json"))
        if found and found["id"] in lost:
            continue
        if new is None or not (out / name).samefile(out / new):  # where a disk tells no upper from lower case
            (out / name).unlink()


def _is_exported(image: Path) -> bool:
    """Whether an export wrote a file, judged by its name and its sidecar."""
    if not _NAME.search(image.name):
        return False
    try:
        sidecar = json.loads(image.with_name(f"{image.name}.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(sidecar, dict) and sidecar.get("schema") == "imagerag.image/1"


def _is_other(file: Path, row: ImageRecord | None) -> bool:
    """Whether a sidecar differs from its row, or an image has another size because it was edited."""
    if row is None:
        return False
    if file.suffix == ".json":
        return file.read_bytes() != _sidecar(row)
    return bool(row.size_bytes) and file.stat().st_size != row.size_bytes


def _sidecar(row: ImageRecord) -> bytes:
    return ImageSidecar.of(row).model_dump_json(by_alias=True, indent=1).encode()


def file_name(row: ImageRecord) -> str:
    """The file name of an image: its title, restricted to valid characters, and the first digits of its id."""
    letters = "".join(one for one in unicodedata.normalize("NFKD", row.title) if not unicodedata.combining(one))
    title = re.sub(r"[^\w.-]+", "-", letters, flags=re.ASCII).strip("-.")[:60]
    own = next((path.suffix for file in row.files if (path := Path(file.path)).suffix.lower() in IMAGE_SUFFIXES), "")
    return f"{title}-{row.id[:12]}".lstrip("-") + (own or _suffix(row.image.media_type))


def _suffix(media_type: str) -> str:
    found = (one.suffixes[0] for one in FORMATS.values() if one.media_type == media_type and one.suffixes)
    return next(found, ".img")


def _write(path: Path, data: bytes, row: ImageRecord) -> int:
    sidecar = _sidecar(row)
    if not (path.exists() and path.stat().st_size == len(data)):
        write_atomically(path, data)
    write_atomically(path.with_name(path.name + ".json"), sidecar)
    return len(data) + len(sidecar)
