import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.tools.judges.clip.checklist import ADJECTIVES, DETERMINERS, FRAMES, RELATIONS, checklist
from imagerag.tools.judges.clip.hard_negatives import common_objects, hard_negatives


@pytest.mark.parametrize(
    ("prompt", "content", "style"),
    [
        (
            "a red solid circle and a blue striped square on a grid background",
            ["a red solid circle", "a blue striped square"],
            ["a grid background"],
        ),
        ("a red circle, a blue square and a green star", ["a red circle", "a blue square", "a green star"], []),
        ("a golden retriever and a cradle", ["a golden retriever", "a cradle"], []),
        ("cats and dogs", ["cats", "dogs"], []),
        ("a photo of a black and white cat next to a dog", ["a black and white cat", "a dog"], []),
        ("a large, red ball", ["a large, red ball"], []),
        ("a circle, red and solid, and a star", ["a circle, red and solid", "a star"], []),
        ("a red ball and blue cube", ["a red ball", "blue cube"], []),
        ("a man with a beard holding a sign", ["a man", "a beard", "a sign"], []),
        ('a sign that says "salt and pepper, please"', ['a sign that says "salt and pepper, please"'], []),
        ("a street with no cars", ["a street with no cars"], []),
        ("a cat on fire", ["a cat on fire"], []),
        ("a cat and a mat, A CAT", ["a cat", "a mat"], []),
        (
            "an oil painting of a cat in the style of Van Gogh",
            ["a cat"],
            ["an oil painting", "in the style of Van Gogh"],
        ),
        ("red ball, photorealistic, 4k", ["red ball"], ["photorealistic", "4k"]),
        ("a house in watercolor style", ["a house"], ["in watercolor style"]),
        ("Draw me a picture of a Lucario.", ["a Lucario"], []),
        ("draw me a picture", ["draw me a picture"], []),
        ("two red circles", ["two red circles"], []),
        ("  ", [], []),
        ("?!", ["?!"], []),
    ],
)
def test_a_prompt_is_split_into_what_it_asks_for(prompt: str, content: list[str], style: list[str]) -> None:
    found = checklist(prompt)
    assert [requirement.text for requirement in found if requirement.kind == "content"] == content
    assert [requirement.text for requirement in found if requirement.kind == "style"] == style


WORDS = [
    *sorted(DETERMINERS), *sorted(ADJECTIVES)[:12], *RELATIONS, *sorted(FRAMES), "cat", "dog", "Widget", "oil",
    "painting", "style", "background", ",", ".", "and", '"', "(", ")", "ünïcode", "4k",
]  # fmt: skip
DROPPED = DETERMINERS | FRAMES | {word for relation in RELATIONS for word in relation.split()} | {"the"}


def content_words(text: str) -> set[str]:
    return set(re.findall(r"[\w'’#%&/+-]*\w[\w'’#%&/+-]*", text.lower())) - DROPPED


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
def test_no_content_word_is_lost(prompt: str) -> None:
    found = checklist(prompt)
    assert bool(found) == bool(prompt.strip())
    assert content_words(prompt) <= {word for requirement in found for word in content_words(requirement.text)}
    assert len({requirement.text.lower() for requirement in found}) == len(found)


@given(st.text(max_size=200))
def test_any_text_can_be_split(prompt: str) -> None:
    found = checklist(prompt)
    assert bool(found) == bool(prompt.strip())
    assert all(requirement.text.strip() for requirement in found)


def test_a_hard_negative_changes_one_word() -> None:
    found = hard_negatives("a red wooden ball")
    assert "a blue wooden ball" in found
    assert "a red metal ball" in found
    assert "a red wooden ball" not in found
    assert "a blue metal ball" not in found
    assert hard_negatives("a gray sky")[0] == "a red sky"
    assert "a grey sky" not in hard_negatives("a gray sky")
    assert hard_negatives("a Lucario") == []


def test_a_thing_does_not_compete_with_itself() -> None:
    assert len(common_objects("a Lucario")) > 140
    assert "an apple" in common_objects("a cat")
    assert not {"a cat", "a dog"} & set(common_objects("two cats and a dog"))
