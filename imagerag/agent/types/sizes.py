"""Image sizes as a person writes them: pixels, or an aspect ratio and a resolution.

The words are those of hosted services: Gemini's and OpenRouter's `aspect_ratio` ("16:9") and `image_size` ("2K"). What
a generator is sent for them is decided in `agent/size_translation.py`.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BeforeValidator, Field

from imagerag.agent.types.base import LONGEST_SIDE, SHORTEST_SIDE, Size

Resolution = Literal["512", "1K", "2K", "4K"]
RESOLUTIONS: Final[tuple[Resolution, ...]] = get_args(Resolution)

SIDES: Final[dict[Resolution, int]] = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
"""Side of the square with a resolution's area, in pixels: 1K is about a megapixel in any shape."""

HOW_TO_WRITE: Final = (
    "give WIDTHxHEIGHT in pixels (1536x1024), an aspect ratio (16:9), a resolution (512, 1K, 2K, 4K), or both (16:9@2K)"
)
_MULTIPLE: Final = 16
_NUMBER: Final = r"\d{1,4}(?:\.\d{1,3})?"
_RATIO: Final = rf"{_NUMBER}:{_NUMBER}"
_PIXELS: Final = re.compile(r"(\d{1,6})\s*[x×*]\s*(\d{1,6})")
_DEFAULT: Final = frozenset({"", "auto", "default"})


class NamedSize(Size):
    """A size by its aspect ratio and its resolution; width and height are those of a generator that draws any size.

    Attributes:
        aspect_ratio: "W:H"; empty leaves the shape to the image that is edited, else to a square.
        resolution: the area; None is the generator's usual one.
    """

    # Without defaults: a mapping of width and height alone is a `Size`.
    aspect_ratio: str = Field(pattern=rf"^(?:{_RATIO})?$")
    resolution: Resolution | None

    @classmethod
    def of(cls, aspect_ratio: str = "", resolution: Resolution | None = None) -> Self:
        """The size of these words.

        Raises:
            ValueError: no ratio, or a side would be shorter or longer than any generator draws.
        """
        shape, side = ratio_of(aspect_ratio), SIDES[resolution or "1K"]
        pixels = [round(side * scale / _MULTIPLE) * _MULTIPLE for scale in (shape**0.5, shape**-0.5)]
        if not all(SHORTEST_SIDE <= one <= LONGEST_SIDE for one in pixels):
            raise ValueError(f"no generator draws {aspect_ratio}: a side would have {max(pixels)} pixels")
        return cls(width=pixels[0], height=pixels[1], aspect_ratio=aspect_ratio, resolution=resolution)

    def in_shape(self, width: int, height: int) -> "NamedSize":
        """The same with the shape of an image, where it names no aspect ratio.

        Raises:
            ValueError: a side would be longer than any generator draws.
        """
        return self if self.aspect_ratio else self.of(_reduced(width, height), self.resolution)

    def __str__(self) -> str:
        return "@".join(filter(None, (self.aspect_ratio, self.resolution)))


def ratio_of(aspect_ratio: str) -> float:
    """Width over height of "W:H"; 1 for an empty text.

    Raises:
        ValueError: one of them is zero.
    """
    if not aspect_ratio:
        return 1.0
    width, height = (float(side) for side in aspect_ratio.split(":"))
    if not width or not height:
        raise ValueError(f"no shape has the aspect ratio {aspect_ratio}")
    return width / height


def parse_size(size: "str | Sequence[int] | Size | None") -> Size | None:
    """A size from "WxH", "W:H", "2K", "W:H@2K" or a pair of pixels; None and "auto" leave it to the generator.

    Raises:
        ValueError: it is none; the message says how to write one.
    """
    if size is None or isinstance(size, Size):
        return size
    if not isinstance(size, str):
        return _pixels(size, size)
    text = size.strip().lower()
    if text in _DEFAULT:
        return None
    if pixels := _PIXELS.fullmatch(text):
        return _pixels(pixels.groups(), size)
    ratio, resolution = "", None
    for word in re.split(r"\s*[@\s]\s*", re.sub(r"\s*:\s*", ":", text)):
        name = word.upper()
        if re.fullmatch(_RATIO, word) and not ratio:
            ratio = word
        elif name in RESOLUTIONS and resolution is None:
            resolution = name
        else:
            raise ValueError(f"not a size: {size[:60]!r}; {HOW_TO_WRITE}")
    return NamedSize.of(ratio, resolution)


def _pixels(pair: Sequence[object], value: object) -> Size:
    try:
        width, height = (int(side) for side in pair)  # type: ignore[call-overload]
        return Size(width=width, height=height)
    except (ValueError, TypeError) as error:
        limits = f"{SHORTEST_SIDE} to {LONGEST_SIDE} pixels a side"
        raise ValueError(f"not a size: {value!r:.60}; {HOW_TO_WRITE}, {limits}") from error


def _reduced(width: int, height: int) -> str:
    """An image's shape as the text of a ratio; sides of five digits and more are halved until they have four."""
    while max(width, height) > 9999:
        width, height = max(1, width // 2), max(1, height // 2)
    return f"{width}:{height}"


def _accepted(value: object) -> object:
    """Texts and pairs as sizes; all else is left to the model's own validation."""
    return parse_size(value) if isinstance(value, str | list | tuple) else value


AnySize = Annotated[NamedSize | Size | None, BeforeValidator(_accepted)]
"""A size of a run's configuration: also accepted as text."""
