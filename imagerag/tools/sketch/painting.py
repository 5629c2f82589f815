"""Paint a prompt of the sketch world, with references for unknown shapes and patterns.

The generator knows all colours and backgrounds but only some shapes and patterns. It guesses unknown words without
saying so, as generators do. A reference's subject is cut out of its pixels and placed as the concept it stands for; a
reference's metadata, caption and file name never decide the appearance. If the prompt wants one thing to look like
another (`a heart in the pattern of a teal ringed hexagon`), it takes the shared part from the reference's pixels:
outline, pattern, or all but the colour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.feedback import split_feedback
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.subject_segmentation import cut_subjects
from imagerag.tools.sketch.edit_parser import after_feedback
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
    """A reference image for the sketch generator.

    Attributes:
        data: encoded bytes.
        concept: its concept in the prompt, in words.
        role: `subject` is the user's own image: it is always painted, in an additional place if necessary; `edit` is
            the image that is changed.
    """

    data: bytes
    concept: str = ""
    role: Literal["subject", "reference", "edit"] = "reference"


@dataclass(slots=True)
class Spot:
    """A place on the canvas, with the requested thing and the cut-out that fills it.

    Attributes:
        after: the style transfer, if the prompt has one for it (`like the blue star but red`).
        model: the cut-out of the style's source.
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
    """Paint a prompt as an RGB image of `size` (width, height).

    Equal arguments give equal pixels. Positions depend only on the prompt without references, the subjects and the
    seed, so that an image stays recognisable from round to round. It paints at most three things.
    """
    from PIL import Image

    words, feedback = split_feedback(scene_prompt(prompt))
    prompt, borrowings = untangle(words)
    prompt = after_feedback(prompt, feedback) if feedback else prompt
    reading = parse(prompt)
    spots = _spots(prompt, reading.mentions, references, seed)
    for borrowing in borrowings:
        at = _find_mention(borrowing.target, [spot.mention for spot in spots])
        if at is not None:
            spots[at].after = borrowing
    for reference in sorted(references, key=lambda one: one.role != "subject"):
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
    """The prompt without the text that introduces references."""
    marked = _MARKED.match(prompt)
    if marked:
        return prompt[marked.end() :]
    return _PREFIX.sub("", prompt, count=1)


def _spots(
    prompt: str, mentions: tuple[ParsedMention, ...], references: Sequence[StyleReference], seed: int
) -> list[Spot]:
    selection = list(mentions[:MAX_THINGS])
    subjects = [reference.concept for reference in references if reference.role == "subject"]
    homeless = [concept for concept in subjects if _find(concept, selection) is None]
    extra = [ParsedMention(name="subject", text=concept.lower()) for concept in homeless]
    selection = [*extra, *selection][:MAX_THINGS] or [ParsedMention(text=prompt.lower())]
    places = scatter(Random(f"{seed}/{prompt}"), len(selection))
    return [Spot(mention, *place, subject=mention in extra) for mention, place in zip(selection, places, strict=True)]


def apply(reference: StyleReference, spots: list[Spot]) -> None:
    """Cut out the reference's subjects and assign them to the mentions of its concept."""
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
    """Assign cut-outs that show a style transfer's source to its place; return the others.

    The concept decides only what the image was searched for. Colour decides whether it shows the source: an image of
    the thing with its final look is no source.
    """
    rest = list(cutouts)
    for spot in (spot for spot in spots if spot.after and spot.model is None):
        assert spot.after is not None
        target, model = spot.after.target, spot.after.model
        mentions = parse(untangle(reference.concept)[0]).mentions
        if not any(max(_agreement(each, target), _agreement(each, model)) > 0 for each in mentions):
            continue
        shares = [(share(cutout, model.colour), share(cutout, target.colour), cutout) for cutout in rest]
        matches = [(part, cutout) for part, other, cutout in shares if part >= max(other, 0.2)]
        if matches:
            spot.model = max(matches, key=lambda pair: pair[0])[1]
            rest = [cutout for cutout in rest if cutout is not spot.model]
    return rest


def _own_place(reference: StyleReference, spots: list[Spot]) -> Spot | None:
    """The additional place of a subject that the prompt does not mention."""
    own = (spot for spot in spots if spot.subject and spot.mention.text == reference.concept.lower())
    return next((spot for spot in own if spot.cutout is None), None)


def _find(concept: str, mentions: list[ParsedMention]) -> int | None:
    positions = [_find_mention(mention, mentions) for mention in parse(concept).mentions]
    return next((at for at in positions if at is not None), None)


def _find_mention(concept: ParsedMention, mentions: list[ParsedMention]) -> int | None:
    """The mention that agrees most with a concept, among those that do not contradict it."""
    scores = [_agreement(concept, mention) for mention in mentions]
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
        return []  # an unreadable image cannot help; the judge will find the thing missing


def _fit(cutout: Image.Image, mention: ParsedMention) -> float:
    """Share of a cut-out in the requested colour, in [0, 1]; ties prefer the unknown mention."""
    unknown = mention.shape not in KNOWN_SHAPES or mention.pattern not in (None, *KNOWN_PATTERNS)
    if mention.colour is None:
        return 0.01 * unknown
    return round(share(cutout, mention.colour), 1) + 0.01 * unknown


def share(cutout: Image.Image, colour: str | None) -> float:
    """Share of a cut-out in a colour, in [0, 1]; 1 if none is requested."""
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
        return  # the user's own thing could not be cut out; a guess in its place would be wrong
    else:
        tile, corner = stamp(Placed(guess, spot.x, spot.y, spot.radius, rotation, 0.06, shade), side)
    canvas.paste(tile, (left + corner[0], top + corner[1]), tile)


def alone(place: Placed) -> Image.Image:
    tile = stamp(place, 320)[0]
    return tile.crop(tile.getbbox())


def _imagine(rng: Random, mention: ParsedMention) -> Thing:
    """Complete a mention: known attributes stay, the rest is guessed."""
    shape, pattern = rng.choice(KNOWN_SHAPES), rng.choice(KNOWN_PATTERNS)
    colour = rng.choice(COLOURS)
    if mention.shape in KNOWN_SHAPES:
        shape = mention.shape
    if mention.pattern in KNOWN_PATTERNS:
        pattern = mention.pattern
    elif mention.pattern is None and not mention.unknown:
        pattern = "solid"
    return Thing(shape, mention.colour or colour, pattern)
