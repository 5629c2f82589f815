"""Limits of the Images API for references: media types, sizes in bytes, masks."""

from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ImagePart
from imagerag.tools.generators.image_models import MAX_IMAGE_BYTES, MAX_MASK_BYTES

MEDIA_TYPES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
"""The file name extension of each media type."""


def check_reference(identity: str, part: ImagePart, number: int, *, takes_mask: bool) -> None:
    """Check that a reference can be sent.

    Args:
        identity: the generator's identity, for the message.
        number: index among the references, from 0.
        takes_mask: whether the generator accepts a mask with the first of them.

    Raises:
        UsageError: unsupported media type, too many bytes, or an invalid mask.
    """
    if part.media_type not in MEDIA_TYPES:
        raise UsageError(f"{identity} takes PNG, JPEG and WebP images, not {part.media_type}")
    if len(part.data) > MAX_IMAGE_BYTES:
        raise UsageError(f"{identity} takes images below 50 MB; one has {len(part.data) / 2**20:.0f} MB")
    if part.mask is None:
        return
    if not takes_mask or number:
        raise UsageError(f"{identity} takes {'a mask for the first image only' if number else 'no mask'}")
    if len(part.mask) > MAX_MASK_BYTES or not part.mask.startswith(b"\x89PNG"):
        raise UsageError(f"{identity}: the mask must be a PNG below 4 MB")
