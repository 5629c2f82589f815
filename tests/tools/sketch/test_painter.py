"""The painter: what it knows, that it guesses the rest, and that references decide by their pixels."""

import io
from functools import cache
from random import Random

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.images.subject_segmentation import cut_subjects, regions
from imagerag.agent.ports import ImageGenerator, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.sketch.generator import SketchGenerator
from imagerag.tools.sketch.painting import KNOWN_PATTERNS, KNOWN_SHAPES, StyleReference, paint, scene_prompt
from imagerag.tools.sketch.renderer import INK, draw
from imagerag.tools.sketch.world import PATTERNS, SHAPES, Placed, Scene, Thing, describe

Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def png(scene: Scene) -> bytes:
    buffer = io.BytesIO()
    draw(scene, 256).save(buffer, "PNG")
    return buffer.getvalue()


def reference(thing: Thing, concept: str | None = None, background: str = "white") -> StyleReference:
    return StyleReference(png(Scene((Placed(thing),), background)), concept or describe(thing))


def silhouette(picture: Image.Image) -> Mask:
    """The largest subject's mask, scaled to 48 x 48."""
    cutout = cut_subjects(picture)[0]
    return np.asarray(cutout.getchannel("A").resize((48, 48))) > 127


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def alike(first: Image.Image, second: Image.Image) -> float:
    return overlap(silhouette(first), silhouette(second))


@cache
def silhouettes(shape: str) -> list[Mask]:
    placed = (Placed(Thing(shape, "red", "solid"), rotation=angle) for angle in range(-12, 13, 6))
    return [silhouette(draw(Scene((place,)), 96)) for place in placed]


def like(picture: Image.Image, shape: str) -> float:
    """How much it looks like a shape, at the rotation that fits best."""
    found = silhouette(picture)
    return max(overlap(found, other) for other in silhouettes(shape))


def share(picture: Image.Image, colour: str) -> float:
    pixels = np.asarray(picture, dtype=np.float32)
    return float((np.linalg.norm(pixels - np.array(INK[colour]), axis=2) < 30).mean())


MOON = Thing("crescent", "purple", "checkered")


def test_it_knows_half_of_the_world() -> None:
    assert set(KNOWN_SHAPES) < set(SHAPES)
    assert set(KNOWN_PATTERNS) < set(PATTERNS)
    assert (len(KNOWN_SHAPES), len(KNOWN_PATTERNS)) == (8, 3)


@pytest.mark.parametrize("shape", KNOWN_SHAPES)
def test_what_it_knows_it_paints(shape: str) -> None:
    painted = paint(f"a red solid {shape}", [])
    assert like(painted, shape) > 0.8
    assert like(painted, shape) > max(like(painted, other) for other in SHAPES) - 0.01
    assert share(painted, "red") > 0.02


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - set(KNOWN_SHAPES)))
def test_what_it_does_not_know_it_guesses(shape: str) -> None:
    for seed in range(2):
        guess = paint(f"a red solid {shape}", [], seed=seed)
        assert max(like(guess, other) for other in KNOWN_SHAPES) > max(0.8, like(guess, shape))


def test_a_reference_takes_the_place_of_the_guess() -> None:
    prompt = describe(MOON)
    alone, helped = paint(prompt, []), paint(prompt, [reference(MOON)])
    truth = draw(Scene((Placed(MOON),)))
    assert alike(helped, truth) > 0.95 > alike(alone, truth)


def test_the_pixels_of_a_reference_decide_and_not_its_words() -> None:
    lie = reference(Thing("arrow", "green", "ringed"), concept=describe(MOON))
    painted = paint(describe(MOON), [lie])
    assert share(painted, "green") > 0.01
    assert share(painted, "purple") == 0


def test_two_concepts_get_their_own_references() -> None:
    bolt = Thing("bolt", "orange", "split")
    prompt = f"{describe(MOON)} and {describe(bolt)} on a grid background"
    both = paint(prompt, [reference(bolt), reference(MOON, background="sky")])
    one = paint(prompt, [reference(MOON)])
    assert len(regions(both)) == 2
    assert share(both, "purple") > 0.005
    assert share(both, "orange") > 0.005
    # The layout holds from round to round: only the bolt's place differs.
    changed = np.abs(np.asarray(both, np.int16) - np.asarray(one, np.int16)).sum(axis=2) > 30
    left, top, right, bottom = max(regions(both), key=lambda box: share(both.crop(box), "orange"))
    inside = np.zeros_like(changed)
    inside[max(top - 30, 0) : bottom + 30, max(left - 30, 0) : right + 30] = True
    assert changed.any()
    assert not (changed & ~inside).any()


