"""Encoded image bytes to an upright, opaque RGB picture."""

import io
from typing import TYPE_CHECKING

from imagerag.agent.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image


def open_rgb(data: bytes, *, side: int | None = None) -> "Image.Image":
    """Decode an image, turn it upright by its EXIF orientation, and lay transparency on white.

    Args:
        data: PNG, JPEG, WebP or whatever else Pillow reads; of an animation the first frame.
        side: what the picture will be reduced to, in pixels. A JPEG more than four times as large is decoded at a
            fraction of its size, which is much faster and changes next to nothing after the reduction.

    Raises:
        UsageError: not an image, a damaged or a gigantic one.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            if side is not None and min(image.size) >= 4 * side:
                image.draft("RGB", (2 * side, 2 * side))
            image.load()
            return _opaque(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise UsageError(f"the image is too large to be opened safely: {error}") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:  # what Pillow's decoders raise
        raise UsageError(f"these {len(data)} bytes cannot be read as an image: {error}") from error


def _opaque(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def png(image: "Image.Image") -> bytes:
    """A picture as PNG, packed for speed and not for size."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
