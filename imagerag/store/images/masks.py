"""Validation of edit masks: a PNG of the image's size, transparent where the image may be edited."""

from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import decode
from imagerag.store.images.image_info import inspect

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_MASK_BYTES: Final = 4 * 1024 * 1024 - 1
"""What the Images API takes."""

_STAYS: Final = (58, 56, 52)
_MAY_CHANGE: Final = (255, 255, 255)


def shown_mask(mask: "Image") -> "Image":
    """A mask made visible, independent of its colours: light where the image may change, dark where it stays."""
    from PIL import ImageOps

    if mask.mode == "RGB":
        mask.putalpha(255)
    stays = ImageOps.invert(mask.getchannel("A"))
    return ImageOps.colorize(stays, _STAYS, _MAY_CHANGE)


def check_mask(mask: bytes, original: bytes) -> None:
    """Check a mask against its image (in upright orientation).

    Raises:
        UsageError: one of them is no image, or the mask is not a PNG below 4 MB of the image's size that is
            fully transparent somewhere.
    """
    hole, whole = inspect(mask), inspect(original)
    if hole.media_type != "image/png" or len(mask) > MAX_MASK_BYTES:
        message = f"it is {hole.media_type} with {len(mask) / 2**20:.1f} MB"
        raise UsageError(f"a mask must be a PNG below 4 MB; {message}")
    if (hole.width, hole.height) != (whole.width, whole.height):
        sizes = f"it has {hole.width}x{hole.height} pixels, the subject {whole.width}x{whole.height}"
        raise UsageError(f"a mask must be as large as the subject it is for: {sizes}")
    alpha = decode(mask).image
    least = min(alpha.getchannel("A").tobytes()) if alpha.mode == "RGBA" else 255
    if least == 255:
        raise UsageError("the mask is transparent nowhere: make transparent what may change, and leave the rest opaque")
    if least > 0:
        share = f"at its clearest it is {100 - least * 100 // 255} % transparent"
        raise UsageError(f"the mask is fully transparent nowhere ({share}): what may change must be, alpha 0")
