"""Images that are uploaded for a workflow, and stand-ins for absent ones."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from imagerag.agent.images.decoding import decode
from imagerag.agent.images.encoding import png
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import Size
from imagerag.tools.generators.comfyui.placeholders import IMAGE, MASK
from imagerag.tools.generators.comfyui.server import ComfyServer

CANVAS: Final = (221, 221, 221)
"""Colour of the image that stands in for a reference: plain light grey, as for `diffusers:`."""
DEFAULT: Final = Size(width=1024, height=1024)
_STEP: Final = 8
"""Pixels: the sides of latent images are multiples of it."""


class Files(dict[str, bytes]):
    """Placeholder → bytes of an image."""

    async def uploaded(self, server: ComfyServer) -> dict[str, str]:
        """Upload all; placeholder → the value by which nodes load it.

        A file's name is its content's hash, so that a second upload of it adds no file.
        """
        return {name: await server.upload(*_upload(data)) for name, data in self.items()}


def files_of(references: Sequence[ImagePart], has_image: bool) -> Files:
    """The images to upload, by placeholder. The image that is edited has its own, the others are numbered.

    Args:
        has_image: whether the workflow has `%image%`; otherwise the image that is edited is the first reference.
    """
    first = references[0] if references else None
    edited = first if first is not None and first.role == "edit" and has_image else None
    others = references[1:] if edited is not None else references
    files = Files({f"reference_{number}": part.data for number, part in enumerate(others, start=1)})
    if edited is not None:
        files[IMAGE] = edited.data
    if first is not None and first.mask is not None:
        files[MASK] = channel_mask(first.mask)
    return files


def stand_in(name: str, files: Files, size: Size) -> bytes:
    """The image for a placeholder whose image is not sent: a plain one, or a mask by which everything is edited."""
    return whole_mask(files.get(IMAGE) or files.get("reference_1"), size) if name == MASK else canvas(size)


def default_size(references: Sequence[ImagePart]) -> Size:
    """The size of an image without a requested one: that of the image to edit, up to a megapixel; else 1024x1024."""
    if not references or references[0].role != "edit":
        return DEFAULT
    decoded = decode(references[0].data, side=_STEP)
    scale = min(1.0, (DEFAULT.width * DEFAULT.height / (decoded.width * decoded.height)) ** 0.5)
    sides = (max(2 * _STEP, round(side * scale) // _STEP * _STEP) for side in (decoded.width, decoded.height))
    width, height = (min(side, 8192) for side in sides)
    return Size(width=width, height=height)


def sizes_told(data: bytes, size: Size | None) -> dict[str, int]:
    """Requested and drawn size in pixels, if they differ."""
    if size is None:
        return {}
    image = decode(data, side=_STEP)
    if (image.width, image.height) == (size.width, size.height):
        return {}
    requested = {"asked_width": size.width, "asked_height": size.height}
    return requested | {"drawn_width": image.width, "drawn_height": image.height}


def canvas(size: Size) -> bytes:
    """A plain PNG of a size."""
    from PIL import Image

    return png(Image.new("RGB", (size.width, size.height), CANVAS))


def channel_mask(mask: bytes) -> bytes:
    """A mask for whichever channel a workflow reads it from: white and transparent where the image is edited.

    `LoadImage` and the channel `alpha` of `LoadImageMask` take transparency for the mask, other channels brightness.
    """
    from PIL import Image, ImageOps

    decoded = decode(mask).image
    alpha = decoded.getchannel("A") if decoded.mode == "RGBA" else Image.new("L", decoded.size, 255)
    edited = ImageOps.invert(alpha)
    return png(Image.merge("RGBA", (edited, edited, edited, alpha)))


def whole_mask(image: bytes | None, size: Size) -> bytes:
    """A mask by which all of an image is edited."""
    from PIL import Image

    decoded = decode(image, side=_STEP) if image is not None else size
    return png(Image.new("RGBA", (decoded.width, decoded.height), (255, 255, 255, 0)))


def _upload(data: bytes) -> tuple[str, bytes, str]:
    """Name, bytes and media type of an upload."""
    ending, media_type = next(
        ((ending, media_type) for start, ending, media_type in _KINDS if data.startswith(start)), _KINDS[0][1:]
    )
    return f"{sha256(data).hexdigest()[:32]}.{ending}", data, media_type


_KINDS: Final = (
    (b"\x89PNG", "png", "image/png"),
    (b"\xff\xd8", "jpg", "image/jpeg"),
    (b"RIFF", "webp", "image/webp"),
)
