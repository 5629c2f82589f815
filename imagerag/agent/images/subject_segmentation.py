"""Find and cut out the subjects of an image with a plain border, from its pixels alone.

The border ring gives the background's colours (one, a gradient, or paper with lines). Pixels of those colours that are
connected to the border are background; everything else is subject, holes included. For a photograph, whose border is
not plain, each function here returns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.crop_boxes import Box
from imagerag.agent.images.decoding import opaque

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Mask = NDArray[np.bool_]

_WORK: Final = 320  # longest side of the working size, pixels
_NEAR: Final = 27.0  # maximum RGB distance from a background colour
_COLOURS: Final = 8  # maximum number of colours of a plain border
_COVERED: Final = 0.97  # minimum share of the border that these colours cover
_RARE: Final = 0.012  # minimum share of the border for one background colour
_SMALL: Final = 0.004  # smallest subject, share of the image's area
_MANY: Final = 8  # with more subjects than this the image counts as texture


def regions(image: Image.Image) -> list[Box]:
    """Boxes of the separate subjects, the largest first; empty when the border is not plain or nothing stands out."""
    work, scale = _reduce(opaque(image))
    boxes = [_box(mask) for mask in _subjects(work)]
    return [_scaled(box, scale, image.size) for box in boxes]


def cut_subjects(image: Image.Image) -> list[Image.Image]:
    """All subjects as RGBA, cropped to their boxes, the largest first. Alpha is 0 or 255."""
    from PIL import Image

    work, _ = _reduce(opaque(image))
    subjects = []
    for mask in _subjects(work):
        whole = work.copy()
        whole.putalpha(Image.fromarray(mask.astype("uint8") * 255))
        subjects.append(whole.crop(_box(mask)))
    return subjects


def placed_cuts(image: Image.Image) -> list[tuple[Image.Image, Box]]:
    """All subjects as RGBA in the image's own size, with their boxes, the largest first."""
    from PIL import Image

    rgb = opaque(image)
    work, scale = _reduce(rgb)
    cuts = []
    for mask in _subjects(work):
        box = _scaled(_box(mask), scale, rgb.size)
        alpha = Image.fromarray(mask.astype("uint8") * 255)
        if scale != 1:
            alpha = alpha.resize(rgb.size, Image.Resampling.NEAREST)
        whole = rgb.copy()
        whole.putalpha(alpha)
        cuts.append((whole.crop(box), box))
    return cuts


@dataclass(frozen=True)
class Subjects:
    """The separate subjects of an image, the largest first; none when the border is not plain.

    Attributes:
        image: the image, RGB.
        masks: of each subject, at working size.
        boxes: of each subject, in the image's own size.
    """

    image: Image.Image
    masks: list[Mask]
    boxes: list[Box]

    @classmethod
    def of(cls, image: Image.Image) -> Subjects:
        """Find the subjects of an image."""
        rgb = opaque(image)
        work, scale = _reduce(rgb)
        masks = _subjects(work)
        return cls(rgb, masks, [_scaled(_box(mask), scale, rgb.size) for mask in masks])

    def alone(self, box: Box) -> Image.Image:
        """The image with all subjects outside of a box painted over with the background's colour."""
        import numpy as np
        from PIL import Image

        others = [mask for mask, own in zip(self.masks, self.boxes, strict=True) if not _within(own, box)]
        colours = background_colours(self.image) if others else None
        if colours is None:
            return self.image
        inside = np.zeros_like(others[0])
        for mask, own in zip(self.masks, self.boxes, strict=True):
            inside |= mask & _within(own, box)
        # One pixel more: the rim of a subject is a mixture with the background, and counts as background.
        painted = _grown(np.any(others, axis=0)) & ~inside
        over = Image.fromarray(painted.astype("uint8") * 255)
        if over.size != self.image.size:
            over = over.resize(self.image.size, Image.Resampling.NEAREST)
        alone = self.image.copy()
        alone.paste(tuple(round(float(value)) for value in colours[0]), (0, 0), over)
        return alone


