"""Additions to a repeated question: the concepts already searched in vain, and a request for others."""

from collections.abc import Sequence
from typing import Final

from imagerag.tools.judges.vlm.prompts import quoted

_OTHER_CONCEPTS: Final = (
    "The following was named before, and no picture of it was found. Name none of it again. Name what else would help "
    "somebody who draws this: another word for it, something more general or more specific, a part of it, what it is "
    "made of, or its style."
)
_OTHER_CAPTIONS: Final = (
    "No picture was found with the following captions. Write none of them again: describe each concept in other words, "
    "by what can be seen of it."
)


def other_concepts(failed_searches: Sequence[str]) -> tuple[str, ...]:
    """Addition to the question for missing concepts; empty if nothing was searched in vain."""
    return _with(_OTHER_CONCEPTS, failed_searches)


def other_captions(failed_searches: Sequence[str]) -> tuple[str, ...]:
    """Addition to the question for captions."""
    return _with(_OTHER_CAPTIONS, failed_searches)


def _with(words: str, failed_searches: Sequence[str]) -> tuple[str, ...]:
    return ("\n".join([words, *(f"SEARCH: {quoted(text)}" for text in failed_searches)]),) if failed_searches else ()
