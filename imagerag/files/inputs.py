"""Conversion of what callers hand in: options to settings of a run, files to images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from imagerag.agent.errors import ImageTooLargeError, UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.regular_files import TooLongError, read_regular
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef, RunConfig, Size, parse_size
from imagerag.formatting.messages import invalid

if TYPE_CHECKING:
    from imagerag.agent.ports import BlobStore

Image = str | Path | bytes


def make_run_config(**values: Any) -> RunConfig:
    """RunConfig from plain values.

    Raises:
        UsageError: a value out of its range; one line that names it.
    """
    try:
        return RunConfig(**values)
    except ValidationError as error:
        raise UsageError(invalid(error)) from error


def make_size(size: str | Sequence[int] | Size | None) -> Size | None:
    """A size from "WxH", a pair of pixels, or words ("16:9@2K").

    Raises:
        UsageError: not a size; the message says how to write one.
    """
    try:
        return parse_size(size)
    except ValueError as error:
        raise UsageError(str(error)) from error


def read_image(image: Image) -> bytes:
    """Image bytes from bytes or a file.

    Raises:
        UsageError: no such file, no file at all (a pipe, say), or one over 64 MB.
    """
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str | Path):
        raise UsageError(f"an image is a file's path, or its bytes; not {type(image).__name__}")
    try:
        return read_regular(Path(image).expanduser(), longest=MAX_BYTES)
    except OSError as error:
        kind = ImageTooLargeError if isinstance(error, TooLongError) else UsageError
        raise kind(f"cannot read the image {str(image)!r}: {error.strerror or error}") from error


@contextmanager
def naming(image: Image) -> Iterator[None]:
    """Say of which file it is that what is said inside is wrong."""
    try:
        yield
    except UsageError as error:
        if isinstance(image, bytes):
            raise
        raise UsageError(f"{image}: {error}") from error


async def keep_image(blobs: "BlobStore", image: Image) -> ImageRef:
    """Keep an image that the user gave.

    Raises:
        UsageError: no such file, or not an image that can be read; the message names the file.
    """
    data = await in_thread(read_image, image)
    with naming(image):
        return await blobs.put(data)


def named_images(images: "Sequence[Image | tuple[str, Image]]") -> list[tuple[str, Image]]:
    """(name, image) of each; those without a name have an empty one.

    Raises:
        UsageError: one image instead of a list.
    """
    if not isinstance(images, list | tuple):
        raise UsageError(f"images of yours are a list, also if there is only one; not {type(images).__name__}")
    return [item if isinstance(item, tuple) else ("", item) for item in images]
