"""The glossary has the terms of the field and of the outcomes in order; the changelog keeps its form."""

import re

import pytest

from imagerag.agent.types import Outcome
from tests.docs.generated import DOCS

GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")
CHANGELOG = (DOCS / "changelog.md").read_text("utf-8")
TERMS = re.findall(r"^## (.+)$", GLOSSARY, re.M)


@pytest.mark.parametrize(
    "term",
    [
        "Run", "Attempt", "Round", "Requirement", "Verdict", "Concept", "Caption", "Reference", "Library", "Journal",
        "Arm", "Threshold", "Outcome",
    ],
)  # fmt: skip
def test_every_term_is_explained(term: str) -> None:
    assert term in TERMS


def test_terms_are_in_order_and_explained_in_short() -> None:
    assert sorted(TERMS, key=str.casefold) == TERMS
    texts = re.split(r"^## .+$", GLOSSARY, flags=re.M)[1:]
    assert [term for term, text in zip(TERMS, texts, strict=True) if not 40 < len(text.strip()) < 500] == []


def test_every_outcome_is_named() -> None:
    assert [outcome.value for outcome in Outcome if f"`{outcome.value}`" not in GLOSSARY] == []


def test_the_changelog_keeps_its_form() -> None:
    assert "keepachangelog.com" in CHANGELOG
    first, *_ = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.M)
    assert first == "Unreleased"
    kinds = re.findall(r"^### (.+)$", CHANGELOG, re.M)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
