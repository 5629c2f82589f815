"""Words in images, read by RapidOCR: its models come inside of its package, so nothing is downloaded."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.extras import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 1600
"""Pixels of the longer side that is read; of a photo of 12 megapixels, letters of 20 pixels are still 8."""


@dataclass(frozen=True)
class SeenText:
    """The words that were read in an image.

    Attributes:
        text: the lines from top to bottom.
        confidence: mean of the lines' confidences by their lengths, in [0, 1]; 0 where nothing was read.
    """

    text: str
    confidence: float


class RapidOcrReader:
    """Reads the words in images, one image after the other."""

    @property
    def identity(self) -> str:
        """Name and version: another version may read other words."""
        return f"rapidocr:{version('rapidocr')}"

    def read(self, image: "Image") -> SeenText:
        """The words in an RGB image.

        Raises:
            MissingExtraError: the extra `ocr` is not installed.
        """
        import numpy as np

        engine = _engine()
        image = image.copy()
        image.thumbnail((SIDE, SIDE))
        found = engine(np.asarray(image)[:, :, ::-1])  # it takes BGR, as OpenCV gives it
        lines = [
            (str(text).strip(), float(score)) for text, score in zip(found.txts or (), found.scores or (), strict=True)
        ]
        lines = [(text, score) for text, score in lines if text]
        letters = sum(len(text) for text, _ in lines)
        mean = sum(len(text) * score for text, score in lines) / letters if letters else 0.0
        return SeenText("\n".join(text for text, _ in lines), mean)


@lru_cache(maxsize=1)
def _engine() -> Any:
    import logging

    module = import_extra("rapidocr", "reading words in images", "ocr")
    engine = module.RapidOCR()
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it logs each image without words as a warning
    return engine
