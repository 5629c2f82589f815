"""Feedback as an encoder checks it: by grammar for photographs, by the sketch world's words there."""

import pytest

from imagerag.agent.feedback import with_feedback
from imagerag.agent.types import Requirement, SamplingParams
from imagerag.tools.judges.clip.feedback import OVERRIDDEN, revise
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.sketch.edit_parser import after_feedback
from imagerag.tools.sketch.judge import revise as revise_sketch
from tests.tools.judges.clip.test_clip_judge import ColourEmbedder, scene


@pytest.mark.parametrize(
    ("prompt", "feedback", "own", "points"),
    [
        ("a man in brown boots and a tent", ["make the boots red"], ["a man in boots", "a tent"], [["red boots"]]),
        ("a man beside a tent", ["please remove the tent."], ["a man"], [["no tent"]]),
        ("a man", ["add a dog", "make the dog black"], ["a man"], [[], ["black dog"]]),
        ("a cat", ["replace the cat with a fox"], [], [["a fox"]]),
        ("a cat", ["change the colour of the cat to black"], [], [["black cat"]]),
        ("a cat", ["warmer light"], ["a cat"], [["warmer light"]]),
    ],
)
def test_a_change_of_a_photograph_is_read(
    prompt: str, feedback: list[str], own: list[str], points: list[list[str]]
) -> None:
    revised = revise(prompt, feedback)
    assert [one.text for one in revised.of_prompt] == own
    assert [[one.text for one in each] for each in revised.of_feedback] == points


@pytest.mark.parametrize(
    ("prompt", "feedback", "own", "points"),
    [
        (
            "a red circle and a blue star on a mint background",
            ["make the circle green", "on a white background"],
            ["a blue star"],
            [["a green circle"], ["a white background"]],
        ),
        ("a red circle", ["make the red circle blue", "make the circle green"], [], [[], ["a green circle"]]),
        ("a red circle", ["remove the circle"], [], [["no circle"]]),
        ("make the star red", ["make the star blue"], [], [["a blue star"]]),
        ("a red circle", ["more dramatic"], ["a red circle"], [["a more dramatic"]]),
        ("a red circle", ["make it pink"], [], [["a pink circle"]]),
        ("a red circle", ["please make it pink and striped."], [], [["a pink striped circle"]]),
        ("a red circle", ["it should be pink"], [], [["a pink circle"]]),
        ("a red circle", ["in pink, please"], [], [["a pink circle"]]),
        ("a red circle", ["the same but dotted"], [], [["a red dotted circle"]]),
        ("a red zorple", ["make it pink"], [], [["a pink zorple"]]),
        ("a red circle", ["make it pink", "make it blue"], [], [[], ["a blue circle"]]),
        ("a red circle", ["turn it into a star"], [], [["a red star"]]),
        (
            "a red circle on a mint background",
            ["make it pink on a sky background"],
            [],
            [["a pink circle", "a sky background"]],
        ),
        ("a red circle", ["remove it"], [], [["no red circle"]]),
        ("a red circle and a blue star", ["make them pink"], [], [["a pink circle", "a pink star"]]),
        ("two red circles", ["make all of them pink"], [], [["a pink circle"]]),
        ("a red circle and a star", ["make it pink"], ["a red circle", "a star"], [["make it pink"]]),
        ("a red circle", ["add a star", "make it pink"], ["a red circle"], [["a star"], ["make it pink"]]),
        ("a red circle", ["remove the circle", "add a star", "make it pink"], [], [["no circle"], [], ["a pink star"]]),
        ("a red circle", ["a pink thing"], ["a red circle"], [["a pink thing"]]),
        ("make the star red", ["make it blue"], [], [["a blue star"]]),
    ],
)
def test_a_change_of_a_sketch_is_read(
    prompt: str, feedback: list[str], own: list[str], points: list[list[str]]
) -> None:
    revised = revise_sketch(prompt, feedback)
    assert [one.text for one in revised.of_prompt] == own
    assert [[one.text for one in each] for each in revised.of_feedback] == points


def test_a_sketch_that_is_drawn_anew_is_what_was_changed() -> None:
    drawn = after_feedback("a red circle and a star on a mint background", ["make the circle blue", "add a heart"])
    assert drawn == "a star, a blue circle, a heart on a mint background"
    assert after_feedback("a red circle and a star", ["make it pink"]) == "a red circle, a star"
    assert after_feedback("a red circle and a star", ["make them pink"]) == "a pink circle, a pink star"


async def test_feedback_is_judged_beside_what_is_left_of_the_prompt() -> None:
    judge = ClipJudge(ColourEmbedder(), others=lambda _: ())
    feedback = ["make the ball blue", "make the ball green", "remove the red cube"]
    prompt = with_feedback("a red ball and a red cube and a blue star", feedback)
    requirements = [Requirement(text=text, kind="feedback") for text in feedback]
    critique = await judge.critique(
        prompt, scene("green", "blue"), subjects=(), requirements=requirements, mode="fused", variation=SamplingParams()
    )
    assert [(check.requirement.text, check.met) for check in critique.verdict.checks] == [
        ("a blue star", True),
        *[(text, True) for text in feedback],
    ]
    assert critique.verdict.checks[1].evidence == OVERRIDDEN
    again = await judge.critique(
        prompt,
        scene("blue"),
        subjects=(),
        requirements=critique.requirements,
        mode="fused",
        variation=SamplingParams(),
    )
    assert [check.requirement.text for check in again.verdict.checks if not check.met] == ["make the ball green"]
    # What is searched for is the thing, and the ledger knows it by the person's words.
    assert [(one.text, one.caption) for one in again.verdict.missing] == [("make the ball green", "green ball")]
