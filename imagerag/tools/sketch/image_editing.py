"""Edits of the sketch generator: it changes only the requested parts of the image that is sent.

It finds a thing by its colours and outline. Other pixels stay unchanged; attributes that it does not know are guessed
or taken from a reference, as in any of its images.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from imagerag.agent.feedback import split_feedback
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.subject_segmentation import placed_cuts
from imagerag.tools.sketch.edit_parser import Edit, changed, read_edits
from imagerag.tools.sketch.painting import (
    KNOWN_SHAPES,
    Spot,
    StyleReference,
    alone,
    apply,
    put,
    scene_prompt,
    share,
)
from imagerag.tools.sketch.renderer import backdrop
from imagerag.tools.sketch.style_transfer import StyleTransfer, after
from imagerag.tools.sketch.text_parser import ParsedMention
from imagerag.tools.sketch.world import BACKGROUNDS, COLOURS, SHAPES, Placed, Thing, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from imagerag.agent.images.crop_boxes import Box

    Piece = tuple[Image.Image, Box]
    Place = tuple[float, float, float]


def repaint(
    prompt: str,
    original: bytes,
    references: list[StyleReference],
    *,
    seed: int = 0,
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """The original image with the requested changes, otherwise unchanged.

    Args:
        original: the encoded image; the result has its size unless another is requested.
        references: images of the things that the generator does not know.
    """
    image = open_rgb(original)
    if size is not None and image.size != size:
        image = image.resize(size)
    things = placed_cuts(image)
    words, feedback = split_feedback(scene_prompt(prompt))
    edits, canvas = read_edits("; ".join((words, *feedback))), image.copy()
    ground = next((edit.background for edit in edits if edit.background in BACKGROUNDS), "")
    if ground:
        side = max(canvas.size)
        canvas = backdrop(ground, side, seed).crop((0, 0, *canvas.size))
    pieces = list(things)
    spots: list[Spot] = []
    for edit in edits:
        rng, occupied = Random(f"{seed}/{prompt}"), [(spot.x, spot.y, spot.radius) for spot in spots]
        for one, piece in _located(edit, pieces):
            spots += _carry_out(one, piece, pieces, occupied, canvas, rng, image, erase=not ground)
    if ground:
        for cut, box in pieces:
            canvas.paste(cut, box[:2], cut)
    for reference in references:
        apply(reference, spots)
    for index, spot in enumerate(spots):
        put(canvas, spot, Random(f"{seed}/{index}/{spot.mention.text}"))
    return canvas


def _located(edit: Edit, pieces: Sequence[Piece]) -> list[tuple[Edit, Piece | None]]:
    """An edit with the thing that it changes; None for one that adds something. It changes nothing where its thing is
    not there, or is not named and there are several."""
    if edit.target is None:
        return [(edit, None)]
    if edit.of_all or edit.of_the_only:
        found = pieces if edit.of_all or len(pieces) == 1 else ()
        return [(_without_name(edit, piece[0]), piece) for piece in found]
    piece = max(pieces, key=lambda piece: _likeness(piece[0], edit.target), default=None)
    return [(edit, piece)] if piece else []


def _without_name(edit: Edit, cut: Image.Image) -> Edit:
    """An edit without the name of its thing as one of the thing that is seen."""
    shape = max(SHAPES, key=lambda word: _overlap(cut, word))
    seen = ParsedMention(shape=shape, colour=max(COLOURS, key=lambda word: share(cut, word)))
    return changed(seen, edit.result) if edit.result else Edit(target=seen)


def _carry_out(
    edit: Edit,
    original: Piece | None,
    pieces: list[Piece],
    occupied: Sequence[Place],
    canvas: Image.Image,
    rng: Random,
    image: Image.Image,
    *,
    erase: bool,
) -> list[Spot]:
    """Erase the thing that an edit changes, also from `pieces`, and return what to paint where.

    Args:
        original: the thing; None if something is added.
        occupied: where earlier edits paint.
    """
    if original is not None:
        pieces.remove(original)
        if erase:
            _erase(canvas, image, original)
    if edit.result is None:
        return []
    if original is None or edit.target is None:
        return [Spot(edit.result, *_free_place(rng, [*occupied, *(_place_of(box, canvas.size) for _, box in pieces)]))]
    cut, box = original
    spot = Spot(edit.result, *_place_of(box, canvas.size))
    if edit.result.shape in (None, edit.target.shape) and not edit.result.unknown:
        spot.cutout = _changed_cutout(cut, edit, rng)
    return [spot]


def _changed_cutout(cut: Image.Image, edit: Edit, rng: Random) -> Image.Image | None:
    """The thing's own cut-out with another colour or pattern; None for a pattern that the generator does not know."""
    target, result = edit.target, edit.result
    if target is None or result is None:
        return None
    colour = max(COLOURS, key=lambda word: share(cut, word))
    model = replace(target, colour=colour)
    final = replace(result, colour=result.colour if result.colour != target.colour else colour)
    if result.pattern is None or result.pattern == target.pattern:
        same = replace(model, pattern=final.pattern)
        return after(cut, StyleTransfer(target=final, model=same), cut, cut)
    if result.pattern not in ("solid", "striped", "dotted"):
        return None
    shape, other = target.shape or rng.choice(KNOWN_SHAPES), "striped" if result.pattern == "solid" else "solid"
    cloth = alone(Placed(Thing("square", final.colour or colour, result.pattern), 0.5, 0.5, 0.4, 0.0, 0.06, 0.5))
    before = replace(model, shape=shape, pattern=other)  # its pattern, whatever it is, is not the requested one
    return after(cut, StyleTransfer(target=replace(final, shape=shape), model=before), cut, cloth)


