"""Full-text search of a library by LanceDB (BM25): captions, titles, tags, the words that OCR read, and descriptions.

Text is split into words by Unicode rules (ICU, part of LanceDB), so that Japanese, Chinese and Thai captions are found
by a word in them. Case and accents do not matter. Words are reduced to their stems in the language of most captions.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from imagerag.agent.ports import Filter
from imagerag.store.library.accents import spellings
from imagerag.store.library.description_columns import WORDS
from imagerag.store.library.filters.filter_expressions import expression_of
from imagerag.store.library.region_columns import records_of
from imagerag.store.library.schema import present

WORD_COLUMNS = ("caption", "title", "tags", "ocr", WORDS)
"""What is searched by words; those of OCR and descriptions where the library has them."""

WORD: Final = re.compile(r"[^\W_]+")

SPLIT: Final = "icu/split"
"""LanceDB's tokenizer: words as ICU finds them, and further at signs such as `_` and `-`, as in names of files."""

SAMPLED: Final = 2_000
"""Captions that the language is told from."""

_COMMON_WORDS: Final = {
    language: frozenset(words.split())
    for language, words in {
        "English": "the a an of with on in and is at",
        "German": "der die das und ein eine einem einer mit auf im am ist von",
        "French": "le les des une et dans avec sur du est aux",
        "Spanish": "el los las y una con en del es sobre",
        "Italian": "il gli di una e con nel della su che sono",
        "Portuguese": "o os as uma e com em do da no na",
        "Dutch": "het een en met op van de in is aan",
        "Swedish": "en ett och på med som av den det är",
        "Danish": "en et og på med som af den det er",
        "Norwegian": "en et og på med som av den det er i",
        "Russian": "и в на с из у под за для не",
        "Arabic": "في من على مع إلى و عن هذا هذه",
    }.items()
}
"""Words that nearly every caption of a language has one of, for the languages whose stems LanceDB knows."""


def stemming_language(captions: Sequence[str]) -> str:
    """The language that captions are written in, by its most common words, as LanceDB calls it; English in doubt."""
    counter = Counter(word for caption in captions for word in set(WORD.findall((caption or "").casefold())))
    counts = {language: sum(counter[word] for word in words) for language, words in _COMMON_WORDS.items()}
    best = max(counts.values())
    return next(language for language, count in counts.items() if count == best)


def needed_word_indexes(table: Any) -> dict[str, Any]:
    """Column → full-text index, for the columns that have none, or one of another language or an earlier version."""
    from lancedb.index import FTS

    captions = table.search().select(["caption"]).limit(SAMPLED).to_arrow()["caption"].to_pylist()
    if not captions:
        return {}
    language = stemming_language(captions)
    fitting = {
        index.columns[0]
        for index in table.list_indices()
        if index.index_type == "FTS" and _splits(index.index_details) == (SPLIT, language)
    }
    config = FTS(base_tokenizer=SPLIT, language=language)
    return {column: config for column in present(table, WORD_COLUMNS) if column not in fitting}


def _splits(details: Any) -> tuple[Any, Any]:
    settings = details if isinstance(details, Mapping) else {}
    return settings.get("base_tokenizer"), settings.get("language")


def best_matches(table: Any, text: str, k: int, filter: Filter, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The `k` rows that match the words of a text best (`_score`), best first; none before the library is optimized.

    A row's score is that of the column that matches best.
    """
    from lancedb.query import MultiMatchQuery

    indexed = [index.columns[0] for index in table.list_indices() if index.index_type == "FTS"]
    if not {"caption", "title"} <= set(indexed):
        return []
    where = expression_of(table, filter)
    searched = [name for name in WORD_COLUMNS if name in indexed]
    texts = " ".join([_in_both_forms(text), *spellings(table, searched, text)])
    query = table.search(MultiMatchQuery(texts, searched), query_type="fts").select([*columns, "_score"]).limit(k)
    return records_of((query if where is None else query.where(where)).to_arrow())


def _in_both_forms(text: str) -> str:
    """A text with its accented letters composed, and again the words that have some with these decomposed.

    LanceDB compares them as they are, and names of files are decomposed on some systems (macOS).
    """
    composed = unicodedata.normalize("NFC", text)
    other = [word for word in composed.split() if unicodedata.normalize("NFD", word) != word]
    return " ".join([composed, *(unicodedata.normalize("NFD", word) for word in other)])
