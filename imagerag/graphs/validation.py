"""Validation of user input: prompts, questions, ids, and texts that can be stored."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from imagerag.agent.errors import UsageError
from imagerag.agent.feedback import MAX_FEEDBACK, MAX_FEEDBACKS
from imagerag.agent.prompts import says_something
from imagerag.agent.qa.types import MAX_QUESTION_IMAGES, SearchBy
from imagerag.agent.visible_text import is_blank

MAX_PROMPT: Final = 32_000
"""Characters: what the Images API takes."""

MAX_QUESTION: Final = 4_000


def validate_prompt(prompt: str) -> str:
    """Validate a prompt and return it.

    Raises:
        UsageError: empty, too long, or not text that can be stored (NUL bytes, lone surrogates).
    """
    _check_text(prompt, "the prompt")
    if is_blank(prompt) and is_storable_text(prompt):
        raise UsageError("the prompt is empty: say what to draw")
    if len(prompt) > MAX_PROMPT:
        raise UsageError(f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT} can be drawn")
    return _check_storable(prompt, "the prompt")


def validate_feedback(feedback: Sequence[str]) -> list[str]:
    """Validate a run's feedback and return it, each on one line and each once: where it was said last, since a later
    feedback overrides an earlier one.

    Raises:
        UsageError: one that is empty or too long, too many, or text that cannot be stored.
    """
    for words in feedback:
        _check_text(words, "the feedback")
    lines = [" ".join(_check_storable(words, "the feedback").split()) for words in feedback]
    if any(not says_something(words) for words in lines):
        raise UsageError("the feedback is empty: say what is to be different")
    if (longest := max(map(len, lines), default=0)) > MAX_FEEDBACK:
        raise UsageError(f"the feedback has {longest} characters; at most {MAX_FEEDBACK} are taken at once")
    if len(once := list(dict.fromkeys(reversed(lines)))[::-1]) > MAX_FEEDBACKS:
        raise UsageError(
            f"the run has {len(once)} feedbacks with those before; at most {MAX_FEEDBACKS}: begin a new run"
        )
    return once


def validate_question(question: str) -> str:
    """Validate a question and return it without spaces at its ends.

    Raises:
        UsageError: empty, too long, or not text that can be stored (NUL bytes, lone surrogates).
    """
    _check_text(question, "the question")
    if is_blank(question) or not re.search(r"\w", question):
        raise UsageError("the question is empty: say what you want to know")
    if len(question) > MAX_QUESTION:
        raise UsageError(f"the question has {len(question)} characters; at most {MAX_QUESTION} can be asked")
    return _check_storable(question, "the question").strip()


def validate_match_reason(by: SearchBy | None, images: Sequence[object]) -> SearchBy:
    """Query kinds of a question: by default all that it comes with.

    Raises:
        UsageError: too many images, or none to search with.
    """
    if len(images) > MAX_QUESTION_IMAGES:
        raise UsageError(f"{len(images)} images are too many for one question: at most {MAX_QUESTION_IMAGES}")
    if not images and by in ("image", "both"):
        raise UsageError(f"to search by {by} a question needs an image: `images=FILE`")
    return by or ("both" if images else "words")


def validate_id(run_id: str | None) -> str | None:
    """Validate a run id and return it; None stays None.

    Raises:
        UsageError: empty, too long, or with anything but letters, digits, - and _.
    """
    return _name(run_id, "a run id")


def validate_thread(thread: str | None) -> str | None:
    """Validate a thread id and return it; None stays None.

    Raises:
        UsageError: empty, too long, or with anything but letters, digits, - and _.
    """
    return _name(thread, "a thread's id")


def is_storable_text(text: str) -> bool:
    """Whether text can be stored: it holds no NUL byte, and no half of a character (a lone surrogate)."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def check_texts(values: Any, name: str = "") -> None:
    """Check that all text in some values can be stored.

    Raises:
        UsageError: it cannot.
    """
    if isinstance(values, BaseModel):
        values = values.model_dump()
    if isinstance(values, str):
        _check_storable(values, name)
    elif isinstance(values, Mapping):
        for key, value in values.items():
            check_texts(str(key), name or "a name")
            check_texts(value, name or str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            check_texts(value, name)


def _check_text(value: object, name: str) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{name} has to be text, not {type(value).__name__}")


def _check_storable(text: str, name: str) -> str:
    if not is_storable_text(text):
        raise UsageError(f"{name} holds a NUL byte or half a character (a lone surrogate)")
    return text


def _name(name: str | None, what: str) -> str | None:
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        raise UsageError(f"{what} is 1 to 100 letters, digits, - and _; not {name[:60]!r}")
    return name
