"""Text for the lists of a hybrid search that an image is in."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from imagerag.formatting.numbers import cosine, percent
from imagerag.formatting.text import clean

FIELDS: Final = {
    "caption": "in its caption", "title": "in its title", "tags": "in its tags", "ocr": "in the image",
    "description": "in a model's description of it",
}  # fmt: skip
"""Field → where words of the query are."""


class FoundBy(Protocol):
    """A list that an image is in, as `imagerag.agent.types.FoundBy`."""

    @property
    def list(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def share(self) -> float: ...
    @property
    def field(self) -> str: ...
    @property
    def words(self) -> tuple[str, ...]: ...


def found_by_text(lists: Sequence[FoundBy], names: Mapping[str, str] = MappingProxyType({})) -> str:
    """The lists in few words, that which counted most first: `words 1 (hiking, boots) · image 3`.

    Args:
        names: of lists, in another language.
    """
    return " · ".join(f"{names.get(one.list, one.list)} {one.rank}{_words(one)}" for one in lists)


def found_by_lines(lists: Sequence[FoundBy]) -> list[str]:
    """One line for each list: `70 % by words, place 1: boots in its caption`, `30 % by image, place 3: 0.312`."""
    return [f"{percent(one.share)} by {one.list}, place {one.rank}: {score_text(one)}" for one in lists]


def score_text(one: FoundBy) -> str:
    """The reason why a list has an image: a cosine, or the words that match and where they are."""
    if one.list != "words":
        return cosine(one.score)
    if not one.words:
        return f"BM25 {one.score:.1f}"
    return f"{clean(', '.join(one.words))} {FIELDS.get(one.field, '')}".strip()


def _words(one: FoundBy) -> str:
    return f" ({clean(', '.join(one.words))})" if one.words else ""
