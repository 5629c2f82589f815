"""A fake reader of the words in images, for tests. No model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import OcrResult

if TYPE_CHECKING:
    from PIL.Image import Image


class ScriptedOcrReader:
    """Reads scripted words, by the colour in the middle of an image; in other images it finds none.

    Args:
        words: colour (red, green, blue) → the words, or an exception to raise.

    Attributes:
        calls: the colours that it was asked for, in order.
    """

    def __init__(self, words: Mapping[tuple[int, int, int], str | Exception], *, confidence: float = 0.9) -> None:
        self.words, self.confidence = words, confidence
        self.calls: list[tuple[int, int, int]] = []

    def read(self, image: "Image") -> OcrResult:
        """The words for the colour in the middle; 0 is the confidence in none."""
        colour: Any = image.getpixel((image.width // 2, image.height // 2))
        self.calls.append(colour)
        words = self.words.get(colour, "")
        if isinstance(words, Exception):
            raise words
        return OcrResult(words, self.confidence if words else 0.0)
