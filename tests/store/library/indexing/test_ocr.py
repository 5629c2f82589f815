"""Words in images: read once, kept, searchable and filtered by, exported and read back; nothing is encoded again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import parse_filter
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing import ocr
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.changes import ImageChanges, changed
from imagerag.store.library.maintenance.export import export_folder, export_parquet
from imagerag.store.library.maintenance.statistics import library_statistics
from imagerag.store.library.maintenance.subsets import copy_encoded, copy_rows
from imagerag.tools.testing.fakes import ScriptedOcrReader
from tests.store.conftest import COLOURS, picture

WORDS = {COLOURS["red"]: "harbour\ntickets", COLOURS["blue"]: "velvet sale"}


@pytest.fixture
def reader() -> ScriptedOcrReader:
    return ScriptedOcrReader(WORDS)


def read_of(rows: Any) -> dict[str, tuple[str, float | None]]:
    return {Path(row.source).stem: (row.ocr, row.ocr_confidence) for row in rows}


def where(text: str) -> Filter:
    return Filter(where=parse_filter(text))


async def test_words_are_read_once_and_nothing_is_encoded_again(
    folder: Path, library: Library, embedder: Any, reader: ScriptedOcrReader
) -> None:
    await index([folder], library)
    assert "ocr" not in library.table.lance.schema.names  # a column more would make every search slower
    vectors, encoded = (await library.captioned_vectors())[1], embedder.images
    steps: list[tuple[int, int]] = []
    report = await index([folder], library, ocr=reader, ocr_progress=lambda *step: steps.append(step))
    assert (report.ocr_read, report.ocr_words, report.unchanged) == (8, 2, 8)
    assert steps == [(8, 8)]
    found = read_of(await library.rows())
    assert found["red"] == ("harbour\ntickets", 0.9)
    assert found["green"] == ("", 0.0)  # read, and without words: not the same as not read
    report = await index([folder], library, ocr=reader)
    assert (report.ocr_read, len(reader.calls), report.did_something) == (0, 8, False)
    assert embedder.images == encoded
    assert ((await library.captioned_vectors())[1] == vectors).all()
    (folder / "new.png").write_bytes(picture("red", mark=9))
    assert (await index([folder], library, ocr=reader)).ocr_read == 1
    assert reader.calls[8:] == [COLOURS["red"]]


async def test_an_image_that_cannot_be_read_is_listed_and_tried_again(folder: Path, library: Library) -> None:
    broken = ScriptedOcrReader({**WORDS, COLOURS["green"]: RuntimeError("no memory")})
    report = await index([folder], library, ocr=broken)
    assert (report.added, report.ocr_read, report.skipped) == (8, 7, [])
    assert report.notes == [(str(folder / "green.png"), "its words could not be read: no memory")]
    again = ScriptedOcrReader({COLOURS["green"]: "mended"})
    assert (await index([folder], library, ocr=again)).ocr_read == 1
    assert read_of(await library.rows())["green"] == ("mended", 0.9)


async def test_a_pass_that_was_stopped_goes_on(
    folder: Path, library: Library, reader: ScriptedOcrReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "AT_ONCE", 3)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await index([folder], library, ocr=reader, ocr_progress=stop)
    assert sum(row.ocr_confidence is not None for row in await library.rows()) == 3
    assert (await index([folder], library, ocr=reader)).ocr_read == 5
    assert len(reader.calls) == 8


async def test_words_are_found_and_filtered_by(folder: Path, library: Library, reader: ScriptedOcrReader) -> None:
    await index([folder], library)  # its full-text indexes are older than the column
    assert not await library.search_words("tickets", k=3)
    await index([folder], library, ocr=reader)
    assert [hit.ocr for hit in await library.search_words("tickets", k=3)] == ["harbour\ntickets"]
    assert [hit.ocr for hit in await library.search_words("velvet", k=3)] == ["velvet sale"]
    assert len(await library.search_words("card", k=9)) == 8  # captions still count
    hybrid = await library.search("tickets", k=8, hybrid=True)
    assert "harbour\ntickets" in [hit.ocr for hit in hybrid[:2]]
    assert [hit.ocr for hit in await library.search("red", k=1)] == ["harbour\ntickets"]
    for text, stems in {
        'ocr~"TICKETS"': {"red"}, "has ocr": {"red", "blue"}, "ocr_confidence>0.5": {"red", "blue"},
        'ocr~"sale" and not ocr~"harbour"': {"blue"},
    }.items():  # fmt: skip
        wanted = where(text)
        await library.check_filter(wanted)
        rows, _ = await library.listed(filter=wanted, limit=9)
        assert {Path(row.source).stem for row in rows} == stems
        assert {Path(row.source).stem for row in await library.rows() if wanted.matches(row)} == stems


async def test_a_metadata_key_of_that_name_stays_one(folder: Path, library: Library, reader: ScriptedOcrReader) -> None:
    (folder / "green.png.json").write_text('{"ocr": "by another program", "ocr_confidence": 0.7}')
    await index([folder], library)
    for text in ("ocr~another", "ocr_confidence=0.7", "metadata.ocr~another"):
        rows, _ = await library.listed(filter=where(text), limit=9)
        assert [Path(row.source).stem for row in rows] == ["green"]
        assert [row for row in await library.rows() if where(text).matches(row)] == rows
    await index([folder], library, ocr=reader)
    assert (await library.listed(filter=where("ocr~another"), limit=9))[1] == 0
    assert (await library.listed(filter=where("metadata.ocr~another"), limit=9))[1] == 1


async def test_words_stay_when_other_texts_change(folder: Path, library: Library, reader: ScriptedOcrReader) -> None:
    await index([folder], library, ocr=reader)
    before = read_of(await library.rows())
    (folder / "red.txt").write_text("another caption")
    assert (await index([folder], library)).updated == 1
    await library.update(changed(await library.rows(), ImageChanges(title="T", unset=("caption",))))
    (folder / "blue.png").rename(folder / "moved.png")
    await index([folder], library)
    assert sorted(read_of(await library.rows()).values()) == sorted(before.values())
    await library.update(changed(await library.rows(), ImageChanges(unset=("ocr",))))
    assert {row.ocr_confidence for row in await library.rows()} == {None}  # and is read again


async def test_a_changed_file_is_read_again(folder: Path, library: Library, reader: ScriptedOcrReader) -> None:
    await index([folder], library, ocr=reader)
    await library.update([replace(row, title="kept") for row in await library.rows()])
    (folder / "red.png").write_bytes(picture("red", mark=3))
    assert (await index([folder], library)).changed == 1
    now = {row.source: row for row in await library.rows()}[str(folder / "red.png")]
    assert (now.title, now.ocr, now.ocr_confidence) == ("kept", "", None)
    assert (await index([folder], library, ocr=reader)).ocr_read == 1


async def test_words_are_exported_and_read_back(
    home: DataDir, folder: Path, library: Library, embedder: Any, reader: ScriptedOcrReader, tmp_path: Path
) -> None:
    await index([folder], library, ocr=reader)
    before = sorted((row.id, row.ocr, row.ocr_confidence) for row in await library.rows())
    await export_folder(library, tmp_path / "out")
    await export_parquet(library, tmp_path / "out.parquet", with_bytes=True)
    assert {"ocr", "ocr_confidence"} <= set(pq.read_schema(tmp_path / "out.parquet").names)
    for name, source in (("folder", tmp_path / "out"), ("parquet", tmp_path / "out.parquet")):
        again = await Library.create_or_open(home, name, embedder)
        report = await index([source], again, ocr=reader)
        assert (report.added, report.ocr_read) == (8, 0)
        assert sorted((row.id, row.ocr, row.ocr_confidence) for row in await again.rows()) == before
    ids = [row.id for row in await library.rows()]
    for name, copy in (("rows", copy_rows), ("encoded", copy_encoded)):
        part = await Library.create_or_open(home, name, embedder)
        await copy(library, part, ids)
        assert sorted((row.id, row.ocr, row.ocr_confidence) for row in await part.rows()) == before
    counted = await library_statistics(library)
    assert (counted.ocr_read, counted.ocr_words) == (8, 2)


async def test_a_folder_that_was_never_read_says_so_when_it_is_read_back(
    home: DataDir, folder: Path, library: Library, embedder: Any, reader: ScriptedOcrReader, tmp_path: Path
) -> None:
    await index([folder], library)
    await export_folder(library, tmp_path / "out")
    again = await Library.create_or_open(home, "again", embedder)
    assert (await index([tmp_path / "out"], again, ocr=reader)).ocr_read == 8
    (folder / "red.txt").write_text("another caption")
    await index([tmp_path / "out"], again)  # its sidecars say nothing of words, and take none away
    assert sum(bool(row.ocr) for row in await again.rows()) == 2
