"""The reference of prompt files has every column that batches and evaluations read."""

import re

from imagerag import ImageRAG
from imagerag.batch.input_rows import OPTIONS
from imagerag.evals.suites.prompt_columns import ALIASES, FILTERS, LABELS, SUFFIXES
from imagerag.evals.suites.prompt_files import KNOWN
from tests.docs.generated import DOCS, arguments_of, check, table

PAGE = "reference/prompt-files.md"
RENAMED = {"tags": "filter_tags"}
"""Options that have another name in a file."""


def columns() -> set[str]:
    """The columns in the page's own table."""
    text = (DOCS / PAGE).read_text("utf-8").partition("## Columns")[2].partition("### Options")[0]
    return {name for cell in re.findall(r"^\| (`.*?) \|", text, re.M) for name in re.findall(r"`(\w+)`", cell)}


def options() -> str:
    """The options of a line that the table of columns does not have."""
    described = arguments_of(ImageRAG.stream)
    left = sorted(name for name in OPTIONS if RENAMED.get(name, name) not in columns())
    return table(("column", "meaning"), [(f"`{name}`", described[name]) for name in left])


def test_generated_options_of_a_line_are_what_the_code_says() -> None:
    check(PAGE, options=options())


def test_every_column_is_described_and_no_other() -> None:
    read = {*KNOWN, *ALIASES, *LABELS, *FILTERS, "prompt", "id"}
    assert columns() == read
    assert {RENAMED.get(name, name) for name in OPTIONS} - columns()


def test_every_ending_is_described() -> None:
    text = (DOCS / PAGE).read_text("utf-8")
    assert [suffix for suffix in SUFFIXES if f"`{suffix}`" not in text] == []
