"""Painting a prompt of the sketch world, with references for what the painter does not know.

It knows every colour and background but only some shapes and patterns. For a word it does not know it guesses, and
does not say so, as generators do. A reference's subject is cut out of the reference's pixels and put in the place of
the concept it stands for; metadata, captions and file names of a reference never decide what it looks like. Where the
prompt wants one thing after another (`a heart in the pattern of a teal ringed hexagon`), it takes from the reference's
pixels what the two share: outline, pattern, or all but the colour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import open_rgb
from imagerag.tools.judges.clip.subject_segmentation import cut_subjects
from imagerag.tools.sketch.renderer import INK, backdrop, stamp
from imagerag.tools.sketch.style_transfer import StyleTransfer, after, untangle
from imagerag.tools.sketch.text_parser import ParsedMention, parse
from imagerag.tools.sketch.world import COLOURS, MAX_THINGS, Placed, Thing, scatter

if TYPE_CHECKING:
    from PIL import Image

KNOWN_SHAPES: Final = ("circle", "square", "triangle", "rectangle", "diamond", "oval", "star", "heart")
KNOWN_PATTERNS: Final = ("solid", "striped", "dotted")


@dataclass(frozen=True, slots=True)
class StyleReference:
    """An image handed to the painter.

    Attributes:
        data: Encoded bytes.
        concept: What it stands for in the prompt, in words.
        role: `subject` is the user's own image: it is always painted, in a place of its own if need be; `edit` is the
            image that is changed.
    """

    data: bytes
    concept: str = ""
    role: Literal["subject", "reference", "edit"] = "reference"


@dataclass(slots=True)
class Spot:
    """A place on the canvas, what is asked for there, and the cut-out that will fill it.

    Attributes:
        after: what it is to look like, where the prompt says so (`like the blue star but red`).
        model: the cut-out of that.
    """

    mention: ParsedMention
    x: float
    y: float
    radius: float
    subject: bool = False
    cutout: Image.Image | None = None
    after: StyleTransfer | None = None
    model: Image.Image | None = None


def paint(
    prompt: str, references: Sequence[StyleReference], *, seed: int = 0, size: tuple[int, int] = (256, 256)
) -> Image.Image:
    """Paint a prompt, an RGB image of `size` (width, height).

    The same arguments give the same pixels. Where things are depends only on the prompt proper, the subjects and the
    seed, so an image stays recognisable from round to round. More than three things are more than it can paint.
    """
    from PIL import Image

    prompt, borrowings = untangle(scene_prompt(prompt))
    reading = parse(prompt)
    spots = _spots(prompt, reading.mentions, references, seed)
    for borrowing in borrowings:
        at = _find_mention(borrowing.target, [spot.mention for spot in spots])
        if at is not None:
            spots[at].after = borrowing
    for reference in sorted(references, key=lambda given: given.role != "subject"):
        apply(reference, spots)
    scale = 2 if max(size) <= 1024 else 1
    width, height = size[0] * scale, size[1] * scale
    canvas = backdrop(reading.background or "white", max(width, height), seed).crop((0, 0, width, height))
    for index, spot in enumerate(spots):
        put(canvas, spot, Random(f"{seed}/{index}/{spot.mention.text}"))
    return canvas if scale == 1 else canvas.resize(size, Image.Resampling.BOX)


_PREFIX: Final = re.compile(r"^\s*according to these images of\b.*?,\s*generate:?\s+(?=\S)", re.IGNORECASE | re.DOTALL)
_MARKED: Final = re.compile(
    r"^\s*according to these images of <1\b[^:]{0,20}: .*>, (?:generate|edit the first): ", re.IGNORECASE | re.DOTALL
)


def scene_prompt(prompt: str) -> str:
    """The prompt proper, without the words that introduce references."""
    marked = _MARKED.match(prompt)
    if marked:
        return prompt[marked.end() :]
    return _PREFIX.sub("", prompt, count=1)


def _spots(
    prompt: str, mentions: tuple[ParsedMention, ...], references: Sequence[StyleReference], seed: int
) -> list[Spot]:
    wanted = list(mentions[:MAX_THINGS])
    subjects = [reference.concept for reference in references if reference.role == "subject"]
    homeless = [concept for concept in subjects if _find(concept, wanted) is None]
    extra = [ParsedMention(name="subject", text=concept.lower()) for concept in homeless]
    wanted = [*extra, *wanted][:MAX_THINGS] or [ParsedMention(text=prompt.lower())]
    places = scatter(Random(f"{seed}/{prompt}"), len(wanted))
    return [Spot(mention, *place, subject=mention in extra) for mention, place in zip(wanted, places, strict=True)]


def apply(reference: StyleReference, spots: list[Spot]) -> None:
    """Cut the reference's subjects out and share them among the mentions its concept speaks of."""
    cutouts = _lend(reference, _cut(reference.data), spots)
    open_spots: list[Spot] = []
    concept = untangle(reference.concept)[0]
    for mention in parse(concept).mentions or (ParsedMention(text=concept.lower()),):
        free = [spot for spot in spots if spot.cutout is None and not spot.subject and spot not in open_spots]
        at = _find_mention(mention, [spot.mention for spot in free])
        spot = free[at] if at is not None else _own_place(reference, spots)
        if spot is not None:
            open_spots.append(spot)
    while cutouts and open_spots:
        fits = [(_fit(cutout, spot.mention), spot, cutout) for spot in open_spots for cutout in cutouts]
        _, spot, cutout = max(fits, key=lambda fit: fit[0])
        spot.cutout = cutout
        open_spots.remove(spot)
        cutouts.remove(cutout)


