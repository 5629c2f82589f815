"""Detection of inputs outside of the sketch world: unknown words, and images that it could not have drawn."""

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
"""Colours (16 shades a channel, 128 pixels): drawings of the sketch world have at most 48, photographs some hundred."""


def is_known(mention: ParsedMention) -> bool:
    """Whether this world has the thing itself: a shape, or anything at all that is said of nothing unknown."""
    return bool(mention.shape) or (mention.known and not mention.unknown)


def foreign_words(text: str) -> list[str]:
    """The words of a text that name things this world does not have."""
    mentions, ground = _said(text)
    words = [word for mention in mentions if not is_known(mention) for word in mention.unknown]
    return list(dict.fromkeys([*words, *(ground.split() if ground and ground not in BACKGROUNDS else ())]))


def is_foreign(text: str) -> bool:
    """Whether a text speaks of something this world does not have, or of nothing it has."""
    mentions, ground = _said(text)
    return bool(foreign_words(text)) or not (ground or any(map(is_known, mentions)))


def _said(text: str) -> tuple[list[ParsedMention], str]:
    """The things a text speaks of, and the background; of one that tells what to change, what it is about."""
    plain = untangle(text)[0]
    if not is_instruction(plain):
        reading = parse(plain)
        return list(reading.mentions), reading.background or ""
    edits = read_edits(plain)
    mentions = [one for edit in edits for one in (edit.target, edit.result) if one is not None]
    return mentions, next((edit.background for edit in edits if edit.background), "")


def are_photographs(encoded: Sequence[bytes]) -> bool:
    """Whether most of the first images could not have been drawn by this world's painter."""
    foreign = [_many_colours(data) for data in encoded[:SAMPLE]]
    return 2 * sum(foreign) > len(foreign)


def _many_colours(data: bytes) -> bool:
    from PIL import Image, ImageOps

    try:
        image = open_rgb(data, side=128)
    except UsageError:
        return False
    image.thumbnail((128, 128), Image.Resampling.NEAREST)  # a smooth reduction would mix colours that are not there
    small = ImageOps.posterize(image, 4)
    return len(small.getcolors(128 * 128) or ()) >= COLOURS
