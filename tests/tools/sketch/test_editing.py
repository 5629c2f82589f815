"""The sketch world's edits: what a text asks to change, what the painter leaves alone, what its judge sees of it."""

import io
from random import Random

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.feedback import with_feedback
from imagerag.agent.images.subject_segmentation import placed_cuts
from imagerag.agent.intents import KEPT
from imagerag.agent.ports import ImagePart, Judge
from imagerag.agent.types import Requirement, SamplingParams, Verdict
from imagerag.tools.registry import make_judge
from imagerag.tools.sketch.edit_parser import read_edits, requirements_of
from imagerag.tools.sketch.image_editing import repaint
from imagerag.tools.sketch.out_of_domain import foreign_words, is_foreign
from imagerag.tools.sketch.renderer import PAPER, draw
from imagerag.tools.sketch.world import Placed, Scene, Thing, random_scene


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


THINGS = (Thing("circle", "red", "striped"), Thing("star", "blue", "solid"), Thing("hexagon", "teal", "dotted"))
SCENE = random_scene(Random(3), THINGS, "sky")
ORIGINAL = png(draw(SCENE))


@pytest.mark.parametrize(
    ("text", "things", "grounds"),
    [
        ("change the background to mint", [], ["a mint background"]),
        ("change the background to a beach", [], ["a beach background"]),
        ("Please make the circle green", ["a green circle"], []),
        ("turn the blue star into a purple heart", ["a purple heart"], []),
        ("change the colour of the square to green", ["a green square"], []),
        ("replace the star with a purple heart", ["a purple heart"], []),
        ("remove the star", ["no star"], []),
        ("add a teal hexagon", ["a teal hexagon"], []),
        ("make the circle red and add a blue star", ["a red circle", "a blue star"], []),
        ("make the red star blue, keep the rest", ["a blue star"], []),
        ("make the background mint and remove the circle", ["no circle"], ["a mint background"]),
        ("a red circle on a sky background", ["a red circle"], ["a sky background"]),
    ],
)
def test_what_an_edit_asks_for_is_read(text: str, things: list[str], grounds: list[str]) -> None:
    assert requirements_of(read_edits(text)) == (things, grounds)


def test_words_of_an_edit_are_no_foreign_words() -> None:
    assert not is_foreign("change the background to mint")
    assert foreign_words("change the background to a beach") == ["beach"]
    assert foreign_words("make the circle a zorple") == ["zorple"]


def part(data: bytes, role: str = "reference") -> ImagePart:
    return ImagePart(data=data, media_type="image/png", role=role)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return make_judge("sketch")


async def verdict(judge: Judge, prompt: str, image: bytes) -> Verdict:
    asked = [Requirement(text=KEPT, kind="kept", image=1)]
    told = await judge.critique(
        prompt,
        part(image),
        subjects=[part(ORIGINAL, "edit")],
        requirements=asked,
        mode="fused",
        variation=SamplingParams(),
    )
    return told.verdict


def changed(image: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(image, np.int16) - np.asarray(draw(SCENE), np.int16)).max(axis=2) > 0


@pytest.mark.parametrize(
    "prompt",
    [
        "make the circle green",
        "turn the blue star into a purple heart",
        "remove the star",
        "change the hexagon to lime",
    ],
)
async def test_an_edit_changes_its_thing_and_not_one_pixel_elsewhere(judge: Judge, prompt: str) -> None:
    made = repaint(prompt, ORIGINAL, [], seed=1)
    assert 0.005 < changed(made).mean() < 0.25
    found = await verdict(judge, prompt, png(made))
    assert found.aligned, found.checks
    assert [check.requirement.kind for check in found.checks] == ["content", "kept"]


async def test_a_new_background_leaves_the_things_where_they_are(judge: Judge) -> None:
    made = repaint("change the background to mint", ORIGINAL, [])
    assert made.getpixel((2, 2)) == PAPER["mint"]
    assert (await verdict(judge, "change the background to mint", png(made))).aligned


async def test_a_picture_in_which_nothing_changed_lacks_the_change_and_only_that(judge: Judge) -> None:
    found = await verdict(judge, "make the circle green", ORIGINAL)
    assert [(check.requirement.text, check.met) for check in found.checks] == [("a green circle", False), (KEPT, True)]
    assert [concept.text for concept in found.missing] == ["a green circle"]


async def test_a_new_picture_with_the_change_in_it_did_not_keep_the_rest(judge: Judge) -> None:
    """What was drawn when an edit was told not to edit: a green circle, and everything else gone."""
    other = png(draw(Scene((Placed(Thing("circle", "green", "solid"), 0.5, 0.5, 0.3, 0, 0.06, 0.5),), "white")))
    found = await verdict(judge, "make the circle green", other)
    assert [check.met for check in found.checks] == [True, False]
    assert found.missing == ()
    assert "other things changed or moved" in found.checks[1].evidence
    assert "the background changed" in found.checks[1].evidence


