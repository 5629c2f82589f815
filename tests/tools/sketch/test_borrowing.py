"""One thing drawn after another: the text says what, the pixels of a reference say how."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.images.subject_segmentation import cut_subjects
from imagerag.tools.sketch.judge import checklist
from imagerag.tools.sketch.painting import StyleReference, paint
from imagerag.tools.sketch.renderer import INK, draw, stamp
from imagerag.tools.sketch.style_transfer import StyleTransfer, after, untangle
from imagerag.tools.sketch.text_parser import ParsedMention
from imagerag.tools.sketch.world import COLOURS, PATTERNS, SHAPES, Placed, Scene, Thing


def reference(thing: Thing, concept: str) -> StyleReference:
    data = io.BytesIO()
    draw(Scene((Placed(thing),))).save(data, "PNG")
    return StyleReference(data.getvalue(), concept)


def share(image: Image.Image, colour: str) -> float:
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return float((np.linalg.norm(pixels - np.array(INK[colour]), axis=2) < 60).mean())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a purple heart in the pattern of the teal ringed hexagon", "a purple ringed heart"),
        (
            "a heart in the style of a teal ringed hexagon on a mint background",
            "a teal ringed heart on a mint background",
        ),
        (
            "a red solid circle and a heart with the look of the teal ringed hexagon",
            "a red solid circle and a teal ringed heart",
        ),
        ("the teal checkered crescent, but in red", "a red checkered crescent"),
        ("like the teal checkered crescent but striped", "a teal striped crescent"),
        (
            "a variant of the teal checkered crescent but a star and a red circle",
            "a teal checkered star and a red circle",
        ),
    ],
)
def test_what_is_to_come_out(text: str, plain: str) -> None:
    assert untangle(text)[0] == plain
    assert checklist(text) == checklist(plain), "the judge is asked for what comes out"


@pytest.mark.parametrize(
    "text",
    [
        "a cat in the style of Van Gogh",
        "a red circle but blurry",
        "a red circle and a blue star",
        "",
        "but",
        "the red circle",
    ],
)
def test_what_this_world_cannot_say_stays_as_it_is(text: str) -> None:
    assert untangle(text) == (text, ())


@given(st.text(alphabet=st.sampled_from("abut ,.the rdlikesyofi'\n"), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    untangle(text)


def test_a_variant_is_the_reference_in_another_colour() -> None:
    prompt = "the teal checkered crescent, but in red"
    image = paint(prompt, [reference(Thing("crescent", "teal", "checkered"), prompt)], seed=1)
    assert share(image, "red") > 0.02
    assert share(image, "teal") < 0.001


def test_without_the_reference_it_is_a_guess_as_ever() -> None:
    prompt = "the teal checkered crescent, but in red"
    assert paint(prompt, [], seed=1).tobytes() == paint("a red checkered crescent", [], seed=1).tobytes()


def test_words_do_not_decide_what_a_reference_shows() -> None:
    """Told it is teal and ringed, it is a brown split thing all the same: its pattern is not taken."""
    prompt = "a purple heart in the pattern of the teal ringed hexagon"
    wrong = paint(prompt, [reference(Thing("drop", "brown", "split"), prompt)], seed=1)
    right = paint(prompt, [reference(Thing("hexagon", "teal", "ringed"), prompt)], seed=1)
    assert wrong.tobytes() != right.tobytes()
    assert share(right, "purple") > 0.02
    assert share(right, "teal") < 0.001


def test_a_reference_for_the_shape_and_one_for_the_pattern() -> None:
    prompt = "a purple crescent in the pattern of the teal ringed hexagon"
    pattern, shape = Thing("hexagon", "teal", "ringed"), Thing("crescent", "orange", "solid")
    one = paint(prompt, [reference(pattern, prompt)], seed=1)
    both = paint(prompt, [reference(pattern, prompt), reference(shape, prompt)], seed=1)
    assert one.tobytes() != both.tobytes()
    assert share(both, "orange") < 0.001


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_thing_can_lend_to_every_shape(shape: str, pattern: str) -> None:
    model = cut_subjects(draw(Scene((Placed(Thing(shape, "blue", pattern)),))))[0]
    heart, _ = stamp(Placed(Thing("heart", "red", "solid")), 160)
    heart = heart.crop(heart.getbbox())
    wanted = StyleTransfer(ParsedMention("heart", "red", pattern), ParsedMention(shape, "blue", pattern))
    made = after(model, wanted, heart, heart)
    assert made.getchannel("A").getbbox() is not None
    shown = Image.alpha_composite(Image.new("RGBA", made.size, "white"), made)
    assert share(shown, "red") > 0.02
    # But for the thinnest seams where light meets dark.
    assert share(shown, "blue") < 0.01


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_can_be_dyed(colour: str) -> None:
    prompt = f"like the blue ringed star but {colour}"
    image = paint(prompt, [reference(Thing("star", "blue", "ringed"), prompt)], seed=2)
    assert share(image, colour) > 0.01
