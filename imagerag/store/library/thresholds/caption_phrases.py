"""The phrases of captions, and captions without the names of the things in them.

A text is split where another thing begins: in English and German after a joining word with an article, in Japanese
after `と` between two nouns, in Arabic before a word with "and".
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.visible_text import is_blank
from imagerag.store.library.thresholds.caption_words import arabic_prefix, content_units, words

NOUNS: Final = 0.4
"""Share of words with a capital, first ones aside, from which capitals tell no names."""

MOST_THINGS: Final = 4
"""Things of a text beyond which it is searched only as a whole: it is a description, not a list."""

LONGEST: Final = 16
"""Content words up to which phrases are compared position by position."""

_ARTICLE = r"(?=(?:an?|the|one|two|three|eine?[mnrs]?|de[rmn]|die|das|zwei|drei)\s)"
_PLACE = r"\b(?P<place>on|in|at|against|under|behind|in front of|auf|an|vor|hinter|unter|gegen)"
_JOINER = re.compile(
    rf"(?:,|\band|\bwith|\bnext to|\bbeside|\bnear|\bund|\bmit|\bneben|\bbei|{_PLACE})\s+{_ARTICLE}"
    r"|\b(?P<contracted>im|am)\s+(?=\w)",
    re.IGNORECASE,
)
_JAPANESE_JOINER = re.compile(
    r"、|(?<=[^\s\u3041-\u3096])と(?=[^\s\u3041-\u3096])"
    r"|(?P<before>の(?:上|下|中|前|横|隣|後ろ|そば|近く)(?:に|の|で)(?:ある|置かれた)?)"
)
_JOINED_BEFORE = re.compile(r"(?:\w+['’.&-])*$")
_JOINED_AFTER = re.compile(r"(?:['’.&-]\w+)*")
"""What is written together with a word: the rest of `Traveler's`, `2.0`, `All-Mountain`."""

_ARABIC_JOINER = re.compile(r"،\s*|\s(?:مع|بجانب)\s|\s(?P<place>على|في|فوق|تحت|أمام|خلف)\s")


@dataclass(frozen=True)
class _Joint:
    """Where one phrase ends and the next begins, and whether either is a location."""

    start: int
    end: int
    place: bool = False
    place_before: bool = False


def _joints(text: str) -> list[_Joint]:
    joints = [
        _Joint(one.start(), one.end(), one["place"] is not None or one["contracted"] is not None)
        for one in _JOINER.finditer(text)
    ]
    if not text.isascii():
        joints += [
            _Joint(one.start(), one.end(), place_before=one["before"] is not None)
            for one in _JAPANESE_JOINER.finditer(text)
        ]
        joints += [_Joint(one.start(), one.end(), one["place"] is not None) for one in _ARABIC_JOINER.finditer(text)]
        joints += _arabic_ands(text)
    return sorted(joints, key=lambda one: one.start)


def _arabic_ands(text: str) -> Iterator[_Joint]:
    for match in re.finditer(r"(?<=\s)و\w+", text):
        if arabic_prefix(match[0]).startswith("و"):
            yield _Joint(match.start(), match.start() + 1)


def phrases(text: str) -> list[tuple[str, bool]]:
    """The phrases of a text, each with whether it describes a location ("on a white table")."""
    parts, start, place = [], 0, False
    for joint in _joints(text):
        if joint.start >= start:
            parts.append((text[start : joint.start], place or joint.place_before))
            start, place = joint.end, joint.place
    parts.append((text[start:], place))
    return [(phrase.strip(" ,"), where) for phrase, where in parts if words(phrase)]


def things(text: str) -> list[str]:
    """The single things that a caption of several names, each in at least two words."""
    return [phrase for phrase, where in phrases(text) if not where and len(words(phrase)) > 1]


def query_of(caption: str, title: str, *, capitals: bool = True) -> str:
    """A caption without the name of the thing: the query of "Widget A, a red circle" is "a red circle".

    The name is the title when the caption has it, else a first part before a comma or colon whose words are all
    capitalised. Nothing is removed when nothing would be left.

    Args:
        capitals: whether capitals tell names (`tell_names`).
    """
    text = " ".join(caption.split())
    rest = without_title(text, title) if text and not is_blank(title) else text
    head, mark, tail = rest.partition(",") if "," in rest else rest.partition(":")
    if mark and capitals and all(word[0].isupper() or word[0].isdigit() for word in head.split()):
        rest = tail
    rest = " ".join(rest.split()).strip(" ,;:-–—|")
    return rest if words(rest) else text


def things_of(text: str) -> tuple[str, ...]:
    """The things that a text names, where it names several and little else; else nothing."""
    mentions = things(text)
    return tuple(mentions) if 1 < len(mentions) <= MOST_THINGS else ()


def without_title(text: str, title: str) -> str:
    """A text without a title, wherever the title occurs as whole words, ignoring case.

    Own code: compiling a pattern for each title would take longer than all other work on a caption.
    """
    if not (text.isascii() and title.isascii()):
        return re.sub(rf"(?<!\w){re.escape(title)}(?!\w)", " ", text, flags=re.IGNORECASE)
    lower, sought = text.lower(), title.lower()
    pieces, start, at = [], 0, lower.find(sought)
    while at >= 0:
        end = at + len(sought)
        if _in_word(lower[at - 1 : at]) or _in_word(lower[end : end + 1]):
            end = at + 1
        else:
            pieces += [text[start:at], " "]
            start = end
        at = lower.find(sought, end)
    return "".join([*pieces, text[start:]])


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def name_like(text: str, *, capitals: bool = True) -> set[str]:
    """Words with a capital or a digit, which are names if only one row has them.

    Args:
        capitals: whether capitals tell names (`tell_names`).
    """
    pairs = ((word.text, text[word.start : word.end]) for word in content_units(text))
    return {word for word, spelling in pairs if (capitals and spelling[0].isupper()) or any(map(str.isdigit, spelling))}


def tell_names(captions: Iterable[str]) -> bool:
    """Whether capitals tell names in these captions: not where most nouns have one, as in German, or most words."""
    initials = [text[word.start] for text in captions for word in content_units(text)[1:]]
    letters = [letter for letter in initials if letter.isupper() or letter.islower()]
    return sum(map(str.isupper, letters)) <= NOUNS * len(letters)


def exchangeable(captions: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """Word → words that captions use in its place, sorted; only words with such."""
    places: dict[tuple[tuple[str, ...], int], set[str]] = defaultdict(set)
    for caption in sorted(set(map(tuple, captions))):
        if 2 <= len(caption) <= LONGEST:
            for at, word in enumerate(caption):
                places[(*caption[:at], *caption[at + 1 :]), at].add(word)
    group: dict[str, set[str]] = {}
    for together in sorted(sorted(choices) for choices in places.values() if len(choices) > 1):
        joined = set(together).union(*(group[word] for word in together if word in group))
        group.update(dict.fromkeys(joined, joined))
    return {word: sorted(members - {word}) for word, members in group.items()}


def exchanged(text: str, start: int, end: int, word: str) -> str:
    """A text with another word in a place, and the English article before it that fits the word."""
    before = re.sub(
        r"\b([Aa])n?(\s+)$", lambda article: article[1] + "n" * _is_vowel(word[:1]) + article[2], text[:start]
    )
    return f"{before}{word}{text[end:]}"


def _is_vowel(letter: str) -> bool:
    return letter.lower() in "aeiou" and bool(letter)


def parts_of(text: str) -> list[str]:
    """All neighbouring words of a text that are about half of its content words; the text, if it has only one."""
    units = content_units(text)
    if len(units) < 2:
        return [text]
    count, parts = (len(units) + 1) // 2, []
    for first in range(len(units) - count + 1):
        start, end = units[first].start, units[first + count - 1].end
        start -= len(_JOINED_BEFORE.search(text[:start])[0])  # type: ignore[index]
        parts.append(text[start : end + len(_JOINED_AFTER.match(text[end:])[0])])  # type: ignore[index]
    return parts
