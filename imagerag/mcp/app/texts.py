"""The words of the app in every language that there is, for its script."""

from typing import Any, Final

from imagerag.formatting import labels
from imagerag.formatting.texts import Texts, languages, texts

TABLES: Final = ("OUTCOMES", "STATUSES", "NODES", "DECISIONS", "KINDS")


def app_texts() -> dict[str, Any]:
    """Language → its texts by key, and its labels by table and value."""
    return {language: _words(texts(language)) for language in languages()}


def _words(words: Texts) -> dict[str, Any]:
    rows = {table: {value: words.label(table, value) for value in getattr(labels, table)} for table in TABLES}
    return {
        **words.starting("app"),
        "labels": {
            table: {value: {"name": row.name, "meaning": row.meaning, "tone": row.tone} for value, row in of.items()}
            for table, of in rows.items()
        },
    }
