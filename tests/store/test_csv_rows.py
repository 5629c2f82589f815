"""Rows of CSV: whatever a table holds is read as it was written, and a quote that is not closed takes no line along."""

import csv
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.batch.row_reader import read_rows
from imagerag.store.csv_rows import CsvRows
from imagerag.store.library.sources import manifest_rows
from imagerag.store.library.sources.manifest import read_manifest

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=5), st.sampled_from(",;\t|"))
def test_what_was_written_is_read(rows: list[list[str]], separator: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    written.seek(0)
    assert list(CsvRows(written, separator, 10_000)) == rows


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


def long_row(cells: int, lines: int, line: str = 'x, ""y""\n') -> str:
    """A row of many cells in quotes, each of many lines."""
    return ",".join('"' + line * lines + '"' for _ in range(cells)) + "\n"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_row_of_many_cells_that_is_too_long_is_listed_and_the_rows_behind_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(manifest_rows, "LONGEST_LINE", 2_000)
    (tmp_path / "b.png").touch()
    (tmp_path / "c.png").touch()
    long = long_row(cells=50, lines=100)
    text = f'path,caption\na.png,{long}b.png,"a\nwatch"\n{"x" * 3_000}\nc.png\n"d",e,f\n'
    (tmp_path / "m.csv").write_text(text.replace("\n", ending), newline="")
    read = read_manifest(tmp_path / "m.csv")
    assert {path.name: said.caption for path, said in read.entries.items()} == {
        "b.png": f"a{ending}watch",
        "c.png": None,
    }
    why = "which is more than 2,000 characters: close the quote that begins there, or split the row"
    assert read.problems == [
        ("m.csv, line 5002", f"the row cannot be read: lines 2 to 5002 are one row, {why}"),
        ("m.csv, line 5005", "the row cannot be read: it is longer than 2,000 characters"),
        ("m.csv, line 5007", "the row has more cells than the header"),
    ]


def test_a_row_that_is_too_long_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_rows, "LONGEST_LINE", 20_000)
    (tmp_path / "m.csv").write_text("path,caption\na.png," + long_row(80, 100, 'x, ""y""' * 100 + "\n"))
    tracemalloc.start()
    try:
        [(_, why)] = read_manifest(tmp_path / "m.csv").problems
        assert "more than 20,000 characters" in why
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_prompt_file_with_a_row_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,prompt\n1," + long_row(cells=20, lines=6_000))
    with pytest.raises(UsageError, match=r"p.csv, line \d+, is not CSV: lines 2 to \d+ are one row, .* than 1 MB"):
        list(read_rows(tmp_path / "p.csv"))


def test_numbers_with_a_decimal_comma_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "m.csv").write_text('path;caption;Preis;where\na.png;1,5;"12,50";Riga, LV\n')
    read = read_manifest(tmp_path / "m.csv")
    assert [what for what, _ in read.notes] == ["m.csv, column Preis"]
    assert read.notes[0][1] == "12,50 is text, which Preis<13 passes over: write numbers as 12.50"


def test_values_that_are_left_out_or_read_as_text_are_told_by_column(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    row = {"path": "a.png", "caption": "x" * 20_001, "note": "y" * 2_001, "taken": "31.05.2024", "lat": "48 8 N"}
    (tmp_path / "m.jsonl").write_text(json.dumps(row | {f"key {at}": at for at in range(101)}))
    assert dict(read_manifest(tmp_path / "m.jsonl").notes) == {
        "m.jsonl": "a row has 104 values of metadata: the first 100 are kept",
        "m.jsonl, column caption": "a value has 20,001 characters and is left out: shorten it to 20,000",
        "m.jsonl, column note": "a value has 2,001 characters and is left out: shorten it to 2,000",
        "m.jsonl, column taken": "31.05.2024 is no date that is read: write it as 2024-05-31, or 2024-05-31 12:30:00",
        "m.jsonl, column lat": "48 8 N is no latitude: write it in degrees, as 48.137",
    }


@pytest.mark.parametrize(
    ("encoding", "notes"), [("utf-8", 0), ("utf-8-sig", 0), ("utf-16", 0), ("utf-16-le", 0), ("cp1252", 1)]
)
def test_an_encoding_that_is_a_guess_is_told(tmp_path: Path, encoding: str, notes: int) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "m.csv").write_text("path,caption\na.png,café\n", encoding=encoding)
    read = read_manifest(tmp_path / "m.csv")
    assert [entry.caption for entry in read.entries.values()] == ["café"]
    assert ["Windows-1252" in why for _, why in read.notes] == [True] * notes


@pytest.mark.parametrize("text", ["5", "null", '"a.png"', "true"])
def test_json_that_describes_no_image_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    assert read_manifest(tmp_path / "m.json").problems == [("m.json, line 1", "not a JSON object")]


def test_a_manifest_without_a_path_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("name,price\nlamp,3\n")
    with pytest.raises(UsageError, match=r"^the manifest \S+m\.csv has no column that names the images"):
        read_manifest(tmp_path / "m.csv")
