"""Reading what a batch is to run: every line is a run, or is told with what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag import RunOptions, UsageError
from imagerag.agent.types.filters import parse_filter
from imagerag.batch.input_row import OPTIONS, InputRow
from imagerag.batch.row_reader import read_rows
from imagerag.tools.testing.fakes import sample_image


def read(folder: Path, text: str | bytes, name: str = "in.jsonl") -> list[InputRow]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_rows(file))


def test_lines_know_every_option_of_generate() -> None:
    taken = {*RunOptions.__annotations__, "run_id"}
    # A batch names its runs, waits for nobody, and shows nothing while it draws.
    assert taken - {"run_id", "select", "partial_images"} == OPTIONS


def test_strings_objects_and_blank_lines(tmp_path: Path) -> None:
    given = read(
        tmp_path, '\ufeff"a cat"\n\n{"id": "d.1", "prompt": "a dog", "seed": 3, "size": null}\n{"prompt":"x","id":7}'
    )
    assert [(one.index, one.id, one.prompt, one.problem) for one in given] == [
        (1, "00001", "a cat", ""),
        (3, "d.1", "a dog", ""),
        (4, "7", "x", ""),
    ]
    assert given[1].options == {"seed": 3}


def test_files_are_relative_to_the_input(tmp_path: Path) -> None:
    (tmp_path / "dog.png").write_bytes(sample_image("dog"))
    line = {
        "prompt": "my dog",
        "subjects": ["my dog=dog.png", {"name": "it", "image": "dog.png"}],
        "initial_image": "dog.png",
    }
    one = read(tmp_path, json.dumps(line))[0]
    assert one.options["subjects"] == [("my dog", tmp_path / "dog.png"), ("it", tmp_path / "dog.png")]
    assert one.options["initial_image"] == tmp_path / "dog.png"
    before = one.digest({})
    (tmp_path / "dog.png").write_bytes(sample_image("another dog"))
    assert one.digest({}) != before


def test_csv(tmp_path: Path) -> None:
    text = 'id,prompt,seed,filter_tags,filter\ncat,"a cat, grey",3,a; b,price=3; by=me\n,a dog,,,\n,,,,\nx,y,1,2,3,4\n'
    given = read(tmp_path, text, "in.csv")
    options = dict(given[0].options)
    assert parse_filter(options.pop("filter")).pairs == {"price": "3", "by": "me"}
    assert options == {"seed": "3", "tags": ["a", "b"]}
    assert [(one.id, one.prompt, bool(one.problem)) for one in given] == [
        ("cat", "a cat, grey", False),
        ("00002", "a dog", False),
        ("00004", "", True),
    ]


def test_plain_text(tmp_path: Path) -> None:
    assert [one.prompt for one in read(tmp_path, 'a cat\r\n\n  "a dog"\n', "in.txt")] == ["a cat", '"a dog"']


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{oops", "not JSON"),
        (b"[1, 2]", "neither a prompt nor an object"),
        (b"null", "null"),
        (b"NaN", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id": "a"}', "no prompt"),
        (b'{"prompt": 3}', "no prompt"),
        (b'{"prompt": "  "}', "empty"),
        (b'{"prompt": "a\\u0000b"}', "NUL"),
        (b'"\\ud800"', "surrogate"),
        (b'{"prompt": "x", "id": "../x"}', "an id is"),
        (b'{"prompt": "x", "id": true}', "an id is"),
        (b'{"prompt": "x", "select": true}', "cannot wait"),
        (b'{"prompt": "x", "generator": "y"}', "`generator=…` for all lines"),
        (b'{"prompt": "x", "sede": 3}', "'sede'"),
        (b'{"prompt": "x", "subjects": 3}', "subjects"),
        (b'{"prompt": "x", "initial_image": 3}', "name of a file"),
        (b'"\xff"', "not UTF-8"),
        (b'"' + b"x" * 1_100_000 + b'"', "longer"),
        (b'"' + b"x" * 40_000 + b'"', "40000 characters"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_the_next_is_read(tmp_path: Path, line: bytes, told: str) -> None:
    bad, good = read(tmp_path, line + b'\n"a cat"\n')
    assert told in bad.problem
    assert (good.index, good.prompt, good.problem) == (2, "a cat", "")
    assert bad.digest({}) != good.digest({})


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("in.jsonl", '{"id": "a", "prompt": "x"}\n{"id": "A", "prompt": "y"}\n', "upper and lower case"),
        ("in.jsonl", '"x"\n{"id": "00001", "prompt": "y"}\n', "the same id"),
        ("in.csv", "words\nx\n", "no column 'prompt'"),
        ("in.yaml", "x", "has to end in"),
    ],
)
def test_what_cannot_be_a_batch_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(tmp_path, text, name)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        list(read_rows(tmp_path / "in.jsonl"))


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
Lines = st.one_of(Json, st.dictionaries(st.sampled_from(["id", "prompt", "bad", *sorted(OPTIONS)]), Json, max_size=5))


@given(st.lists(Lines, max_size=5))
def test_any_value_becomes_an_item(values: list[Any]) -> None:
    try:
        given = list(read_rows(values))
    except UsageError:  # two of them have the same id
        assert len({str(value.get("id")).casefold() for value in values if isinstance(value, dict)}) < len(values)
        return
    assert [one.index for one in given] == list(range(1, len(values) + 1))
    assert all(one.problem or one.prompt.strip() for one in given)
