"""The vocabulary, the scenes, and that describing and reading are each other's inverse."""

import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.tools.sketch.caption_text import (
    SYNONYMS,
    CaptionSpec,
    false_claim,
    full_claim,
    part_claim,
    say,
    vague_claim,
)
from imagerag.tools.sketch.text_parser import ParsedMention, parse
from imagerag.tools.sketch.world import (
    BACKGROUNDS,
    COLOURS,
    PATTERNS,
    SHAPES,
    Thing,
    all_things,
    article,
    describe,
    listing,
    random_scene,
    scatter,
)

things = st.builds(Thing, st.sampled_from(SHAPES), st.sampled_from(COLOURS), st.sampled_from(PATTERNS))


def test_the_vocabulary_has_the_promised_size() -> None:
    assert (len(SHAPES), len(COLOURS), len(PATTERNS), len(BACKGROUNDS)) == (16, 12, 6, 8)
    words = [*SHAPES, *COLOURS, *PATTERNS, *BACKGROUNDS]
    assert len(set(words)) == len(words)
    assert len(set(all_things())) == 16 * 12 * 6


def test_a_thing_of_another_world_is_refused_with_what_exists() -> None:
    with pytest.raises(ValueError, match="no 'mauve'; it has: red, orange"):
        Thing("circle", "mauve", "solid")


def test_importing_the_world_loads_nothing_heavy() -> None:
    code = (
        "import sys, imagerag.tools.sketch.world, imagerag.tools.sketch.text_parser, imagerag.tools.sketch.renderer;"
        "print([m for m in ('torch', 'open_clip', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.lists(things, min_size=1, max_size=3), st.sampled_from(BACKGROUNDS))
def test_reading_a_caption_gives_the_scene_back(wanted: list[Thing], background: str) -> None:
    reading = parse(f"{listing([describe(thing) for thing in wanted])} on {article(background)} background")
    assert [(m.shape, m.colour, m.pattern) for m in reading.mentions] == [
        (thing.shape, thing.colour, thing.pattern) for thing in wanted
    ]
    assert reading.background == background
    assert not any(mention.unknown for mention in reading.mentions)


@given(st.integers(0, 10_000))
def test_every_way_of_saying_a_claim_is_read_back(seed: int) -> None:
    rng = Random(seed)
    scene = random_scene(rng)
    for make in (full_claim, part_claim, vague_claim, false_claim):
        claim = make(rng, scene)
        text = say(rng, claim)
        reading = parse(text)
        read = [CaptionSpec(m.shape, m.colour, m.pattern) for m in reading.mentions if m.has_meaning]
        assert read == list(claim.wishes), text
        assert reading.background == claim.background, text


@pytest.mark.parametrize(("word", "form"), [(word, form) for word, forms in SYNONYMS.items() for form in forms])
def test_synonyms_mean_the_same(word: str, form: str) -> None:
    frame = "a red circle on a {} background" if word in BACKGROUNDS else "there is a {} thing"
    first, second = parse(frame.format(word)), parse(frame.format(form))
    assert replace(second.mentions[0], text="") == replace(first.mentions[0], text="")
    assert second.background == first.background


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a circle, red and solid", [("circle", "red", "solid")]),
        ("a circular red thing", [("circle", "red", None)]),
        ("two red circles and a plus sign", [("circle", "red", None)] * 2 + [("cross", None, None)]),
        ("a circle with red stripes", [("circle", "red", "striped")]),
        ("a teal circle plus a pink square", [("circle", "teal", None), ("square", "pink", None)]),
        ("a hexagon in black with polka dots", [("hexagon", "black", "dotted")]),
        ("A VIOLET Polka-Dotted Lightning Bolt!", [("bolt", "purple", "dotted")]),
        ("a red circle, a blue square and a yellow star", [(s, c, None) for s, c in
         (("circle", "red"), ("square", "blue"), ("star", "yellow"))]),
        ("a red circle with striped teal oval", [("circle", "red", None), ("oval", "teal", "striped")]),
        ("a circle that is red and dotted and star", [("circle", "red", "dotted"), ("star", None, None)]),
        ("", []),
        ("a picture with a mint background", []),
    ],
)  # fmt: skip
def test_readings(text: str, expected: list[tuple[str, ...]]) -> None:
    assert [(m.shape, m.colour, m.pattern) for m in parse(text).mentions] == expected


def test_unknown_words_stay_visible() -> None:
    assert parse("a purple zorple").mentions == (
        ParsedMention(None, "purple", None, unknown=("zorple",), text="purple zorple"),
    )
    assert parse("a photo of a dog").mentions[0].unknown == ("dog",)
    assert parse("a white circle").mentions[0].unknown == ("white",)


def test_a_name_is_told_from_the_thing_it_names() -> None:
    first, second = parse("Widget A, a red solid circle, next to Gadget X, a green solid triangle").mentions
    assert (first.name, first.shape) == ("widget a", "circle")
    assert (second.name, second.shape) == ("gadget x", "triangle")
    assert parse("a dog, a red circle").mentions[1].name == ""


@settings(max_examples=40)
@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    for mention in parse(text).mentions:
        assert mention.phrase()


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_things_neither_overlap_nor_leave_the_canvas(seed: int, count: int) -> None:
    places = scatter(Random(seed), count)
    assert all(radius <= x <= 1 - radius and radius <= y <= 1 - radius for x, y, radius in places)
    for at, (x, y, radius) in enumerate(places):
        assert all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in places[:at])


def test_describe_uses_the_right_article() -> None:
    assert describe(Thing("circle", "orange", "solid")) == "an orange solid circle"
    assert describe(Thing("oval", "red", "dotted")) == "a red dotted oval"
