"""Style transfer between things: `a purple heart in the pattern of a teal ringed hexagon`, `like the teal checkered
crescent but red`.

The text gives the result (`a purple ringed heart`) and the source; the appearance comes from the pixels of a reference,
never from words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from imagerag.tools.sketch.renderer import INK, TINT
from imagerag.tools.sketch.text_parser import ParsedMention, parse
from imagerag.tools.sketch.world import article

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_WORDS: Final = r"(?:(?!\b(?:a|an|the|and|but|on|in|with|beside|next)\b)[^.,;:])+?"
_END: Final = r"(?=\s*(?:$|[.,;:]|\b(?:and|but|on|in|with|beside|next)\b))"
_STYLE: Final = re.compile(
    rf"\b(?P<mine>(?:a|an|the)\s+{_WORDS})\s+"
    r"(?:in the (?:style|pattern|look) of|with the (?:pattern|look|style) of|patterned like)\s+"
    rf"(?P<model>(?:a|an|the)\s+{_WORDS}){_END}",
    re.IGNORECASE,
)
_VARIANT: Final = re.compile(
    rf"\b(?:(?:a variant of|just like|like|the same as)\s+)?(?P<model>(?:a|an|the)\s+{_WORDS}),?\s+"
    rf"but\s+(?:in\s+)?(?P<mine>(?:(?:a|an)\s+)?{_WORDS}){_END}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StyleTransfer:
    """A thing with the look of another one, except for its own given attributes."""

    target: ParsedMention
    model: ParsedMention


def untangle(text: str) -> tuple[str, tuple[StyleTransfer, ...]]:
    """The text with its style transfers replaced by plain descriptions, and the style transfers.

    A source without a known shape (`in the style of Van Gogh`) stays in the text.
    """
    transfers: list[StyleTransfer] = []

    def plain(match: re.Match[str]) -> str:
        mine, model = (parse(match[name]).mentions for name in ("mine", "model"))
        if len(mine) != 1 or len(model) != 1 or not model[0].shape or not mine[0].has_meaning:
            return match[0]
        own, other = mine[0], model[0]
        words = {kind: getattr(own, kind) or getattr(other, kind) for kind in ("shape", "colour", "pattern")}
        target = ParsedMention(**words)
        target = replace(target, text=target.bare_phrase)
        transfers.append(StyleTransfer(target, replace(other, unknown=())))
        return article(target.text)

    for pattern in (_STYLE, _VARIANT):
        text = pattern.sub(plain, text)
    return text, tuple(transfers)


def after(model: Image.Image, transfer: StyleTransfer, shape: Image.Image, own: Image.Image) -> Image.Image:
    """The target, with the attributes that it shares with the source taken from the source's cut-out.

    Args:
        model: the source's cut-out, RGBA.
        shape: the outline if it differs from the source's, RGBA.
        own: a thing with the target's pattern as the generator paints it, RGBA; used if the source's pattern differs.

    Returns:
        RGBA, of the size of the outline.
    """
    from PIL import Image, ImageChops, ImageFilter

    target, source = transfer.target, transfer.model
    if target.shape == source.shape and target.pattern == source.pattern:
        return _dyed(model, source, target)
    mask = model.getchannel("A") if target.shape == source.shape else shape.getchannel("A")
    same_pattern = target.pattern == source.pattern or source.pattern is None
    cloth = _cloth(_dyed(model, source, target) if same_pattern else own, mask.size)
    side = max(mask.size)
    width = max(3, 2 * (side // 60) + 1)
    framed = Image.new("L", (mask.width + 2 * width, mask.height + 2 * width))
    framed.paste(mask, (width, width))
    inside = framed.filter(ImageFilter.MinFilter(width)).crop((width, width, width + mask.width, width + mask.height))
    ink = INK.get(target.colour or source.colour or "", (60, 60, 60))
    cloth.paste(tuple(value // 2 for value in ink), mask=ImageChops.subtract(mask, inside))
    cloth.putalpha(mask)
    return cloth


def _cloth(cutout: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A cut-out's pattern on a canvas of `size`, in the scale that it has on a thing of that size.

    The cut-out is in the middle; beyond its edge, its largest square is repeated mirrored.
    """
    import numpy as np
    from PIL import Image, ImageFilter

    scale = max(size) / max(cutout.size)
    scaled = cutout.resize((round(cutout.width * scale), round(cutout.height * scale)), Image.Resampling.LANCZOS)
    left, top, side = _square(scaled)
    pixels = np.asarray(scaled)[top : top + side, left : left + side, :3]
    x, y = (size[0] - scaled.width) // 2, (size[1] - scaled.height) // 2
    rows, columns = (_mirrored(length, at, side) for length, at in ((size[1], y + top), (size[0], x + left)))
    cloth = Image.fromarray(pixels[rows][:, columns])
    # The outline is not part of the pattern.
    inner = scaled.getchannel("A").filter(ImageFilter.MinFilter(2 * max(1, round(0.035 * max(size))) + 1))
    cloth.paste(Image.merge("RGB", scaled.split()[:3]), (x, y), inner)
    return cloth


