"""Detection of inputs outside of the sketch world: unknown words, and images that it cannot have drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import open_rgb
from imagerag.tools.sketch.edit_parser import is_instruction, read_edits
from imagerag.tools.sketch.style_transfer import untangle
from imagerag.tools.sketch.text_parser import ParsedMention, parse
from imagerag.tools.sketch.world import BACKGROUNDS

SAMPLE: Final = 8
COLOURS: Final = 50
"""Maximum number of colours (16 shades per channel, 128 pixels): sketch drawings have at most 48, photographs
hundreds."""


def is_known(mention: ParsedMention) -> bool:
    """Whether the thing is in this world: its shape is known, or it has attributes and no unknown word."""
    return bool(mention.shape) or (mention.has_meaning and not mention.unknown)


def foreign_words(text: str) -> list[str]:
    """Words of a text that name things outside of this world."""
    mentions, ground = _mentions(text)
    words = [word for mention in mentions if not is_known(mention) for word in mention.unknown]
    return list(dict.fromkeys([*words, *(ground.split() if ground and ground not in BACKGROUNDS else ())]))


def is_foreign(text: str) -> bool:
    """Whether a text mentions something outside of this world, or nothing in it."""
    mentions, ground = _mentions(text)
    return bool(foreign_words(text)) or not (ground or any(map(is_known, mentions)))


def _mentions(text: str) -> tuple[list[ParsedMention], str]:
    """The things and the background of a text; for an edit, those that it is about."""
    plain = untangle(text)[0]
    if not is_instruction(plain):
        reading = parse(plain)
        return list(reading.mentions), reading.background or ""
    edits = read_edits(plain)
    mentions = [one for edit in edits for one in (edit.target, edit.result) if one is not None]
    return mentions, next((edit.background for edit in edits if edit.background), "")


def are_photographs(encoded: Sequence[bytes]) -> bool:
    """Whether most of the first images cannot have been drawn by the sketch generator."""
    foreign = [_many_colours(data) for data in encoded[:SAMPLE]]
    return 2 * sum(foreign) > len(foreign)


def _many_colours(data: bytes) -> bool:
    from PIL import Image, ImageOps

    try:
        image = open_rgb(data, side=128)
    except UsageError:
        return False
    image.thumbnail((128, 128), Image.Resampling.NEAREST)  # smooth scaling would add mixed colours
    small = ImageOps.posterize(image, 4)
    return len(small.getcolors(128 * 128) or ()) >= COLOURS