def test_a_reference_with_two_subjects_can_serve_two_concepts() -> None:
    bolt = Thing("bolt", "orange", "split")
    scene = Scene((Placed(MOON, 0.27, 0.3, 0.2), Placed(bolt, 0.72, 0.7, 0.2)))
    prompt = f"{describe(bolt)} and {describe(MOON)}"
    painted = paint(prompt, [StyleReference(png(scene), prompt)])
    assert share(painted, "purple") > 0.005
    assert share(painted, "orange") > 0.005


def test_a_reference_for_something_else_is_left_out() -> None:
    assert paint("a red solid heart", [reference(MOON)]).tobytes() == paint("a red solid heart", []).tobytes()


@pytest.mark.parametrize("data", [b"", b"no picture", png(Scene((Placed(MOON),)))[:200]])
def test_an_unreadable_reference_is_like_none(data: bytes) -> None:
    assert (
        paint(describe(MOON), [StyleReference(data, describe(MOON))]).tobytes() == paint(describe(MOON), []).tobytes()
    )


def test_a_subject_of_the_user_is_always_there() -> None:
    logo = Thing("flower", "lime", "ringed")
    given = StyleReference(reference(logo).data, "my logo", "subject")
    for prompt in ("my logo next to a blue star", "a blue star on a sky background"):
        painted = paint(prompt, [given])
        assert share(painted, "lime") > 0.01
        assert share(painted, "blue") > 0.01


def test_the_words_that_introduce_references_are_not_painted() -> None:
    prompt = "a blue solid star on a mint background"
    plain = paint(prompt, [])
    for said in (
        f"According to these images of <1: a red circle, solid>, <2: an arrow>, generate: {prompt}",
        f"According to these images of a red circle, generate {prompt}",
    ):
        assert scene_prompt(said) == prompt
        assert paint(said, []).tobytes() == plain.tobytes()


def test_nonsense_still_gives_a_picture() -> None:
    for prompt in ("", "a zorple", "colourless green ideas sleep furiously", "5 red circles, 4 stars and 3 hearts"):
        assert paint(prompt, []).size == (256, 256)


@pytest.mark.parametrize("size", [(64, 64), (400, 256), (200, 500)])
def test_any_size_can_be_asked_for(size: tuple[int, int]) -> None:
    painted = paint("a red circle and a blue star", [], size=size)
    assert painted.size == size
    assert len(regions(painted)) == 2


def test_seed_and_prompt_decide_everything() -> None:
    prompt = f"a teal zorple and {describe(MOON)}"
    again = [paint(prompt, [reference(MOON)], seed=4).tobytes() for _ in range(2)]
    assert again[0] == again[1]
    assert paint(prompt, [reference(MOON)], seed=5).tobytes() != again[0]


async def test_it_is_an_image_generator() -> None:
    painter: ImageGenerator = SketchGenerator()
    part = ImagePart(data=reference(MOON).data, media_type="image/png", concept=describe(MOON))
    items = painter.template.item.format(n=1, caption="x")
    prompt = painter.template.whole.format(items=items, prompt=describe(MOON))
    made = await painter.generate(prompt, [part], variation=SamplingParams(seed=3), size=Size(width=128, height=96))
    with Image.open(io.BytesIO(made.data)) as picture:
        assert picture.size == (128, 96)
        expected = paint(describe(MOON), [StyleReference(part.data, part.concept)], seed=3, size=(128, 96))
        assert picture.tobytes() == expected.tobytes()
    assert made.cost_usd == 0


def test_places_vary_with_the_seed() -> None:
    rng = Random(0)
    boxes = {tuple(regions(paint("a red heart", [], seed=rng.randrange(100)))) for _ in range(5)}
    assert len(boxes) > 1
