"""Judges without a key are asked for what is missing in other words, and find other words that mean the same."""

import pytest

from imagerag.agent.types import Requirement
from imagerag.tools.judges.clip import hard_negatives
from imagerag.tools.sketch.judge import reworded
from imagerag.tools.sketch.text_parser import parse
from imagerag.tools.sketch.world import BACKGROUNDS, SHAPES, all_things, article, describe


def others(text: str) -> list[str]:
    return [found.text for n in (1, 2) for found in reworded(Requirement(text=text), n)]


def test_every_thing_of_the_sketch_world_has_two_other_wordings_that_mean_the_same() -> None:
    for thing in all_things():
        wordings = others(describe(thing))
        assert len({describe(thing), *wordings}) == 3
        for wording in wordings:
            (mention,) = parse(wording).mentions
            assert (mention.shape, mention.colour, mention.pattern) == (thing.shape, thing.colour, thing.pattern)
            assert not mention.unknown


@pytest.mark.parametrize("shape", SHAPES)
def test_so_has_a_bare_shape(shape: str) -> None:
    wordings = others(article(shape))
    assert len({article(shape), *wordings}) == 3
    assert [[mention.shape for mention in parse(wording).mentions] for wording in wordings] == [[shape], [shape]]


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_background_stays_that_background(background: str) -> None:
    wordings = others(article(f"{background} background"))
    assert wordings
    assert {parse(wording).background for wording in wordings} == {background}


def test_words_that_mean_nothing_here_are_left_out_but_what_it_is_about_is_not() -> None:
    assert others("a blue split shimmering crescent")[0] == "a blue two-tone moon"
    assert others("a zorple") == others("a blue zorple") == []


@pytest.mark.parametrize(
    ("text", "wordings"),
    [
        ("a red vintage car", ["a vintage car", "a car"]),
        ("a large orange and white cat on a sofa", ["a cat", "a cat"]),
        ("two golden retrievers", ["two retrievers", "two retrievers"]),
        ("an old owl", ["an owl", "an owl"]),
        ("a cat", []),
        ("red", []),
    ],
)
def test_photographs_are_sought_by_more_general_words(text: str, wordings: list[str]) -> None:
    found = [other.text for n in (1, 2) for other in hard_negatives.reworded(Requirement(text=text), n)]
    assert found == wordings


def test_a_style_has_no_other_words() -> None:
    style = Requirement(text="in the style of Van Gogh", kind="style")
    assert hard_negatives.reworded(style, 1) == hard_negatives.reworded(style, 2) == ()
