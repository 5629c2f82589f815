"""What a person typed stays with a file that is edited; a folder that moved leaves no path behind; counts add up."""

import os
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.types import ImageRef
from imagerag.cli.index_report import document, report_lines
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.changes import ImageChanges, change_images
from imagerag.store.library.maintenance.repair import repair_library
from imagerag.store.library.maintenance.verification import verify_table
from imagerag.store.library.metadata.image_metadata import ImageMetadata
from imagerag.store.library.metadata.text_origins import with_origins, with_texts_of
from imagerag.store.library.schema import ImageRecord


async def row_at(library: Library, path: Path) -> ImageRecord:
    (row,) = [row for row in await library.rows() if str(path) in {file.path for file in row.files}]
    return row


@pytest.fixture
async def typed(folder: Path, library: Library) -> Path:
    """A file of an indexed folder of which a person has said something."""
    await index([folder], library)
    file = folder / "red.png"
    said = ImageChanges(caption="an enamel mug", title="mug", add_tags=["mine"], licence="CC0-1.0", set={"price": 12})
    await change_images(library, [(await row_at(library, file)).id], said)
    return file


def assert_typed(row: ImageRecord) -> None:
    assert (row.caption, row.title, row.licence) == ("an enamel mug", "mug", "CC0-1.0")
    assert "mine" in row.tags
    assert row.metadata["price"] == 12


async def test_what_was_typed_stays_with_an_edited_file(
    typed: Path, folder: Path, library: Library, picture: Any
) -> None:
    for mark in (99, 98):
        typed.write_bytes(picture("red", mark=mark))
        report = await index([folder], library)
        assert (report.changed, report.removed, report.captions) == (1, 0, 8)
        assert_typed(await row_at(library, typed))
    assert await library.count() == 8


@pytest.mark.parametrize(("title", "then"), [(None, "lamp"), ("red", "red"), ("mug", "mug")])
async def test_a_title_that_is_only_the_files_name_follows_it(
    folder: Path, library: Library, title: str | None, then: str
) -> None:
    if title:
        (folder / "red.json").write_text(f'{{"title": "{title}"}}')
    await index([folder], library)
    (folder / "in").mkdir()
    (folder / "red.png").rename(folder / "in" / "lamp.png")
    report = await index([folder], library)
    assert (report.moved, report.changed) == (1, 0)
    assert (await row_at(library, folder / "in" / "lamp.png")).title == then


async def test_a_number_of_a_row_is_no_title_for_a_file_that_is_gone(folder: Path, library: Library) -> None:
    data = (folder / "red.png").read_bytes()
    pq.write_table(pa.table({"image": [data], "caption": ["a red card"]}), folder / "t.parquet")
    await index([folder], library)
    (folder / "red.png").unlink()
    await index([folder], library)
    assert (await row_at(library, folder / "t.parquet::0")).title == "red"


async def test_an_edited_file_keeps_when_it_was_first_indexed(
    typed: Path, folder: Path, library: Library, home: DataDir, picture: Any
) -> None:
    created = (await row_at(library, typed)).created
    typed.write_bytes(picture("red", mark=99))
    await index([folder], library, calibrate=False)
    assert (await row_at(library, typed)).created == created
    typed.write_bytes(picture("red", mark=98))
    await repair_library(home, library, verify_table(library.table).problems)
    assert (await row_at(library, typed)).created == created
    shutil.move(typed, folder / "moved.png")
    typed.write_bytes(picture("red", mark=97))
    await index([folder], library, calibrate=False)
    assert (await row_at(library, folder / "moved.png")).created == created
    assert (await row_at(library, typed)).created > created, "another picture in the place of one that moved"


async def test_what_was_typed_stays_where_a_copy_of_the_old_file_is_kept(
    typed: Path, folder: Path, library: Library, picture: Any
) -> None:
    shutil.copy2(typed, folder / "red_original.png")
    typed.write_bytes(picture("red", mark=99))
    await index([folder], library)
    assert_typed(await row_at(library, typed))
    assert_typed(await row_at(library, folder / "red_original.png"))


async def test_a_file_that_moved_takes_its_texts_along(
    typed: Path, folder: Path, library: Library, picture: Any
) -> None:
    typed.rename(folder / "mug.png")
    typed.write_bytes(picture("red", mark=99))
    await index([folder], library)
    assert_typed(await row_at(library, folder / "mug.png"))
    assert (await row_at(library, typed)).caption != "an enamel mug"


async def test_a_title_that_was_the_name_of_the_file_follows_it(
    typed: Path, folder: Path, library: Library, picture: Any
) -> None:
    (folder / "blue.png").rename(folder / "sky.png")
    (folder / "green.png").rename(folder / "grass.png")
    typed.rename(folder / "cup.png")
    shutil.copy(folder / "black.png", folder / "copy.png")
    report = await index([folder], library)
    assert (report.moved, report.updated, report.duplicates) == (3, 0, 1)
    titles = [(await row_at(library, folder / name)).title for name in ("sky.png", "grass.png", "cup.png", "black.png")]
    assert titles == ["sky", "grass", "mug", "black"]
    (folder / "sky.png").rename(folder / "sea.png")
    (folder / "black.png").unlink()
    await index([folder], library)
    assert [(await row_at(library, folder / name)).title for name in ("sea.png", "copy.png")] == ["sea", "copy"]


async def test_a_sidecar_that_says_something_else_now_counts(
    typed: Path, folder: Path, library: Library, picture: Any
) -> None:
    typed.write_bytes(picture("red", mark=99))
    (folder / "red.json").write_text('{"caption": "a new one"}')
    await index([folder], library)
    row = await row_at(library, typed)
    assert (row.caption, row.title) == ("a new one", "mug")


texts = st.sampled_from(["", "a", "b", "c"])


