"""Image preprocessing with the same numbers as open_clip's `image_transform_v2`, without torchvision."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

_LONGEST: Final = 16
"""Maximum ratio of an image's longer to its shorter side; of a longer image, only the middle is used."""


def preprocessing(preprocess: Mapping[str, Any]) -> "Callable[[Image], Any]":
    """Function from an RGB image to a float32 tensor [3, height, width].

    Args:
        preprocess: keyword arguments of open_clip's `PreprocessCfg`.
    """
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    mode, interpolation = preprocess.get("resize_mode", "shortest"), preprocess.get("interpolation", "bicubic")
    is_supported = mode in ("squash", "longest") or (mode == "shortest" and height == width)
    if not is_supported or interpolation not in ("bicubic", "bilinear"):
        from open_clip.transform import PreprocessCfg, image_transform_v2

        transform: Callable[[Image], Any] = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
        return transform

    def see(image: "Image") -> Any:
        if mode == "longest":
            fill = preprocess.get("fill_color", 0)
            resized = _whole(image, (width, height), fill=fill, interpolation=interpolation)
        else:
            resized = _resized(image, (width, height), squash=mode == "squash", interpolation=interpolation)
        return _normal(resized, preprocess["mean"], preprocess["std"])

    return see


def _resized(image: "Image", size: tuple[int, int], *, squash: bool, interpolation: str) -> "Image":
    """Resize to `size` (width, height): squash, or scale the shorter side and crop the middle."""
    how = _how(interpolation)
    if squash:
        return image if image.size == size else image.resize(size, how)
    image = middle(image)
    (width, height), side = image.size, size[0]
    longer = int(side * max(width, height) / min(width, height))
    new_size = (side, longer) if width <= height else (longer, side)
    if image.size != new_size:
        image = image.resize(new_size, how)
    left, top = round((image.width - side) / 2.0), round((image.height - side) / 2.0)
    return image.crop((left, top, left + side, top + side))


def middle(image: "Image", longest: int = _LONGEST) -> "Image":
    """Middle part of a very long image: enlarged to `size` on its shorter side, the whole would fill the memory.

    Args:
        longest: maximum ratio of the longer to the shorter side.
    """
    (width, height), most = image.size, longest * min(image.size)
    if max(width, height) <= most:
        return image
    left, top = max(0, width - most) // 2, max(0, height - most) // 2
    return image.crop((left, top, min(width, left + most), min(height, top + most)))


def _whole(image: "Image", size: tuple[int, int], *, fill: int, interpolation: str) -> "Image":
    """Scale the whole image into `size` (width, height), and pad it around."""
    from PIL import Image

    (width, height), (wide, high) = image.size, size
    ratio = max(height / high, width / wide)
    new_size = (max(1, round(width / ratio)), max(1, round(height / ratio)))  # of a line, one pixel is left
    if image.size != new_size:
        image = image.resize(new_size, _how(interpolation))
    if new_size == size:
        return image
    paper = Image.new(image.mode, size, (fill,) * 3)
    paper.paste(image, ((wide - new_size[0]) // 2, (high - new_size[1]) // 2))
    return paper


def _how(interpolation: str) -> "Resampling":
    from PIL.Image import Resampling

    return Resampling.BILINEAR if interpolation == "bilinear" else Resampling.BICUBIC


def _normal(image: "Image", mean: Any, std: Any) -> Any:
    import numpy as np
    import torch

    # Not computed by torch: in each of the threads that prepare images it would start its own threads, which busy-wait
    # and take processor time from the model.
    pixels = np.asarray(image).transpose(2, 0, 1).astype(np.float32, order="C")
    pixels /= np.float32(255)
    for channel, middle, spread in zip(pixels, mean, std, strict=True):
        channel -= np.float32(middle)
        channel /= np.float32(spread)
    return torch.from_numpy(pixels)
