"""The one decoder of image files: whatever looks at pixels gets them from here.

It is in this layer because `tools` (encoder, judges, generators) and `store` (thumbnails, blobs, masks) both need it
and may not import each other; Pillow is imported when the first image is decoded. What a file is is decided by its
content, never by its name. An image comes out upright, in 8 bits of sRGB, as RGB or RGBA, whatever it was kept in;
metadata that cannot be read counts as none, and a file that cannot be decoded to its last pixel is refused.

What is surely decoded in half a second is decoded here, everything else in a process that can be ended (see
`complexity` and `decoding_pool`).
"""

import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import ceil
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import ImageTooLargeError, UsageError
from imagerag.agent.images.complexity import complexity
from imagerag.agent.images.decoded import Decoded
from imagerag.agent.images.decoding_pool import decode_in_process
from imagerag.agent.images.formats import FORMATS, RAW, READ, ImageFormat, format_of, readable_format
from imagerag.agent.images.jpeg_end import with_end
from imagerag.agent.images.metadata_stripping import without_metadata
from imagerag.agent.images.pixel_modes import eight_bit, opaque

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    _Factory = Callable[[io.BytesIO, bytes], ImageFile]

__all__ = ["ImageTooLargeError", "check_file_size", "decode", "opaque", "open_rgb"]

SMALLEST_SIDE: Final = 224
"""The shorter side that an image is decoded for at least: the smallest that encoders ask for, and with what the decoder
gives to spare more than a thumbnail needs. So a photo of 12 megapixels is decoded once for both, at an eighth."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Of a file: the JPEGs of a 200-megapixel phone stay below it, and a batch of 32 such files still fits in memory."""

MAX_RAW_BYTES: Final = 256 * 1024 * 1024
"""Of a camera RAW: one of 100 megapixels has 120 MB. What is decoded is the preview in it."""

_START: Final = 2**20
"""Bytes by which it is told whether a large file is a camera RAW."""

MAX_PIXELS: Final = 200_000_000
"""Of an image: what the largest cameras of phones give (16,320 x 12,240), and twice what a medium-format camera does.
Decoded, that is 0.8 GB; more comes from files that were made to fill the memory."""

_SPARE_SCALE: Final = 1.5
"""A reduced image has so many times the pixels on its shorter side that are wanted: against the whole image, the
vector that ViT-B-32 gives changes by a cosine of less than 0.0001."""

_PLAIN_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_ORIENTATION: Final = 0x0112
_AT_ONCE: Final = BoundedSemaphore(max(2, os.cpu_count() or 1))
"""Images that are decoded here at the same time: more need more memory and are no faster."""


def decode(data: bytes, *, side: int | None = None) -> Decoded:
    """Decode an image file.

    Args:
        data: the bytes of the file.
        side: what its shorter side will be reduced to, in pixels. A JPEG three times as large or more is decoded at a
            half, a quarter or an eighth of its size, which is faster and changes next to nothing after the reduction.

    Raises:
        UsageError: no image that is read, a damaged or cut one, or one over 64 MB (a camera RAW: 256) or 200
            megapixels; the message is the reason, without a file name.
    """
    form = format_to_decode(data)
    takes = complexity(data)
    if takes.plain:
        with _AT_ONCE:
            return decode_here(data, form, side=side)
    return _decoded_in_process(data, side, takes.pixels)


def format_to_decode(data: bytes) -> ImageFormat:
    """The format of an image file, as far as it can be told without decoding.

    Raises:
        UsageError: as `decode`; damage is not told.
    """
    if not data:
        raise UsageError("the file is empty")
    check_size(len(data), lambda: data)
    return readable_format(data)


def check_size(size: int, start: Callable[[], bytes]) -> None:
    """Check that a file is not too large to be read.

    Args:
        size: of the file.
        start: reads its first bytes; asked where its format matters.

    Raises:
        ImageTooLargeError: it is.
    """
    if size <= MAX_BYTES:
        return
    form = format_of(start())
    most = MAX_RAW_BYTES if form and form.name == RAW else MAX_BYTES
    if size > most:
        raise ImageTooLargeError(f"the file has {size / 2**20:.0f} MB; at most {most // 2**20} MB are read")


def check_file_size(path: Path, size: int) -> None:
    """`check_size` of a file on the disk.

    Raises:
        ImageTooLargeError: it is too large.
        OSError: it cannot be read.
    """

    def start() -> bytes:
        with path.open("rb") as file:
            return file.read(_START)

    check_size(size, start)


def decode_here(
    data: bytes, form: ImageFormat, *, side: int | None = None, sized: Callable[[int], None] = lambda pixels: None
) -> Decoded:
    """Decode an image file in this process, however long that takes.

    Args:
        data: the bytes of the file.
        form: its format.
        side: as `decode` takes it.
        sized: called with the number of pixels as soon as that is known.

    Raises:
        UsageError: as `decode`.
    """
    if form.name == RAW:
        return _raw_decoded(data, side, sized)
    try:
        return _decoded(data, form, side, sized, intact=True)
    except _DamagedError as error:
        for mended in (lambda: with_end(data, _loaded_jpeg), lambda: without_metadata(data)):
            with suppress(_DamagedError):
                if (other := mended()) != data:
                    return _decoded(other, form, side, sized, intact=False)
        raise UsageError(str(error)) from None


