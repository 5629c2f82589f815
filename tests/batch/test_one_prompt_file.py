"""One prompt file means the same to `batch` and to `eval run`: what filters filters, and what labels labels."""

import json
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.types import RunConfig
from imagerag.agent.types.filters import parse_filter
from imagerag.batch.row_reader import notes, read_rows
from imagerag.evals.suites.prompt_files import prompt_suite

ROWS = [
    {
        "id": "one", "prompt": "a cat, grey", "seed": 3, "filter_tags": ["pets", "indoor"], "licences": ["CC0-1.0"],
        "filter": {"price": "3"}, "tags": ["easy"], "labels": ["cat"], "category": "animals",
    }
]  # fmt: skip
TABLE = [
    ["id", "Prompt", "seed", "filter_tags", "licences", "filter", "tags", "labels", "Category"],
    ["one", '"a cat, grey"', "3", '"pets{} indoor"', "CC0-1.0", "price=3", "easy", "cat", "animals"],
]


def written(folder: Path, name: str) -> Path:
    file = folder / name
    if name.endswith("jsonl"):
        file.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    else:
        mark = {"a.csv": ",", "b.csv": ";", "c.tsv": "\t"}[name]
        inner = "|" if mark == ";" else ";"
        file.write_text("".join(mark.join(row).replace("{}", inner) + "\n" for row in TABLE))
    return file


@pytest.mark.parametrize("name", ["a.csv", "b.csv", "c.tsv", "d.jsonl"])
def test_the_same_file_means_the_same(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, name)
    (case,) = prompt_suite(file).cases
    (line,) = read_rows(file)
    assert (line.problem, line.id, line.prompt) == ("", case.id, case.prompt)
    assert tuple(line.options["tags"]) == case.filter_tags == ("pets", "indoor")
    assert tuple(line.options["licences"]) == case.licences == ("CC0-1.0",)
    assert parse_filter(line.options["filter"]) == case.filter == parse_filter({"price": "3"})
    assert int(line.options["seed"]) == case.seeds[0] == 3
    assert set(case.tags) == {"easy", "animals"}
    assert set(line.options) == {"tags", "licences", "filter", "seed"}
    config = case.filtered(RunConfig(tags=("mine",)))
    assert (config.tags, config.licences, config.filter.pairs) == (
        ("mine", "pets", "indoor"),
        ("CC0-1.0",),
        {"price": "3"},
    )


@pytest.mark.parametrize("name", ["a.csv", "d.jsonl"])
def test_labels_that_look_like_filters_are_said(tmp_path: Path, name: str) -> None:
    (note,) = notes(written(tmp_path, name))
    assert "'tags'" in note
    assert "filter_tags" in note


def test_unknown_columns_are_said_by_both(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("prompt,librarry\na cat,mine\n")
    assert "librarry" in prompt_suite(file).notes[0]
    (line,) = read_rows(file)
    assert "'librarry'" in line.problem


@pytest.mark.parametrize(
    "text", ["Prompt\tCategory\tChallenge\tNote\na cat\tanimals\tbasic\tn\n", "prompt\ta\n"], ids=["parti", "none"]
)
def test_prompt_sets_of_others_run_as_a_batch(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.tsv"
    file.write_text(text)
    assert not any(line.problem for line in read_rows(file))


def test_genevals_lines_run_as_a_batch(tmp_path: Path) -> None:
    file = tmp_path / "evaluation_metadata.jsonl"
    said: dict[str, Any] = {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a bench"}
    file.write_text(json.dumps(said))
    (line,) = read_rows(file)
    assert (line.problem, line.prompt) == ("", "a bench")


def test_a_programs_own_mapping_is_as_generate_takes_it() -> None:
    (line,) = read_rows([{"prompt": "a cat", "tags": ["pets"]}])
    assert line.options["tags"] == ["pets"]


def test_a_case_without_filters_is_the_case_it_was(tmp_path: Path) -> None:
    plain, filtered = tmp_path / "p.csv", tmp_path / "q" / "p.csv"
    filtered.parent.mkdir()
    plain.write_text("id,prompt\none,a cat\n")
    filtered.write_text("id,prompt,filter_tags\none,a cat,pets\n")
    assert prompt_suite(plain).hash != prompt_suite(filtered).hash


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl"])
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("price<50; not tag=nonesuch", ["price<50", "not tag=nonesuch"]),
        ("price=3|kind=mug", ["price=3", "kind=mug"]),
        ('title="a; b"', ['title="a; b"']),
    ],
)
def test_several_filters_in_one_text_are_the_same_in_tables_and_lines(
    tmp_path: Path, name: str, text: str, parts: list[str]
) -> None:
    file = tmp_path / name
    if name.endswith("csv"):
        file.write_text('prompt,filter\na cat,"' + text.replace('"', '""') + '"\n')
    else:
        file.write_text(json.dumps({"prompt": "a cat", "filter": text}) + "\n")
    (line,), (case,) = read_rows(file), prompt_suite(file).cases
    assert parse_filter(line.options["filter"]) == parse_filter(parts) == case.filter


EXCEL = [
    "id;prompt;seed\r\none;ein Kürbis für Österreich;3\r\n;;\r\n",
    "sep=;\r\nid;prompt;seed\r\none;ein Kürbis für Österreich;3\r\n",
    "id\tprompt\tseed\r\none\tein Kürbis für Österreich\t3\r\n",
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("text", EXCEL)
def test_a_table_of_excel_means_the_same_in_every_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    file = tmp_path / "excel.csv"
    file.write_bytes(text.encode(encoding))
    suite, (line,) = prompt_suite(file), read_rows(file)
    assert [(case.id, case.prompt, case.seeds) for case in suite.cases] == [("one", "ein Kürbis für Österreich", (3,))]
    assert (line.problem, line.id, line.prompt, line.options) == ("", "one", "ein Kürbis für Österreich", {"seed": "3"})
    guesses = ["Windows-1252" in note for note in (*suite.notes, *notes(file))]
    assert guesses == ([True, True] if encoding == "cp1252" else [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prompt\na red, solid circle\n", "case 1 has more cells than the first row"),
        ("prompt;seed\na cat;7,0\n", "case 1: a seed is a whole number from 0 to 4294967295, not '7,0'"),
        ("prompt,seed\na cat,-1\n", "a seed is a whole number"),
    ],
)
def test_an_evaluation_measures_no_other_prompt_than_the_one_in_the_table(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "cases.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=told):
        prompt_suite(file)
