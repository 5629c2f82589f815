"""Table of Gemini's image models: references, sizes and searches.

Sources: Google's documentation of the models and of image generation, and its price page (2026-10). Several models take
more images than they keep exact: gemini-3.1-flash-image 10 objects and 4 characters, gemini-3-pro-image 6 objects and
5 characters. The API has no field for these roles, so the sum is what counts here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from imagerag.agent.types import Size

DEFAULT_MODEL: Final = "gemini-3.1-flash-image"

Tier = Literal["512", "1K", "2K", "4K"]

MAX_IMAGE_BYTES: Final = 7_000_000
"""Maximum size of an image inside of a request."""

_SIDES: Final[Mapping[str, tuple[int, int]]] = {
    "1:1": (1024, 1024), "2:3": (848, 1264), "3:2": (1264, 848), "3:4": (896, 1200), "4:3": (1200, 896),
    "4:5": (928, 1152), "5:4": (1152, 928), "9:16": (768, 1376), "16:9": (1376, 768), "21:9": (1584, 672),
}  # fmt: skip
"""Width and height at 1K; twice that at 2K, four times at 4K, half at 512."""

_LONG_SIDES: Final[Mapping[str, tuple[int, int]]] = {
    "1:4": (512, 2048), "4:1": (2048, 512), "1:8": (384, 3072), "8:1": (3072, 384),
}  # fmt: skip

_FIRST_SIDES: Final[Mapping[str, tuple[int, int]]] = {
    "1:1": (1024, 1024), "2:3": (832, 1248), "3:2": (1248, 832), "3:4": (864, 1184), "4:3": (1184, 864),
    "4:5": (896, 1152), "5:4": (1152, 896), "9:16": (768, 1344), "16:9": (1344, 768), "21:9": (1536, 672),
}  # fmt: skip

_SCALES: Final[Mapping[Tier, float]] = {"512": 0.5, "1K": 1, "2K": 2, "4K": 4}


@dataclass(frozen=True, kw_only=True)
class GeminiImageModel:
    """Limits of one image model.

    Attributes:
        max_references: images beside the prompt.
        shapes: aspect ratio → width and height at 1K.
        tiers: image sizes by the API's names; with one, none is sent.
        searches: what it can search by itself; None if not known.
        thinks: whether it thinks before it draws, which costs tokens.
    """

    max_references: int = 3
    shapes: Mapping[str, tuple[int, int]] = field(default_factory=lambda: _SIDES)
    tiers: tuple[Tier, ...] = ("1K",)
    searches: frozenset[str] | None = None
    thinks: bool = True

    @property
    def by_size(self) -> Mapping[Size, tuple[str, Tier]]:
        """Size in pixels → aspect ratio and image size."""
        return MappingProxyType(
            {
                Size(width=round(width * _SCALES[tier]), height=round(height * _SCALES[tier])): (ratio, tier)
                for tier in self.tiers
                for ratio, (width, height) in self.shapes.items()
                if max(width, height) * _SCALES[tier] <= MAX_SIDE
            }
        )


MAX_SIDE: Final = 8192
"""Maximum of a `Size`."""

UNKNOWN: Final = GeminiImageModel()
"""For unlisted models: three references, 1K, any search."""

MODELS: Final[Mapping[str, GeminiImageModel]] = {
    "gemini-2.5-flash-image": GeminiImageModel(
        max_references=3, shapes=_FIRST_SIDES, searches=frozenset(), thinks=False
    ),
    "gemini-3-pro-image": GeminiImageModel(max_references=14, tiers=("1K", "2K", "4K"), searches=frozenset({"web"})),
    "gemini-3.1-flash-image": GeminiImageModel(
        max_references=14,
        shapes=_SIDES | _LONG_SIDES,  # type: ignore[operator]
        tiers=("1K", "2K", "4K", "512"),
        searches=frozenset({"image", "web"}),
    ),
    "gemini-3.1-flash-lite-image": GeminiImageModel(max_references=14, searches=frozenset()),
    "gemini-nano-banana-2.1": GeminiImageModel(
        max_references=14, tiers=("1K", "2K", "4K"), searches=frozenset({"image", "web"})
    ),
}
"""Limits by the start of a model's name; the longest match is used. Options of a spec change them."""


def image_model(name: str) -> GeminiImageModel:
    """Limits of a model; `UNKNOWN` for unlisted ones."""
    bare = name.rpartition("/")[2].lower()
    fitting = [prefix for prefix in MODELS if bare.startswith(prefix)]
    return MODELS[max(fitting, key=len)] if fitting else UNKNOWN
