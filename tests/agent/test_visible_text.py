"""Text of which a reader sees nothing."""

import unicodedata
from types import SimpleNamespace
from typing import Any, Final

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.prompts import says_something
from imagerag.agent.types import ImageRef, Subject
from imagerag.agent.types.filters import parse_filter
from imagerag.agent.visible_text import is_blank
from imagerag.batch.row_reader import read_rows
from imagerag.cli.library.images import pairs_of
from imagerag.client.similarity import check_text
from imagerag.graphs.validation import validate_feedback, validate_prompt, validate_question
from imagerag.store.library.metadata.image_metadata import read_metadata
from imagerag.store.text_files import clean, parsed
from imagerag.tools.generators.image_models import check_request

BLANK: Final = (
    "", " \n\t", "\u200b", "\ufeff", "\u00ad", "\u202e\u202c", "\u2066\u2069", "\u200d\u200d", "\u2060", "\u3000",
    "\u00a0", "\ufe0f", "\u034f", "\u3164", "\u115f\u1160", "\u2800 \u2800", "\u180e", "\U000e0041\U000e007f", "\x07",
    " \u200b \ufeff ",
)  # fmt: skip
VISIBLE: Final = (
    "a",
    "?",
    "猫",
    "🎨",
    "❤\ufe0f",
    "👩\u200d🎨",
    "\u200ba\u200b",
    "é",
    "e\u0301",
    "\u202eقطة",
    "\ue000",
    "\U0001fae9",
)


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_a_text_of_which_nothing_is_seen_is_empty_at_every_door(text: str) -> None:
    assert is_blank(text)
    assert not says_something(text)
    assert clean(text) == ""
    for validate, kind in ((validate_prompt, "prompt"), (validate_question, "question")):
        with pytest.raises(UsageError, match=f"the {kind} is empty"):
            validate(text)
    with pytest.raises(UsageError, match="the feedback is empty"):
        validate_feedback([text])
    (row,) = read_rows([{"prompt": text}])
    assert "the prompt is empty" in row.problem
    image = ImageRef(sha256="0" * 64, media_type="image/png", width=1, height=1)
    assert Subject(image=image, name=text).name == ""


@pytest.mark.parametrize("text", VISIBLE, ids=ascii)
def test_a_text_of_which_something_is_seen_is_none(text: str) -> None:
    assert not is_blank(text)
    assert validate_prompt(text) == clean(text) == text


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u2800\u3164\uffa0")))
def test_letters_digits_and_signs_are_seen(text: str) -> None:
    assert is_blank(text) == (not text)


@given(st.text(st.characters(categories=["Z", "Cf"])))
def test_spaces_and_directions_are_not_seen(text: str) -> None:
    assert is_blank(text), [unicodedata.name(letter, "") for letter in text]


@pytest.mark.parametrize("text", ["\0", "\ud800", "\u200b\0"], ids=ascii)
def test_what_cannot_be_stored_is_said_to_be_that(text: str) -> None:
    with pytest.raises(UsageError, match="NUL byte or half a character"):
        validate_prompt(text)


@pytest.mark.parametrize("text", BLANK)
def test_a_text_that_shows_nothing_is_empty_wherever_a_person_types_one(text: str) -> None:
    """What is asked of a backend is refused before it: none is made here."""
    facts: Any = SimpleNamespace(max_references=1)
    encoder: Any = None
    with pytest.raises(UsageError, match="the prompt is empty"):
        check_request("gpt-image-1", facts, text, 0, None)
    with pytest.raises(UsageError, match="say what the image is compared with"):
        check_text(encoder, text)
    with pytest.raises(ValueError, match="it is empty"):
        parsed(text)
    with pytest.raises(click.BadParameter):
        pairs_of(click.Context(click.Command("update")), click.Option(["--set"]), (f"{text}=1",))
    assert parse_filter(text) is None
    assert read_metadata({"caption": text, "tags": [text, "a"]}).tags == ("a",)
