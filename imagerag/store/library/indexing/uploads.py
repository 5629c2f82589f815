"""Put images into a library by their bytes, which it keeps: what is dropped into a page has no path to link to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from imagerag.agent.threads import in_thread
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.removal import allow_again, settle
from imagerag.store.library.metadata.metadata_values import MAX_CAPTION
from imagerag.store.library.schema import FileEntry, ImageRecord
from imagerag.store.text_files import clean

NAME: Final = 200
"""Characters of a name that are kept."""


@dataclass(frozen=True, kw_only=True)
class UploadedImage:
    """An image, as it was sent.

    Attributes:
        data: bytes of an image file.
        name: what its file is called where it came from; its stem is the title, unless the image has one.
        caption: what a person sees in it.
    """

    data: bytes = field(repr=False)
    name: str = ""
    caption: str = ""


@dataclass
class Uploads:
    """The result.

    Attributes:
        records: what the library knows of the images now, by id.
        new: how many of them it did not hold before.
        skipped: (name, reason) of those that could not be taken.
    """

    records: list[ImageRecord] = field(default_factory=list)
    new: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


async def add_uploads(
    library: Library,
    images: Sequence[UploadedImage],
    *,
    settled: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Uploads:
    """Index images from a folder that is there for so long, and keep their bytes and none of its paths.

    Args:
        settled: False leaves indexes and threshold to the caller.

    Raises:
        BackendError: the encoder failed.
        StorageError: the disk is full, or cannot be written.
    """
    too_long = [(image.name, reason) for image in images if (reason := _too_long(image))]
    fitting = [image for image in images if not _too_long(image)]
    uploads, changed = await _index(library, fitting, progress) if fitting else (Uploads(), 0)
    uploads.skipped += too_long
    if settled:
        await settle(library, changed=changed)
    return uploads


def _too_long(image: UploadedImage) -> str:
    """The reason why an image is not taken; empty where its caption is short enough."""
    number = len(image.caption)
    return (
        f"its caption has {number:,} characters, and at most {MAX_CAPTION:,} are kept" if number > MAX_CAPTION else ""
    )


async def _index(
    library: Library, images: Sequence[UploadedImage], progress: Callable[[int, int], None] | None
) -> tuple[Uploads, int]:
    """The result, and the number of rows that were written."""
    from imagerag.store.library.indexing.caption_encoding import encode_new_captions
    from imagerag.store.library.indexing.ingest import index

    with TemporaryDirectory(prefix="imagerag-") as folder:
        files = await in_thread(_write, Path(folder).resolve(), images)
        by_id = await in_thread(_by_id, files)
        await allow_again(library, by_id)
        report = await index(list(files), library, copy=True, settled=False, progress=progress)
        await _without_paths(library, await library.rows([*by_id]), by_id)
    await encode_new_captions(library, report)
    named = {str(path): image.name or path.name for path, image in files.items()}
    skipped = [(named.get(path, path), reason) for path, reason in report.skipped]
    return Uploads(await library.rows([*by_id]), report.added, skipped), report.rows_changed


def _write(folder: Path, images: Sequence[UploadedImage]) -> dict[Path, UploadedImage]:
    """The images as files, numbered: a name of somebody else's is no name of a file here."""
    from imagerag.agent.images.formats import IMAGE_SUFFIXES

    files = {}
    for at, image in enumerate(images):
        suffix = Path(image.name).suffix.lower()
        path = folder / f"{at}{suffix if suffix in IMAGE_SUFFIXES else '.png'}"
        path.write_bytes(image.data)
        files[path] = image
    return files


def _by_id(files: Mapping[Path, UploadedImage]) -> dict[str, tuple[Path, UploadedImage]]:
    return {sha256(image.data).hexdigest(): (path, image) for path, image in files.items()}


async def _without_paths(
    library: Library, rows: Sequence[ImageRecord], images: Mapping[str, tuple[Path, UploadedImage]]
) -> None:
    """Take the paths of the files out of the rows, and write names and captions into them."""
    files: dict[str, Sequence[FileEntry]] = {}
    changed: list[ImageRecord] = []
    for row in rows:
        path, image = images[row.id]
        files[row.id] = [one for one in row.files if Path(one.path).parent != path.parent]
        is_new = Path(row.source).parent == path.parent
        title = clean(Path(image.name).stem)[:NAME] if is_new and row.title == Path(row.source).stem else row.title
        now = replace(
            row, title=title, caption=clean(image.caption) or row.caption, source="" if is_new else row.source
        )
        changed += [now] if now != row else []
    async with library.files_lock():
        await library.update_files(files)
    await library.update(changed)
