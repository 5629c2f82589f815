"""Rewrite queries into captions of the sketch world: `I need something round and red` is searched as `a red circle`.

The sketch CLIP was trained on captions; a question's wording, a shop's "product" or another language moves a query's
vector far away from them. Only a completely understood query is rewritten, and the search reports it.
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
    """Captions of a query, one for each side of an "or"; empty if it stays as it is."""
    readings = [text, *(english for _, english in in_english(text, lambda word: False))]
    result = next((captions for reading in readings if (captions := _captions(reading))), ())
    return () if result == (text.strip().lower(),) else result


def _captions(text: str) -> tuple[str, ...]:
    phrases = [_phrase(side) for side in _SIDES.split(text) if _content(side)]
    if not phrases or any(phrase is None for phrase in phrases):
        return ()
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))


def _phrase(side: str) -> str | None:
    """One thing in canonical wording; None if a word, or all of it, is not understood."""
    words = _content(side)
    mentions = parse(" ".join(words)).mentions
    if len(mentions) != 1 or not _is_whole(mentions[0]) or parse(side).background:
        return None
    return mentions[0].phrase()


def _is_whole(mention: ParsedMention) -> bool:
    return mention.has_meaning and not mention.unknown and not mention.name


def _content(side: str) -> list[str]:
    """The words without a question's wording; a negation stays, so that the query is not rewritten."""
    table = translations()
    content = [word for word in tokens(side) if word not in _NOUNS and (word in _NEGATED or not is_plain(word))]
    return [table.get(word, word) for word in content]