async def test_something_that_should_be_gone_is_seen(judge: Judge) -> None:
    found = await verdict(judge, "remove the star", ORIGINAL)
    assert [check.met for check in found.checks] == [False, False]


@pytest.mark.parametrize("differs", ["", "shape", "colour", "pattern"])
async def test_the_very_same_thing_is_told_from_one_that_differs_in_one_word(judge: Judge, differs: str) -> None:
    own = Thing("heart", "purple", "dotted")
    other = {"shape": "drop", "colour": "pink", "pattern": "ringed"}
    words = {name: other[name] if name == differs else getattr(own, name) for name in other}
    sent = png(draw(Scene((Placed(own, 0.5, 0.5, 0.4, 5, 0.06, 0.5),), "white")))
    image = png(draw(random_scene(Random(8), (Thing(**words), Thing("circle", "red", "solid")), "lined")))
    asked = [Requirement(text="it: the very one of picture 1", kind="likeness", image=1)]
    told = await judge.critique(
        "a red circle", part(image), subjects=[part(sent)], requirements=asked, mode="fused", variation=SamplingParams()
    )
    assert [check.met for check in told.verdict.checks] == [True, not differs]
    assert told.verdict.missing == ()


async def test_an_edit_with_feedback_keeps_the_rest_of_the_original(judge: Judge) -> None:
    made = repaint("turn the blue star into a purple heart", repainted("make the circle green"), [])
    found = await verdict(
        judge, with_feedback("make the circle green", ["turn the blue star into a purple heart"]), png(made)
    )
    assert (KEPT, True) in [(check.requirement.text, check.met) for check in found.checks]


def repainted(prompt: str) -> bytes:
    return png(repaint(prompt, ORIGINAL, []))


async def test_what_is_added_covers_nothing_that_the_same_edit_paints(judge: Judge) -> None:
    before = png(draw(random_scene(Random(3), THINGS[:2], "sky")))
    for seed in range(4):
        made = repaint("make the circle green; add a purple heart", before, [], seed=seed)
        assert len(placed_cuts(made)) == 3


ALONE = Scene((Placed(Thing("circle", "red", "solid"), 0.4, 0.5, 0.25, 0, 0.06, 0.5),), "white")


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("make it pink", "a pink circle"),
        ("in pink, please", "a pink circle"),
        ("turn it into a star", "a red star"),
        ("the same but dotted", "a red dotted circle"),
    ],
)
async def test_an_edit_without_a_name_changes_the_only_thing(judge: Judge, prompt: str, wanted: str) -> None:
    original = png(draw(ALONE))
    made = png(repaint(prompt, original, []))
    assert len(placed_cuts(Image.open(io.BytesIO(made)))) == 1
    for words in (prompt, wanted):
        told = await judge.critique(
            words, part(made), subjects=[part(original, "edit")],
            requirements=[Requirement(text=KEPT, kind="kept", image=1)] if words == prompt else [],
            mode="fused", variation=SamplingParams(),
        )  # fmt: skip
        assert told.verdict.aligned, told.verdict.checks


async def test_an_edit_without_a_name_changes_all_things_or_none_of_several(judge: Judge) -> None:
    assert png(repaint("make it pink", ORIGINAL, [])) == png(Image.open(io.BytesIO(ORIGINAL)))
    made = png(repaint("make them pink", ORIGINAL, []))
    assert (await verdict(judge, "make them pink", made)).checks[-1].met
    assert len(placed_cuts(Image.open(io.BytesIO(made)))) == len(THINGS)
    scene = with_feedback("a red striped circle, a blue solid star and a teal dotted hexagon", ["make them pink"])
    told = await judge.critique(
        scene, part(made), subjects=(), requirements=[Requirement(text="make them pink", kind="feedback")],
        mode="fused", variation=SamplingParams(),
    )  # fmt: skip
    assert told.verdict.aligned, told.verdict.checks


async def test_the_judge_says_that_it_does_not_know_which_thing_is_meant(judge: Judge) -> None:
    told = await judge.critique(
        with_feedback("a red circle and a blue star", ["make it pink"]), part(ORIGINAL), subjects=(),
        requirements=[Requirement(text="make it pink", kind="feedback")], mode="fused", variation=SamplingParams(),
    )  # fmt: skip
    (check,) = [check for check in told.verdict.checks if check.requirement.kind == "feedback"]
    assert not check.met
    assert check.unclear
    assert check.evidence == "the sketch judge does not know which thing “make it pink” means: name it"
    assert "make it pink" not in [concept.text for concept in told.verdict.missing]
