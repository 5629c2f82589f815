"""The language of a library's captions: English, German, Japanese or Arabic, by script and by stop words."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from imagerag.store.library.thresholds.caption_words import ENGLISH, GERMAN, units

Language = Literal["en", "de", "ja", "ar"]
"""Of what captions without a match are there; a BCP 47 tag."""

_UMLAUTS: Final = frozenset("äöüß")


def language_of(captions: Iterable[str]) -> Language:
    """The language that most captions seem to be in; English where nothing speaks for another one."""
    votes = Counter(found for caption in captions if (found := _language(caption)) is not None)
    return votes.most_common(1)[0][0] if votes else "en"


def _language(caption: str) -> Language | None:
    """The language of one caption; None where nothing tells."""
    found = [word.text for word in units(caption)]
    letters = "".join(found)
    if any("\u3041" <= letter <= "\u30ff" for letter in letters):
        return "ja"
    if 2 * sum("\u0600" <= letter <= "\u06ff" for letter in letters) > len(letters):
        return "ar"
    german = sum(word in GERMAN - ENGLISH for word in found) + sum(not _UMLAUTS.isdisjoint(word) for word in found)
    english = sum(word in ENGLISH - GERMAN for word in found)
    return None if german == english else "de" if german > english else "en"