def background_colours(image: Image.Image) -> NDArray[np.float32] | None:
    """Colours `(n, 3)` of a plain border, the most frequent first; None if the border is not plain."""
    import numpy as np

    pixels = np.asarray(opaque(image), dtype=np.float32)
    depth = max(1, round(min(pixels.shape[:2]) / 64))
    edges = [pixels[:depth], pixels[-depth:], pixels[depth:-depth, :depth], pixels[depth:-depth, -depth:]]
    sides = np.repeat(np.arange(4), [edge.shape[0] * edge.shape[1] for edge in edges])
    rest = np.concatenate([edge.reshape(-1, 3) for edge in edges])
    total, foreign = len(rest), 0
    colours: list[NDArray[np.float32]] = []
    while len(rest) > (1 - _COVERED) * total and len(colours) < _COLOURS:
        seed = _mode(rest)
        close = np.linalg.norm(rest - seed, axis=1) < _NEAR
        if close.sum() < _RARE * total:
            break
        # A colour on one side only belongs to a thing that touches the edge; paper is visible on several sides.
        if len(np.unique(sides[close])) > 1:
            colours.append(rest[close].mean(axis=0))
        else:
            foreign += int(close.sum())
        rest, sides = rest[~close], sides[~close]
    if not colours or len(rest) > 0.08 * total or foreign > 0.25 * total:
        return None
    first = colours[0]
    # Antialiased mixtures between two paper colours are too thin to be found in the border ring.
    return np.array([*colours, *((first + other) / 2 for other in colours[1:])], np.float32)


def _mode(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    bins = (pixels // 16).astype(np.int64) @ np.array([256, 16, 1])
    values, counts = np.unique(bins, return_counts=True)
    colour: NDArray[np.float32] = pixels[bins == values[counts.argmax()]].mean(axis=0)
    return colour


def _reduce(image: Image.Image) -> tuple[Image.Image, float]:
    """An RGB image at working size, and the factor to the original size."""
    from PIL import Image

    scale = max(1.0, max(image.size) / _WORK)
    size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
    return (image if scale == 1 else image.resize(size, Image.Resampling.BOX)), scale


def _subjects(image: Image.Image) -> list[Mask]:
    import numpy as np

    colours = background_colours(image) if min(image.size) >= 8 else None
    if colours is None:
        return []
    pixels = np.asarray(image, dtype=np.float32)
    plain = np.zeros(pixels.shape[:2], dtype=bool)
    for colour in colours:
        plain |= ((pixels - colour) ** 2).sum(axis=2) < _NEAR**2
    labels = label(plain)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    stands_out = ~np.isin(labels, edge[edge > 0])
    parts = label(stands_out)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    large = [int(part) for part in np.argsort(-sizes) if sizes[part] > _SMALL * parts.size]
    if not large or len(large) > _MANY or sizes[large[0]] > 0.9 * parts.size:
        return []
    return [parts == part for part in large]


def label(mask: Mask) -> NDArray[np.int32]:
    """Label the 4-connected components of a mask from 1; 0 where the mask is False.

    Merges runs of pixels per row with union-find; takes a few milliseconds for 256 x 256.
    """
    import numpy as np

    height, width = mask.shape
    if not mask.any():
        return np.zeros(mask.shape, dtype=np.int32)
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    rows, starts = (indexes.tolist() for indexes in np.nonzero(change == 1))
    ends = np.nonzero(change == -1)[1].tolist()
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    above = 0
    for run, row in enumerate(rows):
        while rows[above] < row - 1 or (rows[above] == row - 1 and ends[above] <= starts[run]):
            above += 1
        other = above
        while other < run and rows[other] == row - 1 and starts[other] < ends[run]:
            parent[root(other)] = root(run)
            other += 1
    _, numbers = np.unique([root(run) for run in range(len(rows))], return_inverse=True)
    labels = np.zeros(mask.shape, dtype=np.int32)
    labels[mask] = np.repeat(numbers + 1, np.subtract(ends, starts))
    return labels


def _within(box: Box, other: Box) -> bool:
    """Whether a box lies in another one, a few pixels aside: boxes are kept as shares and scaled."""
    slack = 2
    return (
        box[0] >= other[0] - slack and box[1] >= other[1] - slack
        and box[2] <= other[2] + slack and box[3] <= other[3] + slack
    )  # fmt: skip


def _grown(mask: Mask) -> Mask:
    """A mask with the pixels next to it."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _box(mask: Mask) -> Box:
    import numpy as np

    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _scaled(box: Box, scale: float, size: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    return (
        int(left * scale), int(top * scale),
        min(size[0], round(right * scale)), min(size[1], round(bottom * scale)),
    )  # fmt: skip
