"""A fake describer of images, for tests. No model."""

from collections.abc import Mapping

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import FREE, Capabilities, ImageDescription, ImagePart
from imagerag.agent.types import SamplingParams


class ScriptedDescriber:
    """Gives scripted descriptions, by the colour in the middle of an image; other images it calls "a picture".

    Args:
        descriptions: colour (red, green, blue) → the description, its sentence, or an exception to raise.

    Attributes:
        calls: the colours that it was asked for, in order.
    """

    identity = "scripted"
    capabilities = Capabilities(tariff=FREE, needs_images=True)

    def __init__(
        self, descriptions: Mapping[tuple[int, int, int], ImageDescription | str | Exception] | None = None
    ) -> None:
        self.descriptions = descriptions or {}
        self.calls: list[tuple[int, int, int]] = []

    async def describe(self, image: ImagePart, *, variation: SamplingParams) -> ImageDescription:
        """The description for the colour in the middle."""
        pixels = open_rgb(image.data)
        colour = pixels.getpixel((pixels.width // 2, pixels.height // 2))
        self.calls.append(colour)  # type: ignore[arg-type]
        description = self.descriptions.get(colour, "a picture")  # type: ignore[arg-type]
        if isinstance(description, Exception):
            raise description
        return (
            description
            if isinstance(description, ImageDescription)
            else ImageDescription(text=description, cost_usd=0.0)
        )