def _likeness(cut: Image.Image, mention: ParsedMention | None) -> float:
    """Similarity of a cut-out and a mention, by colour and outline.

    All outlines are recognised; the generator only cannot draw some of them.
    """
    if mention is None:
        return 0.0
    colour = 2 * (share(cut, mention.colour) if mention.colour else 0.5)
    if mention.shape is None:
        return colour
    overlaps = {shape: _overlap(cut, shape) for shape in SHAPES}
    return colour + overlaps[mention.shape] + (0.5 if max(overlaps.values()) == overlaps[mention.shape] else 0.0)


def _overlap(cut: Image.Image, shape: str) -> float:
    """Overlap of a cut-out's and a shape's outline, in [0, 1], for the best of a few rotations."""
    import numpy as np

    own = _outline(cut)
    return max(float(np.logical_and(own, other).sum() / np.logical_or(own, other).sum()) for other in _turned(shape))


@cache
def _turned(shape: str) -> list[NDArray[np.bool_]]:
    turns = (alone(Placed(Thing(shape, "red", "solid"), 0.5, 0.5, 0.4, turn, 0.0, 0.5)) for turn in range(-20, 21, 5))
    return [_outline(turned) for turned in turns]


def _outline(cut: Image.Image) -> NDArray[np.bool_]:
    import numpy as np

    return np.asarray(cut.getchannel("A").resize((48, 48))) > 127


def _erase(canvas: Image.Image, image: Image.Image, piece: Piece) -> None:
    """Erase a thing: fill each row with the image's most frequent paper colour there."""
    import numpy as np
    from PIL import Image, ImageFilter

    from imagerag.agent.images.subject_segmentation import _NEAR, background_colours

    colours = background_colours(image)
    if colours is None:
        return
    pixels = np.asarray(image, np.float32)
    paper = np.min([np.linalg.norm(pixels - colour, axis=2) for colour in colours], axis=0) < _NEAR
    each = zip(pixels, paper, strict=True)
    rows = [np.median(row[plain], axis=0) if plain.any() else colours[0] for row, plain in each]
    sheet = np.repeat(np.asarray(rows)[:, None], image.width, axis=1)
    cut, box = piece
    mask = Image.new("L", image.size)
    mask.paste(cut.getchannel("A"), box[:2])
    wide = mask.filter(ImageFilter.MaxFilter(5))
    canvas.paste(Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8)), mask=wide)


def _place_of(box: Box, size: tuple[int, int]) -> Place:
    """A box as x, y and radius as `put` needs them: shares of the image's shorter side."""
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    x, y = ((box[0] + box[2]) / 2 - left) / side, ((box[1] + box[3]) / 2 - top) / side
    return x, y, max(box[2] - box[0], box[3] - box[1]) / 2 / side


def _free_place(rng: Random, occupied: Sequence[Place]) -> Place:
    """Of some candidates, the place farthest from all things; smaller if there is little room."""
    candidates = [(x, y, min(radius, 0.17)) for x, y, radius in (scatter(rng, 3)[0] for _ in range(40))]

    def room(place: Place) -> float:
        x, y, _ = place
        return min((((x - a) ** 2 + (y - b) ** 2) ** 0.5 - radius for a, b, radius in occupied), default=1.0)

    x, y, radius = max(candidates, key=room)
    return x, y, max(0.06, min(radius, room((x, y, radius)) * 0.9))
