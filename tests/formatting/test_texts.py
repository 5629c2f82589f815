"""The words of pages: every language has the same keys with the same placeholders."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from imagerag.formatting import check_labels, labels
from imagerag.formatting.texts import FOLDER, accepted_language, languages, texts
from imagerag.store.library.maintenance import (
    duplicate_rows,
    repair,
    row_verification,
    vector_verification,
    verification,
)
from imagerag.store.library.maintenance.verification import Kind

SENTENCES = ("SENTENCES", "ADVICE", "PROBLEMS", "REPAIRS", "REMEDIES", "WARNINGS", "REASONS", "TABLES")
"""Tables of sentences."""


OTHER_TEXTS = {
    "_rowid IN (<it>)",
    "id = '",
    # Put together with a state of a file, or another repair.
    "it <it>",
    "another library or a run had them: <it>",
    "; the damaged one is in <it>",
}
"""Texts of the modules of `libraries.verify` that are no whole sentences."""


def flat(table: dict[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return found


def words(language: str) -> dict[str, str]:
    return flat(tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8")))


@pytest.mark.parametrize("language", languages())
def test_a_language_says_all_that_english_says(language: str) -> None:
    english, own = words("en"), words(language)
    assert {key for key in own if not key.startswith("labels.")} == set(english)
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)}", own[key])) == set(re.findall(r"{(\w+)}", text)), key


@pytest.mark.parametrize("language", languages()[1:])
def test_a_language_names_every_value_of_every_table(language: str) -> None:
    own = words(language)
    tables = ("OUTCOMES", "STATUSES", "STEP_STATUSES", "DECISIONS", "NODES", "INTENTS", "CHOICES", "KINDS")
    rows = {table: getattr(labels, table) for table in tables}
    rows |= {name: getattr(check_labels, name) for name in ("WAYS", "VERDICTS", "PROBLEM_KINDS", *SENTENCES)}
    for table, values in rows.items():
        for value, row in values.items():
            key = f"labels.{table}.{value}"
            assert not row or f"{key}.name" in own or key in own, key


def test_every_kind_of_problem_has_a_name() -> None:
    assert set(check_labels.PROBLEM_KINDS) == set(get_args(Kind))


def sentences_in(module: ModuleType) -> Iterator[str]:
    """The texts of several words in a module that are no docstring, nor of an error; a value is `<it>`."""
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    raised = {id(node) for each in ast.walk(tree) if isinstance(each, ast.Raise) for node in ast.walk(each)}
    inside = {id(part) for each in ast.walk(tree) if isinstance(each, ast.JoinedStr) for part in each.values}
    documentation = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in raised | inside | documentation:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "<it>" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") > 1:
            yield node.value


def test_whatever_a_verification_says_is_in_the_tables() -> None:
    tables = [check_labels.PROBLEMS, check_labels.REPAIRS, check_labels.REMEDIES]
    patterns = [re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(row))) for table in tables for row in table.values()]
    modules = (verification, row_verification, vector_verification, duplicate_rows, repair)
    told = {text for module in modules for text in sentences_in(module) if "[" not in text} - OTHER_TEXTS
    assert [text for text in told if not any(one.fullmatch(text) for one in patterns)] == []
    assert len(told) > 20


@pytest.mark.parametrize("language", languages()[1:])
@pytest.mark.parametrize("table", SENTENCES)
def test_a_sentence_keeps_its_values_in_every_language(language: str, table: str) -> None:
    for key, row in getattr(check_labels, table).items():
        values = {name: f"<{name}>" for name in re.findall(r"{(\w+)}", row)}
        told = texts(language).sentence(table, row.format(**values))
        assert told != row.format(**values)
        assert {f"<{name}>" for name in re.findall(r"<(\w+)>", told)} or not values, key
        assert ("<call>" in told) == ("call" in values), key
        assert "{" not in told
    assert texts(language).sentence(table, "words of another version") == "words of another version"
    assert texts().sentence(table, "it accepts all") == "it accepts all"


def test_a_number_chooses_its_form() -> None:
    assert texts()("runs.count", n=1) == "1 run"
    assert texts()("runs.count", n=2) == "2 runs"


def test_digits_are_grouped_as_the_language_does() -> None:
    assert texts()("library.pictures", n=20_000) == "20,000 pictures"
    assert texts("de")("library.pictures", n=20_000) == "20.000 Bilder"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr,en;q=0.5", "en"),
        ("xx;q=nonsense", "en"),
        ("de-AT,en;q=0.8", "de"),
        ("en;q=0.1,de;q=0.9", "de"),
        ("de;q=0,en", "en"),
    ],
)
def test_a_browser_says_which_languages_it_reads(header: str, language: str) -> None:
    assert accepted_language(header) == language


@pytest.mark.parametrize(("language", "button"), [("en", "Calibrate"), ("de", "Kalibrieren")])
def test_work_on_a_library_is_named_as_its_button_is(language: str, button: str) -> None:
    from imagerag.formatting.interface_terms import python_call
    from imagerag.ui.page_terms import upkeep_terms

    message = f"not measured yet: {python_call('libraries.calibrate', 'mine')}. Or give one: `threshold=0.97`"
    field = texts(language)("library.upkeep.from_cosine_name")
    assert upkeep_terms(texts(language), message) == f"not measured yet: “{button}”. Or give one: “{field}” 0.97"
