"""Export of a library: a Parquet file with its vectors, or a folder of images with sidecars."""

import json
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.images.formats import FORMATS, IMAGE_SUFFIXES
from imagerag.agent.threads import cancellation, in_thread
from imagerag.agent.types import FrozenModel, Scalar
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.library.description_columns import MachineDescription
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.vector_table import sorted_ids
from imagerag.store.library.metadata_columns import KEY, KIND
from imagerag.store.library.region_columns import OTHER_REGIONS
from imagerag.store.library.schema import IMAGE_COLUMN, OTHER_VECTOR, ImageRecord
from imagerag.store.library.sources.exported_table import MARK
from imagerag.store.storage_errors import storage_errors

ROWS: Final = 256
ROWS_WITH_BYTES: Final = 32
"""Rows at a time: an image may have some megabytes."""

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
    library: Library, out: Path, *, with_bytes: bool = False, overwrite: bool = False, progress: Progress | None = None
) -> Export:
    """Write every row with its vector and its typed columns into a Parquet file, complete or not at all.

    Args:
        with_bytes: write the bytes of the images too, as the column `image`.
        overwrite: replace a file.

    Raises:
        UsageError: a file or a folder of that name is there.
        StorageError: the disk is full, or cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if out.is_dir():
        raise UsageError(f"{out} is a folder: name a Parquet file, or add `format=folder`")
    if os.path.lexists(out) and not overwrite:
        raise UsageError(f"{out} is there already: name another file, or add `overwrite=True`")
    missing: dict[str, str] = {}
    lance, total, count = library.table.lance, await library.count(), 0

    def work() -> None:
        nonlocal count
        # `labels` is only used for search; all bytes, also those of earlier versions, come from `image_bytes`.
        elsewhere = ("labels", IMAGE_COLUMN, OTHER_VECTOR, OTHER_REGIONS)
        names = [name for name in lance.schema.names if name not in elsewhere]
        schema = pa.schema([_export_field(lance.schema.field(name)) for name in names], {MARK: b"1"})
        schema = schema.append(pa.field(IMAGE_COLUMN, pa.binary())) if with_bytes else schema
        fresh, read_image = out.with_name(f".{out.name}.part"), _reader(library)
        try:
            with pq.ParquetWriter(fresh, schema, compression="zstd") as writer:
                for batch in lance.search().select(names).to_batches(ROWS_WITH_BYTES if with_bytes else ROWS):
                    table = pa.Table.from_batches([batch]).select(names)
                    if with_bytes:
                        data = pa.array(_images_of(batch, read_image, missing), pa.binary())
                        table = table.append_column(schema.field(IMAGE_COLUMN), [data])
                    writer.write_table(table.rename_columns(schema.names).cast(schema))
                    count += batch.num_rows
                    if progress:
                        progress(count, total)
            fresh.replace(out)
        finally:
            fresh.unlink(missing_ok=True)

    with storage_errors(out, "cannot write"):
        out.parent.mkdir(parents=True, exist_ok=True)
        await library.table.read(work)
    return Export(path=str(out), images=count, bytes=out.stat().st_size, missing=missing)


def _export_field(field: Any) -> Any:
    """The name of a column in an export; a column of a metadata key contains the original key."""
    info = field.metadata or {}
    return field.with_name(f"m_{info[KEY].decode()}_{info[KIND].decode()}") if KEY in info and KIND in info else field


def _reader(library: Library) -> Callable[[str, Any], bytes]:
    """Returns the bytes of an image, given its id and the records of its files: a query for each image would take
    longer than to read it. Only libraries of earlier versions, which may have the bytes in the table, are asked.

    Raises:
        BlobError: missing, changed or damaged.
    """
    table = library.table
    if IMAGE_COLUMN in table.lance.schema.names:
        return lambda digest, files: table.image_bytes(digest)
    return lambda digest, files: table.bytes_of(digest, {"files": files})


def _images_of(batch: Any, read_image: Callable[[str, Any], bytes], missing: dict[str, str]) -> Iterator[bytes | None]:
    files = batch.column("files").to_pylist() if "files" in batch.schema.names else [None] * batch.num_rows
    for digest, entries in zip(batch.column("id").to_pylist(), files, strict=True):
        try:
            yield read_image(digest, entries)
        except BlobError as error:
            missing[digest] = str(error)
            yield None


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
    ids, size, names = await library.table.read(lambda: sorted_ids(library)), 0, list[str]()
    parts = [ids[at : at + ROWS].to_pylist() for at in range(0, len(ids), ROWS)]
    with storage_errors(out, "cannot write"):
        stale = await _check_folder(library, parts, out, overwrite)
        for at, part in enumerate(parts):
            tell = partial(_tell, progress, at * ROWS, len(ids))
            sizes = await in_thread(_write_images, library, out, await library.rows(part), missing, tell)
            size += sum(sizes.values())
            names += sizes
        await in_thread(_remove_stale, out, stale, names, missing)
    return Export(path=str(out), images=len(names), bytes=size, missing=missing)


def _tell(progress: Progress | None, before: int, total: int, count: int) -> None:
    if progress:
        progress(before + count, total)


def _write_images(
    library: Library, out: Path, rows: Sequence[ImageRecord], missing: dict[str, str], tell: Callable[[int], None]
) -> dict[str, int]:
    """Write some images; returns file name → bytes. Image files that are there are not written again."""
    sizes, call, read_image = {}, cancellation(), _reader(library)
    for count, row in enumerate(rows, 1):
        if call.cancelled:
            break
        path = out / (name := file_name(row))
        try:
            if not (row.size_bytes and path.exists() and path.stat().st_size == row.size_bytes):
                write_atomically(path, read_image(row.id, [vars(file) for file in row.files]), flush=False)
        except BlobError as error:
            missing[row.id] = str(error)
        else:
            sizes[name] = path.stat().st_size + _write_sidecar(path, row)
        tell(count)
    return sizes


async def _check_folder(library: Library, parts: Sequence[Sequence[str]], out: Path, overwrite: bool) -> list[str]:
    """Check that an export may write a folder: it is new or empty, or holds a part of the same export, or an earlier
    export to overwrite. Returns the names of files that are then obsolete."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder for the export")
    there = {name for name in (os.listdir(out) if out.is_dir() else ()) if not name.startswith(".tmp-")}
    stale, changed = set(there), set[str]()
    for part in parts if there else ():
        rows = {file_name(row) + suffix: row for row in await library.rows(part) for suffix in ("", ".json")}
        changed |= {name for name in rows.keys() & there if _is_other(out / name, rows[name])}
        stale -= rows.keys()
    earlier = {name + suffix for name in stale if _is_exported(out / name) for suffix in ("", ".json")}
    if others := sorted(stale - earlier):
        raise UsageError(f"{out} holds other files ({others[0]}, …): name a new folder for the export")
    if (stale or changed) and not overwrite:
        raise UsageError(
            f"{out} holds an export that is another now ({min(stale | changed)}):\n"
            f"name a new folder, or add `overwrite=True`"
        )
    paths = {str(form(out / name)): name for name in stale for form in (os.path.abspath, os.path.realpath)}
    for part in parts if stale else ():
        linked = (file.path for row in await library.rows(part) for file in row.files)
        if linked_file := next((paths[path] for path in linked if path in paths), None):
            raise UsageError(
                f"{out} holds an earlier export, and the library links to\nan image of it ({linked_file}): "
                "name a new folder"
            )
    out.mkdir(parents=True, exist_ok=True)
    return sorted(stale)


def _remove_stale(out: Path, stale: Sequence[str], new_names: Sequence[str], missing: Collection[str]) -> None:
    """Remove what an earlier export wrote, now that the new one is there; but no image whose bytes were not to be had:
    this may be the last copy."""
    same = {
        (name + suffix).casefold(): name + suffix for name in (new_names if stale else ()) for suffix in ("", ".json")
    }
    lost = {digest[:12] for digest in missing}
    for name in stale:
        new = same.get(name.casefold())
        match = _NAME.search(name.removesuffix(".json"))
        if match and match["id"] in lost:
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


def _is_other(file: Path, row: ImageRecord) -> bool:
    """Whether a sidecar differs from its row, or an image has another size because it was edited."""
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
    suffixes = (one.suffixes[0] for one in FORMATS.values() if one.media_type == media_type and one.suffixes)
    return next(suffixes, ".img")


def _write_sidecar(image: Path, row: ImageRecord) -> int:
    """Write the sidecar of an image; returns its bytes."""
    path, sidecar = image.with_name(f"{image.name}.json"), _sidecar(row)
    write_atomically(path, sidecar, flush=False)
    return len(sidecar)