def _mirrored(length: int, start: int, side: int) -> NDArray[np.int64]:
    """For each of `length` positions, the index in a tile of `side` that is repeated back and forth from `start`."""
    import numpy as np

    at = (np.arange(length) - start) % (2 * side)
    return np.where(at < side, at, 2 * side - 1 - at)


def _square(cutout: Image.Image) -> tuple[int, int, int]:
    """Left, top and side of the largest square inside a cut-out, without its outline."""
    import numpy as np

    inside = np.asarray(cutout.getchannel("A")) > 127
    sums = np.pad(inside.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def full(side: int) -> NDArray[np.int64]:
        boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        return np.argwhere(boxes == side * side)

    low, high = 1, min(inside.shape)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(full(middle)) else (low, middle - 1)
    corners = full(low)
    # Of several, the middle one: rings and halves are centred.
    top, left = corners[np.linalg.norm(corners - (np.array(inside.shape) - low) / 2, axis=1).argmin()]
    rim = min(round(0.04 * max(cutout.size)), (low - 1) // 2)
    return int(left) + rim, int(top) + rim, low - 2 * rim


def _dyed(cutout: Image.Image, source: ParsedMention, target: ParsedMention) -> Image.Image:
    """A cut-out with its ink recoloured to the target's; the pattern's light colour and the dark edge stay."""
    import numpy as np
    from PIL import Image

    if not target.colour or target.colour == source.colour:
        return cutout
    pixels = np.asarray(cutout, dtype=np.float32)
    solid = pixels[..., 3] > 0
    tint = np.array(TINT, np.float32)
    old = _ink(pixels[solid][:, :3], tint)
    new = np.array(INK[target.colour], np.float32)
    along = ((pixels[..., :3] - tint) @ (old - tint)) / float((old - tint) @ (old - tint))
    light, dark = np.clip(along, 0, 1)[..., None], np.clip(2 - along, 0.4, 1)[..., None]
    dyed = (tint + (new - tint) * light) * dark
    data = np.concatenate([np.clip(dyed, 0, 255), pixels[..., 3:]], axis=2).astype(np.uint8)
    return Image.fromarray(data, "RGBA")


def _ink(pixels: NDArray[np.float32], tint: NDArray[np.float32]) -> NDArray[np.float32]:
    """The most frequent colour except the pattern's second one."""
    import numpy as np

    far = pixels[np.linalg.norm(pixels - tint, axis=1) > 60]
    far = far if len(far) else pixels
    bins = (far // 16).astype(np.int64) @ np.array([256, 16, 1])
    values, counts = np.unique(bins, return_counts=True)
    colour: NDArray[np.float32] = far[bins == values[counts.argmax()]].mean(axis=0)
    return colour
