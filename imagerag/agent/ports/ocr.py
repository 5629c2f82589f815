"""The port of readers of the words in images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class OcrResult:
    """The words that were read in an image.

    Attributes:
        text: the lines from top to bottom; empty where there are none.
        confidence: mean of the lines' confidences by their lengths, in [0, 1]; 0 where nothing was read.
    """

    text: str
    confidence: float


class OcrReader(Protocol):
    """Reads the words in images."""

    def read(self, image: "Image") -> OcrResult:
        """The words in an RGB image. It is called in a thread, with one image after the other; whatever it raises
        concerns this image only."""
        ...
