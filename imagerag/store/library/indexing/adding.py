"""Add single image files to a library, with metadata from the caller."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from imagerag.agent.errors import UsageError
from imagerag.agent.threads import in_thread
from imagerag.formatting.interface_terms import FILE, python_call
from imagerag.store.images.image_info import inspect
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.changes import ImageChanges, change_images
from imagerag.store.library.maintenance.removal import allow_again, settle
from imagerag.store.library.schema import ImageRecord


class AddedImages(list[ImageRecord]):
    """What a library knows of the images of added files.

    Attributes:
        new: how many of them it did not hold before.
    """

    def __init__(self, rows: Iterable[ImageRecord], new: int) -> None:
        super().__init__(rows)
        self.new = new


async def add_files(
    library: Library, files: Sequence[Path], changes: ImageChanges, *, copy: bool = False
) -> AddedImages:
    """Index image files and write their metadata; files whose images were removed before are taken back.

    Args:
        copy: store the bytes in the library, also for images that it holds already.

    Raises:
        UsageError: no file is given, or one is not a readable image; nothing is added then.
        BackendError: the encoder failed.
    """
    from imagerag.store.library.indexing.caption_encoding import encode_new_captions
    from imagerag.store.library.indexing.ingest import index

    if not files:
        raise UsageError(f"say which files: {python_call('libraries.add', FILE, library=library.name)}")
    if folders := [file for file in files if file.is_dir()]:
        call = python_call("libraries.index", str(folders[0]), library=library.name)
        raise UsageError(f"{folders[0]} is a folder, whose images are added by {call}")
    ids = [await in_thread(_id_of, file) for file in files]
    await allow_again(library, ids)
    report = await index(files, library, copy=copy, settled=False)
    distinct = sorted(set(ids))
    different = 0 if changes.is_empty else len(await change_images(library, distinct, changes))
    await encode_new_captions(library, report)
    await settle(library, changed=report.rows_changed + different)
    return AddedImages(await library.rows(distinct), report.added + report.changed)


def _id_of(file: Path) -> str:
    """The id of an image file.

    Raises:
        UsageError: the file cannot be read.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    try:
        data = file.read_bytes()
        inspect(data)
    except (OSError, UsageError) as error:
        raise UsageError(f"{file} is no image that can be read: {getattr(error, 'strerror', None) or error}") from error
    return sha256(data).hexdigest()
