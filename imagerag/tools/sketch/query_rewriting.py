"""A query in the sketch world's own words: `I need something round and red` is searched for as `a red circle`.

The sketch CLIP was trained on captions; a question's frame, a shop's "product" or another language move its vector far
from any. Only a query that is understood to its last word is put into other words, and whoever searches says so.
"""

import re
from typing import Final

from imagerag.agent.qa.metadata_query.languages import in_english
from imagerag.agent.qa.metadata_query.word_forms import is_plain, tokens
from imagerag.tools.sketch.text_parser import ParsedMention, parse
from imagerag.tools.sketch.translations import translations

_SIDES: Final = re.compile(r"\s*(?:\bor\b|\?|\.(?=\s|$)|;)\s*")
_NOUNS: Final = frozenset({"product", "products", "one", "ones", "something", "anything", "thing", "things"})
_NEGATED: Final = frozenset({"not", "no", "without", "except", "non", "nor", "neither"})


def queries(text: str) -> tuple[str, ...]:
    """The captions that a query asks for, one for each side of an "or"; none where it stays as it is."""
    readings = [text, *(english for _, english in in_english(text, lambda word: False))]
    found = next((said for reading in readings if (said := _captions(reading))), ())
    return () if found == (text.strip().lower(),) else found


def _captions(text: str) -> tuple[str, ...]:
    said = [_phrase(side) for side in _SIDES.split(text) if _content(side)]
    if not said or any(phrase is None for phrase in said):
        return ()
    return tuple(dict.fromkeys(phrase for phrase in said if phrase))


def _phrase(side: str) -> str | None:
    """One thing in canonical words; None where a word is not understood, or nothing of it is."""
    words = _content(side)
    mentions = parse(" ".join(words)).mentions
    if len(mentions) != 1 or not _is_whole(mentions[0]) or parse(side).background:
        return None
    return mentions[0].phrase()


def _is_whole(mention: ParsedMention) -> bool:
    return mention.known and not mention.unknown and not mention.name


def _content(side: str) -> list[str]:
    """The words that are left without a question's frame; a negation stays, so that nothing is made of it."""
    known = translations()
    said = [word for word in tokens(side) if word not in _NOUNS and (word in _NEGATED or not is_plain(word))]
    return [known.get(word, word) for word in said]