def _lend(reference: StyleReference, cutouts: list[Image.Image], spots: list[Spot]) -> list[Image.Image]:
    """Give cut-outs that show the model of a borrowing to its place; the others are given back.

    Words decide only what the image was sought for. Whether it shows the model is decided by colour: an image of the
    thing as it is to come out is no model.
    """
    left = list(cutouts)
    for spot in (spot for spot in spots if spot.after and spot.model is None):
        assert spot.after is not None
        target, model = spot.after.target, spot.after.model
        said = parse(untangle(reference.concept)[0]).mentions
        if not any(max(_agreement(each, target), _agreement(each, model)) > 0 for each in said):
            continue
        shares = [(share(cutout, model.colour), share(cutout, target.colour), cutout) for cutout in left]
        shown = [(part, cutout) for part, other, cutout in shares if part >= max(other, 0.2)]
        if shown:
            spot.model = max(shown, key=lambda pair: pair[0])[1]
            left = [cutout for cutout in left if cutout is not spot.model]
    return left


def _own_place(reference: StyleReference, spots: list[Spot]) -> Spot | None:
    """The place that was made for this subject because the prompt does not mention it."""
    own = (spot for spot in spots if spot.subject and spot.mention.text == reference.concept.lower())
    return next((spot for spot in own if spot.cutout is None), None)


def _find(concept: str, mentions: list[ParsedMention]) -> int | None:
    found = [_find_mention(mention, mentions) for mention in parse(concept).mentions]
    return next((at for at in found if at is not None), None)


def _find_mention(wanted: ParsedMention, mentions: list[ParsedMention]) -> int | None:
    """The mention that a concept agrees with most, among those it does not contradict."""
    scores = [_agreement(wanted, mention) for mention in mentions]
    best = max(scores, default=0)
    return scores.index(best) if best > 0 else None


def _agreement(concept: ParsedMention, mention: ParsedMention) -> int:
    score = 0
    for mine, theirs, weight in (
        (concept.shape, mention.shape, 4), (concept.colour, mention.colour, 2), (concept.pattern, mention.pattern, 2)
    ):  # fmt: skip
        if mine and theirs:
            score += weight if mine == theirs else -weight * 3
    words = set(concept.text.split()) | {concept.name}
    return score + 3 * len(set(mention.unknown) & words) + 3 * bool(mention.name and mention.name in concept.text)


def _cut(data: bytes) -> list[Image.Image]:
    try:
        return cut_subjects(open_rgb(data))
    except UsageError:
        return []  # what cannot be read cannot help; the judge will see that it did not


def _fit(cutout: Image.Image, mention: ParsedMention) -> float:
    """Share of a cut-out that has the requested colour, in [0, 1]; in a tie the unknown goes first."""
    unknown = mention.shape not in KNOWN_SHAPES or mention.pattern not in (None, *KNOWN_PATTERNS)
    if mention.colour is None:
        return 0.01 * unknown
    return round(share(cutout, mention.colour), 1) + 0.01 * unknown


def share(cutout: Image.Image, colour: str | None) -> float:
    """Share of a cut-out that has a colour, in [0, 1]; 1 where none is requested."""
    import numpy as np

    if colour is None:
        return 1.0
    pixels = np.asarray(cutout, dtype=np.float32)
    inside = pixels[..., 3] > 0
    near = np.linalg.norm(pixels[..., :3] - np.array(INK[colour]), axis=2) < 60
    return float((near & inside).sum() / inside.sum())


def put(canvas: Image.Image, spot: Spot, rng: Random) -> None:
    from PIL import Image

    side = min(canvas.size)
    left, top = (canvas.width - side) // 2, (canvas.height - side) // 2
    guess = _imagine(rng, spot.mention)
    rotation, shade = rng.uniform(-12, 12), rng.uniform(0.4, 0.6)
    cutout = spot.cutout
    if spot.after is not None and spot.model is not None:
        cloth = Thing("square", guess.colour, guess.pattern)
        shape, own = (alone(Placed(thing, 0.5, 0.5, 0.4, rotation, 0.06, shade)) for thing in (guess, cloth))
        cutout = after(spot.model, spot.after, cutout or shape, own)
    if cutout is not None:
        reach = 2 * spot.radius * side / max(cutout.size)
        size = (max(1, round(cutout.width * reach)), max(1, round(cutout.height * reach)))
        tile = cutout.resize(size, Image.Resampling.LANCZOS)
        corner = round(spot.x * side - size[0] / 2), round(spot.y * side - size[1] / 2)
    elif spot.subject:
        return  # the user's own thing could not be cut out; anything else in its place would be a lie
    else:
        tile, corner = stamp(Placed(guess, spot.x, spot.y, spot.radius, rotation, 0.06, shade), side)
    canvas.paste(tile, (left + corner[0], top + corner[1]), tile)


def alone(place: Placed) -> Image.Image:
    tile = stamp(place, 320)[0]
    return tile.crop(tile.getbbox())


def _imagine(rng: Random, mention: ParsedMention) -> Thing:
    """Complete a mention: known attributes as they are, guesses for the rest."""
    shape, pattern = rng.choice(KNOWN_SHAPES), rng.choice(KNOWN_PATTERNS)
    colour = rng.choice(COLOURS)
    if mention.shape in KNOWN_SHAPES:
        shape = mention.shape
    if mention.pattern in KNOWN_PATTERNS:
        pattern = mention.pattern
    elif mention.pattern is None and not mention.unknown:
        pattern = "solid"
    return Thing(shape, mention.colour or colour, pattern)
