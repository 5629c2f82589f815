"""The phrases and words of captions, and captions without the names of the things in them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

STOP_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those some any one of on in at by to for from with without and or as is are be it "
        "its into over under near next beside picture photo photograph image drawing illustration showing shows",
    )
)

LONGEST: Final = 16
"""Content words up to which phrases are compared position by position."""

WORD: Final = re.compile(r"\w+")
_ARTICLE = r"(?=(?:an?|the|one|two|three)\s)"
_PLACE = r"\b(?P<place>on|in|at|against|under|behind|in front of)"
_JOINER = re.compile(
    rf"(?:,|\band|\bwith|\bnext to|\bbeside|\bnear|{_PLACE})\s+{_ARTICLE}",
    re.IGNORECASE,
)


def phrases(text: str) -> list[tuple[str, bool]]:
    """The phrases of a text, each with whether it describes a location ("on a white table")."""
    found, start, place = [], 0, False
    for joint in _JOINER.finditer(text):
        found.append((text[start : joint.start()], place))
        start, place = joint.end(), joint["place"] is not None
    found.append((text[start:], place))
    return [(phrase.strip(" ,"), where) for phrase, where in found if words(phrase)]


def things(text: str) -> list[str]:
    """The single things that a caption of several names, each in at least two words."""
    return [phrase for phrase, where in phrases(text) if not where and len(words(phrase)) > 1]


def words(text: str) -> list[str]:
    """The content words of a text, in order, lower case."""
    return [word for word in WORD.findall(text.casefold()) if word not in STOP_WORDS]


def query_of(caption: str, title: str) -> str:
    """A caption without the name of the thing: the query of "Widget A, a red circle" is "a red circle".

    The name is the title when the caption has it, else a first part before a comma or colon whose words are all
    capitalised. Nothing is removed when nothing would be left.
    """
    text = " ".join(caption.split())
    rest = without_title(text, title) if text and title.strip() else text
    head, mark, tail = rest.partition(",") if "," in rest else rest.partition(":")
    if mark and all(word[0].isupper() or word[0].isdigit() for word in head.split()):
        rest = tail
    rest = " ".join(rest.split()).strip(" ,;:-–—|")
    return rest if words(rest) else text


def without_title(text: str, title: str) -> str:
    """A text without a title, wherever the title occurs as whole words, ignoring case.

    Own code: compiling a pattern for each title would take longer than all other work on a caption.
    """
    if not (text.isascii() and title.isascii()):
        return re.sub(rf"(?<!\w){re.escape(title)}(?!\w)", " ", text, flags=re.IGNORECASE)
    lower, sought = text.lower(), title.lower()
    kept, start, at = [], 0, lower.find(sought)
    while at >= 0:
        end = at + len(sought)
        if _in_word(lower[at - 1 : at]) or _in_word(lower[end : end + 1]):
            end = at + 1
        else:
            kept += [text[start:at], " "]
            start = end
        at = lower.find(sought, end)
    return "".join([*kept, text[start:]])


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def name_like(text: str) -> set[str]:
    """Words with a capital or a digit, which are names if only one row has them."""
    return {
        word.casefold() for word in WORD.findall(text) if word[0].isupper() or any(map(str.isdigit, word))
    } - STOP_WORDS


def exchangeable(captions: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """Word → words that captions use in its place, sorted; only words with such."""
    places: dict[tuple[tuple[str, ...], int], set[str]] = defaultdict(set)
    for caption in sorted(set(map(tuple, captions))):
        if 2 <= len(caption) <= LONGEST:
            for at, word in enumerate(caption):
                places[(*caption[:at], *caption[at + 1 :]), at].add(word)
    group: dict[str, set[str]] = {}
    for together in sorted(sorted(found) for found in places.values() if len(found) > 1):
        joined = set(together).union(*(group[word] for word in together if word in group))
        group.update(dict.fromkeys(joined, joined))
    return {word: sorted(members - {word}) for word, members in group.items()}


def with_articles(text: str) -> str:
    """English articles that fit the word after them, as an exchanged word may need."""
    fixed = re.sub(r"\b([Aa])n?\s+(?=[aeiou])", r"\1n ", text)
    return re.sub(r"\b([Aa])n\s+(?=[^aeiou\W])", r"\1 ", fixed)
