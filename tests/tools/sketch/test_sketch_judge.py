"""The sketch judge on the sketch CLIP that comes with the package, and on its words alone."""

import dataclasses
from random import Random

import pytest

from imagerag.agent.images.encoding import png
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import Requirement, SamplingParams
from imagerag.tools.registry import make_embedder, make_judge
from imagerag.tools.sketch.judge import checklist, hard_negatives, wordings
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import COLOURS, PATTERNS, SHAPES, Thing, describe, listing, random_scene, random_thing

CASES = 30
SEED = 970_000


@pytest.mark.parametrize(
    ("prompt", "content", "style"),
    [
        (
            "a red solid circle and a blue striped square on a grid background",
            ["a red solid circle", "a blue striped square"],
            ["a grid background"],
        ),
        ("a circle, red and plain, next to two blue moons", ["a red solid circle", "a blue crescent"], []),
        ("Widget A, a red solid circle", ["a red solid circle"], []),
        ("an oil painting of a red zorple", ["a red zorple"], ["an oil painting"]),
        ("a gray disc on a white background", ["a grey circle"], ["a white background"]),
        ("?", ["?"], []),
        (" ", [], []),
    ],
)
def test_a_prompt_becomes_words_of_the_world(prompt: str, content: list[str], style: list[str]) -> None:
    found = checklist(prompt)
    assert [requirement.text for requirement in found if requirement.kind == "content"] == content
    assert [requirement.text for requirement in found if requirement.kind == "style"] == style


def test_hard_negatives_exchange_one_word_that_is_said() -> None:
    full = hard_negatives("a red solid circle")
    assert len(full) == len(set(full)) == len(SHAPES) + len(COLOURS) + len(PATTERNS) - 3
    assert "a red solid oval" in full
    assert "a red solid circle" not in full
    assert len(hard_negatives("a circle")) == len(SHAPES) - 1
    assert len(hard_negatives("a grid background")) == 7
    assert len(hard_negatives("a red zorple")) == len(SHAPES) + len(COLOURS) - 1
    assert hard_negatives("?") == []


def test_a_background_is_the_background_of_something() -> None:
    assert wordings(["a grid background"], "style") == ["something with a grid background"]
    assert wordings(["a red circle"], "content") == ["a red circle"]


def cases(kind: str):
    """Drawings of one to three things with a prompt: all there; one there and one not; one that is not."""
    rng = Random(f"{SEED}/{kind}")
    for _ in range(CASES):
        scene = random_scene(rng)
        absent = random_thing(rng)
        if rng.random() < 0.5:
            name, words = rng.choice((("shape", SHAPES), ("colour", COLOURS), ("pattern", PATTERNS)))
            absent = dataclasses.replace(rng.choice(scene.things), **{name: rng.choice(words)})
        if absent in scene.things:
            continue
        things = {"there": list(scene.things), "mixed": [scene.things[0], absent], "absent": [absent]}[kind]
        image = ImagePart(data=png(draw(scene)), media_type="image/png")
        yield listing([describe(thing) for thing in things]), describe(absent), image


@pytest.mark.parametrize("kind", ["there", "mixed", "absent"])
async def test_it_sees_what_is_there_and_names_what_is_not(kind: str) -> None:
    judge = make_judge("sketch")
    right = named = total = 0
    for prompt, absent, image in cases(kind):
        answer = await judge.critique(
            prompt, image, subjects=[], requirements=[], mode="fused", variation=SamplingParams()
        )
        total += 1
        right += answer.verdict.aligned == (kind == "there")
        named += [concept.text for concept in answer.verdict.missing] == [absent]
    assert right >= 0.9 * total
    if kind != "there":
        assert named >= 0.9 * total


async def test_circle_and_hexagon_are_told_apart() -> None:
    judge, rng, taken, missed = make_judge("sketch"), Random(f"{SEED}/round"), 0, 0
    for colour in COLOURS:
        for shape, other in (("circle", "hexagon"), ("hexagon", "circle")):
            thing = Thing(shape, colour, rng.choice(PATTERNS))
            image = ImagePart(data=png(draw(random_scene(rng, (thing, random_thing(rng))))), media_type="image/png")
            wrong = dataclasses.replace(thing, shape=other)
            asked = [Requirement(text=describe(one)) for one in (thing, wrong)]
            answer = await judge.critique(
                "", image, subjects=[], requirements=asked, mode="fused", variation=SamplingParams()
            )
            right, near = answer.verdict.checks
            missed += not right.met
            taken += near.met
    assert taken <= 1
    assert missed <= 1


async def test_it_says_what_the_world_does_not_know() -> None:
    judge = make_judge("sketch")
    scene = random_scene(Random(SEED))
    image = ImagePart(data=png(draw(scene)), media_type="image/png")
    prompt = f"{describe(scene.things[0])} and a {scene.things[0].colour} zorple"
    answer = await judge.critique(prompt, image, subjects=[], requirements=[], mode="fused", variation=SamplingParams())
    assert any("zorple" in concept.text for concept in answer.verdict.missing)


def test_the_packaged_clip_fits_its_port() -> None:
    embedder = make_embedder("sketch")
    assert embedder.identity.dimension == 128
    assert embedder.context_length == 32
    assert embedder.count_tokens("a red solid circle") == 6
