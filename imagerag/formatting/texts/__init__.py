"""The words of pages, by language: one TOML file for each.

To add a language, translate `en.toml` into `CODE.toml` beside it. A test compares keys and placeholders.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, Final

from imagerag.formatting import check_labels, labels
from imagerag.formatting.labels import Label

FOLDER: Final = Path(__file__).parent
ENGLISH: Final = "en"


class Texts:
    """The words of one language. What it lacks is said in English.

    Attributes:
        language: its code, for the `lang` attribute.
    """

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, key: str, /, **values: Any) -> str:
        """The text of a key, its `{placeholders}` filled.

        Args:
            values: of the placeholders. With `n`, a key that has `.one` and `.other` takes the one that fits.

        Raises:
            KeyError: no language has this key, or a placeholder has no value.
        """
        if "n" in values and f"{key}.other" in self._texts:
            key = f"{key}.one" if values["n"] == 1 else f"{key}.other"
        return _Formatter(self._texts["format.thousands"]).vformat(self._texts[key], (), values)

    def has(self, key: str) -> bool:
        """Whether there is a text of this key."""
        return key in self._texts

    def label(self, table: str, value: str | None) -> Label:
        """The label of a value of a table of `labels` ("OUTCOMES") or `check_labels`, name and meaning translated."""
        rows: Mapping[str, Label | str] = getattr(labels, table, None) or getattr(check_labels, table)
        row = rows.get(value or "")
        own = row if isinstance(row, Label) else Label(row if row is not None else (value or "").replace("_", " "))
        name, key = own.name, f"labels.{table}.{value}"
        return own._replace(
            name=self._texts.get(f"{key}.name", self._texts.get(key, name)),
            meaning=self._texts.get(f"{key}.meaning", own.meaning),
        )

    def sentence(self, table: str, text: str) -> str:
        """The translation of a sentence of a table of `check_labels` ("ADVICE"), its values kept; others stay."""
        for key, pattern in _patterns(table).items():
            if (match := pattern.fullmatch(text)) and (own := self._texts.get(f"labels.{table}.{key}")):
                return own.format(**match.groupdict())
        return text

    def standing(self, status: str | None, outcome: str | None) -> Label:
        """The label of a run's outcome, or of its status while there is none."""
        return self.label("OUTCOMES", outcome) if outcome else self.label("STATUSES", status)

    def starting(self, prefix: str) -> dict[str, str]:
        """The texts below a prefix, for a script: key without the prefix → text with its placeholders."""
        start = f"{prefix}."
        return {key.removeprefix(start): text for key, text in self._texts.items() if key.startswith(start)}


class _Formatter(Formatter):
    """Fills placeholders; `{n:,}` groups digits as the language does."""

    def __init__(self, thousands: str) -> None:
        self._thousands = thousands

    def format_field(self, value: Any, format_spec: str) -> str:
        """A value as text."""
        text = str(super().format_field(value, format_spec))
        return text.replace(",", self._thousands) if format_spec == "," else text


def texts(language: str = ENGLISH) -> Texts:
    """The words of a language ("de"); English for one that there is not."""
    return _read(language) if language in languages() else ENGLISH_TEXTS


def languages() -> tuple[str, ...]:
    """The codes of the languages that there are, English first."""
    return _LANGUAGES


def accepted_language(header: str) -> str:
    """The first language of an Accept-Language header that there are texts for; English when there is none."""
    weighted = []
    for at, part in enumerate(header.split(",")[:20]):
        name, _, quality = part.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        weighted.append((-weight, at, name.strip().split("-")[0].lower()))
    return next((name for weight, _, name in sorted(weighted) if weight and name in languages()), ENGLISH)


@lru_cache
def _read(language: str) -> Texts:
    return Texts(language, {**_rows(ENGLISH), **_rows(language)})


@lru_cache
def _patterns(table: str) -> dict[str, re.Pattern[str]]:
    """Key → the sentence, its placeholders as groups."""
    rows: Mapping[str, str] = getattr(check_labels, table)
    return {key: re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(row))) for key, row in rows.items()}


@lru_cache
def _rows(language: str) -> dict[str, str]:
    return dict(_flat("", tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8"))))


def _flat(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        rows += _flat(f"{prefix}{key}.", value) if isinstance(value, Mapping) else [(f"{prefix}{key}", str(value))]
    return rows


# Read here: whoever needs the words later may be on an event loop, where no file is read.
_LANGUAGES: Final = (ENGLISH, *sorted({path.stem for path in FOLDER.glob("*.toml")} - {ENGLISH}))
ENGLISH_TEXTS: Final = _read(ENGLISH)
