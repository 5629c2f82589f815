"""Rows of CSV: whatever a table holds is read as it was written, and a quote that is not closed takes no line along."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.batch.row_reader import read_rows
from imagerag.store.csv_rows import CsvRows
from imagerag.store.library.sources.manifest import read_manifest

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=5), st.sampled_from(",;\t|"))
def test_what_was_written_is_read(rows: list[list[str]], separator: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    written.seek(0)
    assert list(CsvRows(written, separator)) == rows


@pytest.mark.parametrize(
    "second",
    ['"a mug\nb.png,a watch', '"a mug\nb.png,"a watch"', '"a mug\n"b.png",a watch'],
    ids=["to the end", "a cell", "a row"],
)
def test_a_quote_that_is_not_closed_swallows_no_row(tmp_path: Path, second: str) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    (tmp_path / "m.csv").write_text(f"path,caption\nc.png,a cup\na.png,{second}\n")
    read = read_manifest(tmp_path / "m.csv")
    assert {path.name: said.caption for path, said in read.entries.items()} == {"c.png": "a cup"}
    assert len(read.problems) == 1


def test_the_lines_are_named_and_the_rows_behind_them_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.png").touch()
    (tmp_path / "m.csv").write_text('path,caption\na.png,"a mug\nb.png,"a watch"\nc.png,"two\nlines"\n')
    read = read_manifest(tmp_path / "m.csv")
    assert {path.name: said.caption for path, said in read.entries.items()} == {"c.png": "two\nlines"}
    ((where, why),) = read.problems
    assert where == "m.csv, line 3"
    assert why.startswith("the row cannot be read: lines 2 to 3 are one row, as a quote that begins there")


def test_a_prompt_file_with_such_a_quote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('id,prompt\n1,"a mug\n2,a watch\n')
    with pytest.raises(UsageError, match=r"lines 2 to 3 are one row"):
        list(read_rows(tmp_path / "p.csv"))


def test_numbers_with_a_decimal_comma_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "m.csv").write_text('path;caption;Preis;where\na.png;1,5;"12,50";Riga, LV\n')
    read = read_manifest(tmp_path / "m.csv")
    assert [what for what, _ in read.notes] == ["m.csv, column Preis"]
    assert read.notes[0][1] == "12,50 is text, which Preis<13 passes over: write numbers as 12.50"
