"""Result of decoding an image file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

MODEL_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp"})
"""What image models accept everywhere."""

SHOWN_TYPES: Final = MODEL_TYPES | {"image/gif"}
"""What every browser and viewer shows."""


@dataclass(frozen=True)
class Decoded:
    """An image file, decoded.

    Attributes:
        image: upright, RGB or RGBA, 8 bits of sRGB; of an animation the first frame.
        media_type: what the file is.
        width: of the file as it is seen, in pixels; `image` can be smaller when a reduced one was asked for.
        height: likewise.
        animated: whether it moves.
        exif: whether it has EXIF.
        plain: whether any program shows the file as `image` is: it stands upright without its metadata, has 8 bits and
            ordinary colours, does not move, and nothing in it is damaged.
        oriented: whether its metadata say how it is turned.
    """

    image: "Image"
    media_type: str
    width: int
    height: int
    animated: bool
    exif: bool
    plain: bool
    oriented: bool = False

    @property
    def for_every_model(self) -> bool:
        """Whether every image model takes the file itself."""
        return self.plain and self.media_type in MODEL_TYPES

    @property
    def for_every_viewer(self) -> bool:
        """Whether every browser shows the file itself as it is meant."""
        return self.media_type in SHOWN_TYPES and (self.plain or self.animated)
