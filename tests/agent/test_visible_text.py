"""Text of which a reader sees nothing."""

import unicodedata
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.prompts import says_something
from imagerag.agent.types import ImageRef, Subject
from imagerag.agent.visible_text import is_blank
from imagerag.batch.row_reader import read_rows
from imagerag.graphs.validation import validate_feedback, validate_prompt, validate_question
from imagerag.store.text_files import clean

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
