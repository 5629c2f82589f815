"""Pictures that a manifest has in it as base64: each arrives, and what is none is a row that is listed."""

import base64
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.sources import base64_images, manifest_rows
from imagerag.store.library.sources.base64_images import decoded_image, image_column
from imagerag.store.library.sources.manifest import read_manifest
from imagerag.store.text_files import open_text, read_text
from tests.store.conftest import picture as drawn

Row = Mapping[str, Any]


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_lines(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_table(path: Path, rows: Sequence[Row]) -> Path:
    names = dict.fromkeys(name for row in rows for name in row)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_array(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text(json.dumps(rows))
    return path


FORMS: Mapping[str, Callable[[Path, Sequence[Row]], Path]] = {
    "cards.jsonl": as_lines, "cards.csv": as_table, "cards.json": as_array,
}  # fmt: skip

TEXTS: Mapping[str, Callable[[bytes], str]] = {
    "plain": text_of,
    "url": lambda data: f"data:image/png;base64,{text_of(data)}",
    "parameters": lambda data: f"data:image/png;name=a.png;base64,{text_of(data)}",
    "unpadded": lambda data: text_of(data).rstrip("="),
    "letters of URLs": lambda data: base64.urlsafe_b64encode(data).decode(),
    "wrapped": lambda data: base64.encodebytes(data).decode(),
}


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("name", FORMS)
async def test_pictures_in_a_manifest_are_copied_with_what_the_other_columns_say(
    tmp_path: Path, library: Library, picture: Any, name: str, by_name: bool
) -> None:
    rows = [
        {
            "image_base64": form(picture("red", mark=at)),
            "caption": f"card {at}",
            "price": at,
            "file_name": f"c/{at}.png",
        }
        for at, form in enumerate(TEXTS.values())
    ]
    bad = [{"image_base64": one, "caption": "lost"} for one in ("no base64 at all!", text_of(b"no picture"), "data:,x")]
    path = FORMS[name](tmp_path / name, [*rows, *bad])
    report = await (index([path], library) if by_name else index([], library, manifest=path))
    assert (report.added, report.captions, report.manifest_captions, report.seen) == (6, 6, 9, 9)
    assert report.columns == {
        "image_base64": "image", "caption": "caption", "price": "metadata", "title": "title",
    }  # fmt: skip
    first = "::8" if name.endswith(".csv") else "::7"  # lines, with a header's; none has a line end in it
    whys = dict(report.skipped)
    assert [why for _, why in sorted(whys.items())] == [
        "its image is damaged: the text is not base64", whys[sorted(whys)[1]], "its data: URL is not in base64",
    ]  # fmt: skip
    assert "not an image we read" in sorted(whys.items())[1][1]
    if "csv" not in name:
        assert sorted(whys)[0] == f"{path}{first}"
    found = {row.caption: row for row in await library.rows()}
    assert found.keys() == {f"card {at}" for at in range(6)}
    for at in range(6):
        row = found[f"card {at}"]
        assert (row.title, int(row.metadata["price"] or 0)) == (str(at), at)
        assert await library.image_bytes(row.id) == picture("red", mark=at)
    again = await (index([path], library) if by_name else index([], library, manifest=path))
    assert (again.unchanged, again.did_something) == (6, False)
    path.unlink()
    assert await library.image_bytes(row.id) == picture("red", mark=at)


async def test_one_manifest_names_files_and_has_pictures(tmp_path: Path, library: Library, picture: Any) -> None:
    (tmp_path / "blue.png").write_bytes(picture("blue"))
    nested = {"bytes": text_of(picture("green")), "path": "leaf.png"}
    rows = [
        {"image": "blue.png", "caption": "a file"},
        {"image": text_of(picture("red")), "caption": "a picture"},
        {"image": nested, "caption": "of Hugging Face"},
        {"image": "gone.png", "caption": "lost"},
        {"image": "A" * 4000, "caption": "no picture"},
    ]
    path = as_lines(tmp_path / "cards.jsonl", rows)
    report = await index([], library, manifest=path)
    assert {row.caption: row.title for row in await library.rows()} == {
        "a file": "blue", "a picture": "cards 2", "of Hugging Face": "leaf",
    }  # fmt: skip
    assert {where for where, _ in report.skipped} == {"gone.png", f"{path}::5"}
    as_lines(path, [rows[2], rows[1]])
    report = await index([], library, manifest=path)
    assert (report.added, report.removed, await library.count()) == (0, 0, 3)
    as_lines(path, [rows[2]])
    report = await index([], library, manifest=path)
    assert (report.unchanged, report.removed, await library.count()) == (1, 0, 3), "copies stay"
    report = await index([], library, manifest=path, prune=True)
    assert (report.unchanged, report.removed, await library.count()) == (1, 1, 2)


async def test_a_manifest_with_pictures_that_lies_in_a_folder_says_how_it_is_indexed(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = tmp_path / "cards"
    folder.mkdir()
    rows = [{"image": text_of(picture("red")), "caption": "a card"}]
    for name in ("cards.jsonl", "metadata.jsonl"):
        as_lines(folder / name, rows)
    report = await index([folder], library)
    assert {Path(where).name: why for where, why in report.skipped} == {
        "cards.jsonl": f"it has images in it: `rag.libraries.index('{folder / 'cards.jsonl'}')`",
        "metadata.jsonl": f"it has images in it: `rag.libraries.index('{folder / 'metadata.jsonl'}')`",
    }
    assert (await index([folder / "metadata.jsonl"], library)).added == 1


@pytest.mark.parametrize("form", [as_lines, as_table])
def test_a_row_that_is_too_long_is_listed_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Callable[[Path, Sequence[Row]], Path]
) -> None:
    monkeypatch.setattr(manifest_rows, "LONGEST_LINE", 2000)
    (tmp_path / "a.png").write_bytes(drawn())
    rows = [{"path": "a.png", "caption": one} for one in ("x", "y" * 5000, "z")]
    found = read_manifest(form(tmp_path / "cards.txt", rows))
    assert [said.caption for said in found.entries.values()] == ["z"]
    [(where, why)] = found.problems
    assert where.startswith("cards.txt, line ")
    assert "longer than" in why


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64_images, "LONGEST", 100)
    with pytest.raises(ValueError, match="larger than 64 MB"):
        decoded_image("A" * 2000)


@pytest.mark.parametrize(
    "row",
    [
        {"path": "a.png", "thumbnail": "data:image/png;base64,AAAA"},
        {"image": "red/lamp.png"},
        {"image": "/9k/photos/of/a/very/long/path/that/goes/on/and/on/for/ever"},
        {"photo": "a photo of a lamp on a table beside a mug and a book, in the evening"},
        {"content": "x" * 300 + " and words"},
        {"image_base64": ""},
        {"url": "https://example.org/a.png"},
        {"bytes": 3},
        {"path": "a.png", "image_bytes": "20480"},
        {"image": "A" + "=" * 39},
        {"image": "A" * 33 + "\n\n\nAAAA" + "A" * 200},
        {"image": "A" * 1100 + "\n" * 300_000 + "!"},
    ],
)
def test_what_is_a_name_or_words_is_no_picture(row: Row) -> None:
    assert image_column(row) is None


@given(st.binary(min_size=1, max_size=200))
def test_bytes_come_back_from_every_form(data: bytes) -> None:
    assert all(decoded_image(form(data)) == data for form in TEXTS.values())


@given(st.text(max_size=200))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert decoded_image(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_text_is_the_same_line_by_line_and_whole(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes('{"caption": "grün"}\n\n{"caption": "blå\r"}\r\nend'.encode(encoding))
    with open_text(file) as text:
        assert "".join(text) == read_text(file)
    file.write_bytes(b"a caption\0")
    with pytest.raises(ValueError, match="not text"):
        open_text(file)
    with pytest.raises(UsageError, match="cannot be read: it is not text"):
        read_manifest(file)
