"""Prepare images for a model: scale them, or lay them out on numbered contact sheets."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import decode, opaque
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage

if TYPE_CHECKING:
    from PIL.Image import Image

SHEET_SIDE: Final = 1536
"""Maximum longer side of a contact sheet, in pixels."""
SHEET_CELLS: Final = 12
"""Maximum number of candidates on one contact sheet."""
_COLUMNS: Final = 4
_AS_IT_IS_BYTES: Final = 1_000_000
"""Maximum size in bytes of an image that is sent unchanged, if it needs no scaling."""
_QUALITY: Final = 92


_SHEET_RULE: Final = "All pictures are on one sheet; each has its number on a black label in its upper left corner."


def scaled(data: bytes, longest_side: int) -> ChatImage:
    """PNG or JPEG of at most `longest_side` pixels on its longer side, upright, transparency on white; never enlarged.

    Raises:
        UsageError: the image cannot be read.
    """
    try:
        decoded = decode(data, side=longest_side)
    except UsageError as error:
        raise UsageError(f"an image for the judge cannot be read: {error}") from error
    fits = max(decoded.width, decoded.height) <= longest_side and len(data) <= _AS_IT_IS_BYTES
    ordinary = decoded.plain and not decoded.exif and decoded.image.mode == "RGB"
    if fits and ordinary and decoded.media_type in ("image/png", "image/jpeg"):
        return ChatImage(data, decoded.media_type)
    return _encoded(_reduced(decoded.image, longest_side))


def contact_sheets(images: Sequence[bytes], longest_side: int) -> list[ChatImage]:
    """Numbered contact sheets of `images`, with continuous numbering, each at most `longest_side` pixels.

    Raises:
        UsageError: an image cannot be read.
    """
    starts = range(0, len(images), SHEET_CELLS)
    return [_sheet(images[start : start + SHEET_CELLS], start + 1, longest_side) for start in starts]


def on_sheets(turns: Sequence[ChatMessage], limit: int | None, longest_side: int) -> list[ChatMessage]:
    """Limit a conversation to `limit` images: if it has more, they are put on one numbered sheet.

    A text with its number on the sheet replaces each image; the sheet precedes the first of these texts.
    """
    chat_images = [part for turn in turns for part in turn.parts if isinstance(part, ChatImage)]
    if limit is None or len(chat_images) <= max(1, limit):
        return list(turns)
    sheet = _sheet([image.data for image in chat_images], 1, longest_side)
    numbers = iter(range(1, len(chat_images) + 1))

    def parts_of(part: str | ChatImage) -> tuple[str | ChatImage, ...]:
        if isinstance(part, str):
            return (part,)
        number = next(numbers)
        message = f"[This is picture {number} of the sheet.]"
        return (_SHEET_RULE, sheet, message) if number == 1 else (message,)

    return [ChatMessage(turn.role, tuple(piece for part in turn.parts for piece in parts_of(part))) for turn in turns]


def _sheet(images: Sequence[bytes], first: int, longest_side: int) -> ChatImage:
    from PIL import Image, ImageDraw, ImageFont

    columns = min(_COLUMNS, len(images)) if len(images) != 4 else 2
    rows = -(-len(images) // columns)
    cell = max(24, longest_side // max(columns, rows))
    sheet = Image.new("RGB", (columns * cell, rows * cell), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=max(12, cell // 9))
    for index, data in enumerate(images):
        x, y = index % columns * cell, index // columns * cell
        small = _thumbnail(data, cell - 8)
        sheet.paste(small, (x + (cell - small.width) // 2, y + (cell - small.height) // 2))
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), outline="black", width=1)
        label = str(first + index)
        _left, _top, right, bottom = draw.textbbox((x + 6, y + 4), label, font=font)
        draw.rectangle((x, y, right + 6, bottom + 6), fill="black")
        draw.text((x + 6, y + 4), label, fill="white", font=font)
    return _encoded(sheet)


def _thumbnail(data: bytes, side: int) -> "Image":
    try:
        return _reduced(decode(data, side=side).image, side)
    except UsageError as error:
        raise UsageError(f"a candidate image cannot be read: {error}") from error


def _reduced(image: "Image", longest_side: int) -> "Image":
    from PIL.Image import Resampling

    small = opaque(image)
    small.thumbnail((longest_side, longest_side), Resampling.LANCZOS)
    return small


def _encoded(image: "Image") -> ChatImage:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return ChatImage(file.getvalue(), "image/jpeg")