@given(before=texts, typed=texts, now=texts, noted=st.booleans())
def test_a_file_replaces_only_what_it_said_itself(before: str, typed: str, now: str, noted: bool) -> None:
    """Of rows that earlier versions wrote nobody knows what the file said: everything stays."""

    def row(text: str, sha256: str) -> ImageRecord:
        said = ImageMetadata(caption=text or None, metadata={"k": text} if text else None)
        new = said.filling(ImageRecord(image=ImageRef(sha256=sha256 * 64, media_type="image/png", width=1, height=1)))
        return with_origins(new, said) if noted or sha256 == "2" else new

    old, new = row(before, "1"), row(now, "2")
    if typed:
        old = ImageChanges(caption=typed, set={"k": typed}).applied_to(old)
    left = with_texts_of(new, old)
    was = typed or before
    expected = (now or was) if noted and was == before else (was or now)
    assert (left.caption, left.metadata.get("k", "")) == (expected, expected)


async def test_a_folder_that_moved_leaves_no_path_behind(folder: Path, library: Library, tmp_path: Path) -> None:
    shutil.copy(folder / "red.png", folder / "double.png")
    await index([folder], library)
    there = tmp_path / "there"
    folder.rename(there)
    report = await index([there], library)
    assert (report.moved, report.duplicates, report.removed) == (8, 1, 0)
    rows = await library.rows()
    assert {file.path for row in rows for file in row.files} == {str(file) for file in there.glob("*.png")}
    assert all(str(folder) not in row.source for row in rows)


async def test_a_path_without_its_disk_stays_where_nothing_was_found_anew(
    folder: Path, library: Library, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    shutil.copytree(folder, there)
    await index([folder, there], library)
    folder.rename(tmp_path / "away")
    for file in there.glob("*.png"):
        file.touch()
    report = await index([there], library)
    assert (report.unchanged, report.paths_removed) == (8, 0)
    assert all(len(row.files) == 2 for row in await library.rows())


async def test_paths_that_are_taken_out_are_told_and_no_speed_where_nothing_was_encoded(
    folder: Path, library: Library, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    shutil.copytree(folder, there)
    await index([folder, there], library)
    shutil.rmtree(folder)
    report = await index([folder], library, prune=True)
    assert (report.paths_removed, report.removed, report.did_something) == (8, 0, True)
    lines = report_lines(report, library.name, library.metadata)
    assert lines[0].endswith(": 8 paths taken out")
    assert not any("speed" in line for line in lines)
    assert document(report, library.name, None).paths_removed == 8
    assert await library.count() == 8


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_picture_that_another_one_was_written_over_is_counted(
    folder: Path, library: Library, dry_run: bool
) -> None:
    await index([folder], library)
    shutil.copy(folder / "blue.png", folder / "red.png")
    report = await index([folder], library, dry_run=dry_run)
    assert (report.added, report.changed, report.removed, report.duplicates) == (0, 0, 1, 1)
    assert await library.count() == (8 if dry_run else 7)


async def test_a_folder_that_is_gone_is_told_with_what_to_do(folder: Path, library: Library, tmp_path: Path) -> None:
    await index([folder], library)
    folder.rename(tmp_path / "there")
    with pytest.raises(UsageError, match=r"nothing was taken out(.|\n)*moved, index the folder where it is now"):
        await index([folder], library)
    assert await library.count() == 8
    with pytest.raises(UsageError, match=r"there is no file or folder .*nowhere$"):
        await index([tmp_path / "nowhere"], library)


def rewritten(file: Path, data: bytes) -> None:
    """The file with other bytes under the same size, time and inode."""
    status = file.stat()
    assert len(data) <= status.st_size
    with file.open("r+b") as stream:
        stream.write(data + bytes(status.st_size - len(data)))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


async def test_new_bytes_under_the_same_size_and_time_are_found_by_comparing_them(
    folder: Path, library: Library, picture: Any
) -> None:
    file = folder / "red.png"
    file.write_bytes(file.read_bytes() + bytes(200))
    (folder / "blue.zip").write_bytes(b"")
    with zipfile.ZipFile(folder / "blue.zip", "w") as packing:
        packing.writestr("a.png", picture("blue", mark=70) + bytes(200))
        packing.writestr("a.txt", "a blue card")
    await index([folder], library)
    before = {row.id for row in await library.rows()}
    rewritten(file, picture("red", mark=71))
    data = (folder / "blue.zip").read_bytes()
    other, old = picture("blue", mark=72), picture("blue", mark=70) + bytes(200)
    new = other + bytes(len(old) - len(other))
    rewritten(folder / "blue.zip", data.replace(old, new))
    assert (await index([folder], library)).did_something is False
    problems = [one for one in verify_table(library.table).problems if one.kind == "image"]
    assert len(problems) == 2
    (member,) = [one for one in await repair_library(library.table.home, library, problems) if not one.repaired]
    zipped = str(folder / "blue.zip")
    assert f"`rag.libraries.index({zipped!r}, library='shop', checksum=True)`" in member.advice
    rewritten(file, picture("red", mark=73))
    planned = await index([folder], library, checksum=True, dry_run=True)
    report = await index([folder], library, checksum=True)
    for one in (planned, report):
        assert (one.changed, one.added, one.removed, one.skipped) == (2, 0, 0, [])
        assert one.unchanged == len(before) - 2
    rows = {Path(row.files[0].path).name: row for row in await library.rows()}
    assert rows["red.png"].id == sha256(file.read_bytes()).hexdigest()
    assert rows["blue.zip::a.png"].id == sha256(new).hexdigest()
    assert not verify_table(library.table).problems
    again = await index([folder], library, checksum=True)
    assert (again.unchanged, again.did_something) == (len(before), False)
