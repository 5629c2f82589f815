"""Restore an edited image outside of its mask, where a generator changed it.

A mask is a request that services do not keep exactly: most draw the whole image anew. So the original is put back
where the mask is not transparent, and what had changed there is measured.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.decoding import decode, opaque
from imagerag.agent.images.encoding import png
from imagerag.agent.types import MaskCheck, Size

if TYPE_CHECKING:
    from PIL.Image import Image

VISIBLE: Final = 8
"""By how much of 255 a channel must differ to count as changed: less is what encoding an image anew does to it."""

SHAPE_TOLERANCE: Final = 1.03
"""Factor by which aspect ratios may differ and count as the same. Services round the sides: to multiples of 16 pixels,
or to a table's (gemini-2.5-flash-image draws 4:3 as 1184x864)."""


@dataclass(frozen=True)
class MaskedImage:
    """A generator's image within its mask.

    Attributes:
        data: the image; None where the generator's own is to be used as it is.
        check: what was found.
    """

    data: bytes | None
    check: MaskCheck


def composite_mask(
    new_image: bytes, original: bytes, mask: bytes, *, size: Size | None = None, feather: int = 0
) -> MaskedImage:
    """Put an image back wherever its mask is not transparent, where what was drawn has its size or its shape.

    Args:
        new_image: what the generator gave back.
        original: what it was to edit, upright.
        mask: of the image's size; its alpha says how much of the image stays.
        size: the size that was asked for; by default the image's.
        feather: pixels over which the new part fades into the old one, inwards from the edge of the mask.

    Raises:
        UsageError: one of them is not an image that can be read.
    """
    new, old, stays = (decode(data).image for data in (new_image, original, mask))
    keep = stays.getchannel("A") if stays.mode == "RGBA" else _all_of(old)
    target, old_size = _target(new, old, size), f"{old.width}x{old.height}"
    fitted = _at(new, target or old.size)
    old, keep = _at(old, fitted.size), _at(keep, fitted.size)
    changed, exact = _changed(fitted, old, keep)
    drawn_size = f"{new.width}x{new.height}"
    check = MaskCheck(held=True, changed_outside=changed, drawn=drawn_size if new.size != fitted.size else "")
    if target is None:
        sizes = f"{drawn_size} pixels were drawn, the image has {old_size}"
        return MaskedImage(None, check.model_copy(update={"held": False, "reason": f"{sizes}: another shape"}))
    if exact and new.size == target:
        return MaskedImage(None, check)
    return MaskedImage(png(_joined(fitted, old, keep, feather)), check)


def changed_share(new: "Image", old: "Image") -> float:
    """The share of an image's pixels that differ visibly from another one's, laid on each other, in [0, 1]."""
    return _changed(_at(new, old.size), old, _all_of(old))[0]


def _target(new: "Image", old: "Image", size: Size | None) -> tuple[int, int] | None:
    """The size at which old and new lie on each other, in the shape of the old; None where their shapes differ."""
    if not _same_shape(new.size, old.size):
        return None
    if size is None or not _same_shape((size.width, size.height), old.size):
        return old.size
    return size.width, max(1, round(size.width * old.height / old.width))


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have the same aspect ratio, within `SHAPE_TOLERANCE`."""
    wide, high = one[0] * other[1], one[1] * other[0]
    return max(wide, high) <= SHAPE_TOLERANCE * min(wide, high)


def _at(image: "Image", size: tuple[int, int]) -> "Image":
    from PIL.Image import Resampling

    return image if image.size == size else image.resize(size, Resampling.LANCZOS)


def _all_of(image: "Image") -> "Image":
    from PIL import Image

    return Image.new("L", image.size, 255)


def _changed(new: "Image", old: "Image", keep: "Image") -> tuple[float, bool]:
    """The share of what stays that was changed visibly, and whether not one pixel that stays differs at all."""
    import numpy as np

    outside = np.asarray(keep) > 0
    apart = np.abs(np.asarray(opaque(new), np.int16) - np.asarray(opaque(old), np.int16)).max(axis=2)
    whole = np.asarray(keep) == 255
    count = int(whole.sum())
    share = float((apart[whole] > VISIBLE).sum() / count) if count else 0.0
    return round(share, 4), new.mode == old.mode and not bool(apart[outside].any())


def _joined(new: "Image", old: "Image", keep: "Image", feather: int) -> "Image":
    from PIL import Image, ImageChops, ImageFilter

    if feather:
        keep = ImageChops.lighter(keep, keep.filter(ImageFilter.GaussianBlur(feather)))
    if new.mode != old.mode:
        for image in (new, old):
            if image.mode == "RGB":
                image.putalpha(255)
    return Image.composite(old, new, keep)
