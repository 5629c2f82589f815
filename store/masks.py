"""Whether a mask says where a picture may be edited: a PNG of the picture's size, transparent there."""

import io
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.store.imaging import inspect

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_MASK_BYTES: Final = 4 * 1024 * 1024 - 1
"""What the Images API takes."""

_STAYS: Final = (58, 56, 52)
_MAY_CHANGE: Final = (255, 255, 255)


def shown_mask(mask: "Image") -> "Image":
    """A mask as something to look at, whatever its colours: light where the picture may change, dark where it stays."""
    from PIL import ImageOps

    stays = ImageOps.invert(mask.convert("RGBA").getchannel("A"))
    return ImageOps.colorize(stays, _STAYS, _MAY_CHANGE)


def check_mask(mask: bytes, picture: bytes) -> None:
    """Check a mask against the picture it belongs to (as it stands upright).

    Raises:
        UsageError: one of them is no image, or the mask is not a PNG below 4 MB of the picture's size that is
            transparent somewhere.
    """
    from PIL import Image

    hole, whole = inspect(mask), inspect(picture)
    if hole.media_type != "image/png" or len(mask) > MAX_MASK_BYTES:
        told = f"it is {hole.media_type} with {len(mask) / 2**20:.1f} MB"
        raise UsageError(f"a mask must be a PNG below 4 MB; {told}")
    if (hole.width, hole.height) != (whole.width, whole.height):
        sizes = f"it has {hole.width}x{hole.height} pixels, the subject {whole.width}x{whole.height}"
        raise UsageError(f"a mask must be as large as the subject it is for: {sizes}")
    with Image.open(io.BytesIO(mask)) as image:
        clear = "A" in image.getbands() or "transparency" in image.info
        least = image.convert("RGBA").getchannel("A").getextrema()[0] if clear else 255
    if least == 255:
        raise UsageError("the mask is transparent nowhere: make transparent what may change, and leave the rest opaque")