def _raw_decoded(data: bytes, side: int | None, sized: Callable[[int], None]) -> Decoded:
    """The preview in a camera RAW file, turned as its own EXIF says, else as the camera was held."""
    from imagerag.agent.images.raw_preview import raw_preview

    try:
        preview, orientation = raw_preview(data, sized)
        if isinstance(preview, bytes):
            result = _decoded(preview, FORMATS["JPEG"], side, sized, intact=True)
            orientation = 1 if result.oriented else orientation
        else:
            result = Decoded(preview.convert("RGB"), "", preview.width, preview.height, False, False, False)
    except (MemoryError, ImageTooLargeError):
        raise
    except Exception as error:
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise UsageError(f"the RAW file is damaged or not one that LibRaw reads: {reason}") from None
    width, height = (result.height, result.width) if orientation >= 5 else (result.width, result.height)
    image = _turned(result.image, orientation)
    raw = FORMATS[RAW].media_type
    return replace(result, image=image, media_type=raw, width=width, height=height, plain=False)


def _decoded_in_process(data: bytes, side: int | None, pixels: int | None) -> Decoded:
    from PIL import Image

    answer = decode_in_process(data, side, pixels)
    fields = dict(answer.head)
    mode, size = fields.pop("mode"), fields.pop("size")
    return Decoded(image=Image.frombytes(mode, tuple(size), answer.pixels), **fields)


def open_rgb(data: bytes, *, side: int | None = None) -> "Image":
    """The image in a file, upright, transparency laid on white.

    Raises:
        UsageError: as `decode`.
    """
    try:
        return opaque(decode(data, side=side).image)
    except UsageError as error:
        raise type(error)(f"these {len(data)} bytes cannot be read as an image: {error}") from error


class _DamagedError(Exception):
    """The bytes cannot be decoded; without their metadata they perhaps can."""


def _decoded(
    data: bytes, form: ImageFormat, side: int | None, sized: Callable[[int], None], *, intact: bool
) -> Decoded:
    file = _read_header(data, form)
    width, height = file.size
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(f"{width} x {height} pixels: {_too_large()}")
    if not width or not height:
        raise UsageError("the image has no pixels")
    sized(width * height)
    if side is not None:
        file.draft("RGB", (ceil(_SPARE_SCALE * side),) * 2)
    mode = file.mode
    _load(file)
    turned, readable, oriented = _orientation(file)
    image = _turned(eight_bit(file), turned)
    # A TIFF is turned while it is loaded, everything else by its metadata.
    if turned >= 5 or (file.format == "TIFF" and (width, height) != file.size):
        width, height = height, width
    animated = form.moves and _moves(file)
    exif = "exif" in file.info
    image.info.clear()  # or what is encoded from it carries a profile that was applied already
    plain = intact and readable and turned == 1 and not animated and mode in _PLAIN_MODES
    return Decoded(image, form.media_type, width, height, animated, exif, plain, oriented)


def _read_header(data: bytes, form: ImageFormat) -> "ImageFile":
    """The file's header, read by the decoder of its format.

    Not `Image.open`: its guard against decompression bombs is one number for the whole process, and ours is another.
    """
    from PIL import Image

    try:
        return _plugin(form)(io.BytesIO(data), b"")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError(_too_large()) from None
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's parsers raise almost anything on hostile bytes (SyntaxError, struct.error, OverflowError, ...).
        raise _DamagedError(f"not an image we read ({READ}): {error}") from None


def _plugin(form: ImageFormat) -> "_Factory":
    from PIL import Image

    if form.name != "HEIF":
        return Image.OPEN[form.name][0]
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1  # what it is given of the processor is one
    factory: _Factory = pillow_heif.HeifImageFile
    return factory


def _load(file: "ImageFile") -> None:
    try:
        file.load()
    except Exception as error:
        raise _DamagedError(f"the image is damaged or cut short: {error or type(error).__name__}") from None


def _loaded_jpeg(data: bytes) -> "ImageFile":
    file = _read_header(data, FORMATS["JPEG"])
    _load(file)
    return file


def _too_large() -> str:
    return f"more than the {MAX_PIXELS // 1_000_000} megapixels that are read"


def _orientation(file: "ImageFile") -> tuple[int, bool, bool]:
    """The orientation, 1 to 8, whether it could be read, and whether the file has one."""
    try:
        value = file.getexif().get(_ORIENTATION)
        if value is None:
            return 1, True, False
        return (int(value), True, True) if value in range(1, 9) else (1, value == 0, False)
    except Exception:  # as with pixels: anything
        return 1, False, False


def _turned(image: "Image", orientation: int) -> "Image":
    from PIL.Image import Transpose

    ways = (
        None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSPOSE,
        Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90,
    )  # fmt: skip
    way = ways[orientation - 1]
    return image if way is None else image.transpose(way)


def _moves(file: "ImageFile") -> bool:
    try:
        return bool(getattr(file, "is_animated", False))
    except Exception:  # there is a second frame, and it is damaged
        return True
