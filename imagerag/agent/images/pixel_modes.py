"""From every way Pillow keeps pixels to 8 bits of sRGB. `Image.convert` alone clips what has more bits to white."""

import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsProfile

    Values = NDArray[Any]

_BITS_PER_SAMPLE: Final = 258
_PHOTOMETRIC: Final = 262
"""TIFF tags."""


def eight_bit(image: "Image") -> "Image":
    """An image of any mode as RGB, or as RGBA where something of it is transparent.

    16 bits are scaled by what they can hold. 32-bit integers and fractions say nothing of what is white: the least of
    1, 255 and 65535 that holds them all is, and where none does (or some are negative) the range they have is spread.
    A colour profile is applied; one that cannot be read is left out.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode == "LAB":
        return _from_lab(image)
    profile = _foreign_profile(image)
    if profile is not None and image.mode in ("CMYK", "L") and "transparency" not in image.info:
        coloured = _by_profile(image, profile)
        if coloured is not None:
            return coloured
    flat = _rgb(image)
    return flat if profile is None else _by_profile(flat, profile) or flat


def _rgb(image: "Image") -> "Image":
    """As RGB or RGBA, whatever profile it has."""
    if image.mode in ("La", "RGBa"):  # multiplied by alpha
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _with_alpha(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def opaque(image: "Image", background: str = "white") -> "Image":
    """An image as RGB, what is transparent showing the background."""
    from PIL import Image

    if image.mode != "RGBA":
        image = eight_bit(image)
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")


def _with_alpha(image: "Image") -> "Image":
    clear = image.info.get("transparency")
    if image.mode in ("L", "RGB") and clear is not None:
        image = image.copy()
        try:  # of a PNG with 16 bits it is said in 16 bits, while its pixels come in 8
            parts = clear if isinstance(clear, tuple) else (clear,)
            if max(parts) > 255:
                parts = tuple(part >> 8 for part in parts)
            image.info["transparency"] = parts if image.mode == "RGB" else parts[0]
        except TypeError:
            del image.info["transparency"]
    try:
        return image.convert("RGBA")
    except (ValueError, TypeError, OverflowError):  # what it says of transparency cannot be
        image = image.copy()
        image.info.pop("transparency", None)
        return image.convert("RGB")


def _from_deep(image: "Image") -> "Image":
    import numpy as np
    from PIL import Image

    values = np.asarray(image)
    grey = _scaled_16(values, image) if image.mode.startswith("I;16") else _scaled_to_range(values)
    converted = Image.fromarray(grey).convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        converted.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return converted


def _scaled_16(values: "Values", image: "Image") -> "NDArray[np.uint8]":
    import numpy as np

    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    most = 2 ** min(16, max(8, int(bits[0]) if isinstance(bits, tuple) and bits else 16)) - 1
    table = np.minimum((np.arange(2**16, dtype=np.int64) * 255 + most // 2) // most, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC, 1) == 0:  # white is zero, which Pillow turns around for 8 bits only
        table = np.uint8(255) - table
    pixels: NDArray[np.uint8] = table[values]
    return pixels


def _scaled_to_range(values: "Values") -> "NDArray[np.uint8]":
    import numpy as np

    numbers = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    least, most = float(numbers.min()), float(numbers.max())
    if least >= 0 and most <= 65535:
        whole = values.dtype.kind in "iu"
        white = 1.0 if most <= 1 and not whole else 255.0 if most <= 255 else 65535.0
        least = 0.0
    elif least == most:
        least, white = least - 1, 2.0  # one value all over: grey
    else:
        white = most - least
    numbers -= least
    numbers *= 255 / white
    pixels: NDArray[np.uint8] = np.clip(np.rint(numbers), 0, 255).astype(np.uint8)
    return pixels


def _from_lab(image: "Image") -> "Image":
    from PIL import Image, ImageCms

    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    rgb = ImageCms.applyTransform(image, transform)
    assert isinstance(rgb, Image.Image), "not asked to work in place"
    return rgb


def _foreign_profile(image: "Image") -> "ImageCmsProfile | None":
    """The colour profile in the file; None where there is none that says anything else than sRGB."""
    data = image.info.get("icc_profile")
    if not data:
        return None
    try:
        from PIL import ImageCms

        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        return None if "srgb" in ImageCms.getProfileDescription(profile).lower() else profile
    except Exception:  # it is damaged, or Pillow comes without LittleCMS
        return None


def _by_profile(image: "Image", profile: "ImageCmsProfile") -> "Image | None":
    """In sRGB; None where the profile is for another kind of colours, or cannot be applied."""
    space = {"RGB": "RGB ", "RGBA": "RGB ", "L": "GRAY", "CMYK": "CMYK"}[image.mode]
    try:
        from PIL import ImageCms

        if profile.profile.xcolor_space != space:
            return None
        mode = image.mode if space == "RGB " else "RGB"
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except Exception:  # as above
        return None
