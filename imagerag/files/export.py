"""The result as files: the image, and beside it `NAME.json`, which says where everything in it came from."""

import asyncio
import errno
import json
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import decode
from imagerag.agent.images.encoding import encode
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RunRecord
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef
from imagerag.files.sidecar import Sidecar, is_sidecar, schema_of, sidecar_path
from imagerag.store.images.blob_store import FileBlobStore, atomic_file, write_atomically
from imagerag.store.storage_errors import storage_error


async def export(record: RunRecord, blobs: FileBlobStore, out: Path, *, overwrite: bool = True) -> RunRecord:
    """Write a run's best image to `out` and its sidecar beside it.

    Args:
        record: a run; without an image nothing is written.
        out: the file; a suffix that fits is added when there is none. Where its suffix is of another format than the
            image, the image is converted to it.
        overwrite: whether files that are there, and that we did not write, are written over.

    Returns:
        The record, its image's path now `out`.

    Raises:
        UsageError: the file cannot be written, or no image has its suffix; or it is there, and may not be lost.
    """
    if record.image is None:
        return record
    path = export_path(record.image, out)
    media_type_of(path)
    if not overwrite:
        await asyncio.to_thread(check_ours, path)
    for file, data in (await exported(record, record.image, blobs, path)).items():
        await write_file(file, data)
    return record.model_copy(update={"image": record.image.model_copy(update={"path": str(path)})})


def export_path(image: ImageRef, out: Path) -> Path:
    """The file that an image is written to: `out`, with a suffix that fits where it has none."""
    return out if out.suffix else out.with_name(out.name + RESULT_SUFFIXES.get(image.media_type, ".png"))


async def exported(record: RunRecord, image: ImageRef, blobs: FileBlobStore, path: Path) -> dict[Path, bytes]:
    """The image of a run as the file `path`, and its sidecar: what is to be written where.

    Raises:
        UsageError: no image has its suffix.
    """
    media_type, data = media_type_of(path), await blobs.get(image.sha256)
    if media_type != image.media_type:
        data = await in_thread(lambda: encode(decode(data).image, media_type))
    return {path: data, sidecar_path(path): json.dumps(Sidecar.of(record).as_json(), indent=2).encode()}


def media_type_of(file: Path) -> str:
    """The media type of an image file by its name.

    Raises:
        UsageError: no image's file is named so.
    """
    ending = file.suffix.lower().replace("jpeg", "jpg")
    for media_type, suffix in RESULT_SUFFIXES.items():
        if suffix == ending:
            return media_type
    raise UsageError(f"{file}: an image's file ends in .png, .jpg, .webp or .gif")


def is_record(file: Path) -> bool:
    """Whether a file is a run's record that imagerag wrote, and may overwrite."""
    return schema_of(file) == "imagerag.run/1"


def check_ours(file: Path) -> None:
    """Check that nobody's image or document is lost when a run's image is written to this file.

    Raises:
        UsageError: the file, or what would be its sidecar, is there, and is not what we wrote there before.
    """
    beside = sidecar_path(file)
    ours = is_sidecar(beside)
    for one in (file, beside):
        if one.exists() and not ours:
            raise UsageError(f"{one} is there already, and not ours: name another file, or say overwrite=True")


async def write_file(file: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        StorageError: the disk is full or read-only.
        UsageError: it cannot be written for another reason.
    """
    with _write_errors(file):
        await asyncio.to_thread(write_atomically, file, data)


async def write_stream(file: Path, chunks: AsyncIterable[bytes]) -> None:
    """Write a file chunk by chunk, whole or not at all.

    Raises:
        StorageError, UsageError: as `write_file`.
    """
    with _write_errors(file), atomic_file(file) as out:
        async for chunk in chunks:
            await asyncio.to_thread(out.write, chunk)


@contextmanager
def _write_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM) and (
            known_error := storage_error(error, file, "cannot write")
        ):
            raise known_error from error
        raise UsageError(f"cannot write {file}: {error.strerror or error}") from error
