"""Image conversion for a pipeline's inputs and outputs."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import opaque, open_rgb
from imagerag.agent.images.pixel_modes import eight_bit
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import Size
from imagerag.tools.generators.diffusers.families import Family

if TYPE_CHECKING:
    from PIL import Image

CANVAS: Final = (221, 221, 221)
"""Colour of the canvas for a pipeline that needs an image and has none: plain light grey."""


def rounded(size: Size, multiple: int) -> Size:
    """The nearest size whose sides are multiples of `multiple` pixels; no side becomes zero."""

    def side(pixels: int) -> int:
        return max(multiple, (pixels + multiple // 2) // multiple * multiple)

    return Size(width=side(size.width), height=side(size.height))


def opened(parts: Sequence[ImagePart], family: Family) -> "list[Image.Image]":
    """Decode references as the family needs them: RGB, upright, within its limits of sides, ratio and area.

    Raises:
        UsageError: an image cannot be read; the message says which.
    """
    fitted = []
    for number, part in enumerate(parts, start=1):
        try:
            fitted.append(_fitted(open_rgb(part.data), family))
        except UsageError as error:
            raise UsageError(f"reference {number}: {error}") from error
    return fitted


def _fitted(image: "Image.Image", family: Family) -> "Image.Image":
    from PIL import Image

    if family.max_aspect:
        short, long = sorted(image.size)
        least = -(-long // int(family.max_aspect))
        if short < least:
            wide = tuple(max(side, least) for side in image.size)
            padded = Image.new("RGB", (wide[0], wide[1]), "white")
            padded.paste(image, ((wide[0] - image.width) // 2, (wide[1] - image.height) // 2))
            image = padded
    scale = max(1.0, family.min_side / min(image.size))
    area = image.width * image.height * scale * scale
    if area > family.max_area:
        scale *= (family.max_area / area) ** 0.5
    multiple = family.reference_multiple
    sides = [max(family.min_side, round(side * scale / multiple) * multiple) for side in image.size]
    return image if image.size == (*sides,) else image.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)


def canvas(size: Size | None) -> "Image.Image":
    """A plain image of a size, by default 1024x1024."""
    from PIL import Image

    return Image.new("RGB", (size.width, size.height) if size else (1024, 1024), CANVAS)


def is_black(image: "Image.Image") -> bool:
    """Whether all pixels are black, as after a safety checker or a numeric overflow."""
    return not any(band.getbbox() for band in eight_bit(image).split()[:3])


def encoded(image: Any) -> bytes:
    """A pipeline's image as PNG, with its transparency.

    Raises:
        TypeError: not a PIL image.
    """
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise TypeError(f"a pipeline gave back a {type(image).__name__} instead of an image")
    clear = image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)
    to_save = image if clear else opaque(image)
    buffer = io.BytesIO()
    to_save.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def side_multiple(family: Family, pipe: Any) -> int:
    """Number of pixels of which both sides must be a multiple.

    One latent covers the VAE's scale in pixels, and most models read latents in patches of two by two.
    """
    return family.multiple or 2 * int(getattr(pipe, "vae_scale_factor", 8))
