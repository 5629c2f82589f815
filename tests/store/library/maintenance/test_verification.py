"""A library is compared with its bytes, files and vectors; what can be mended is, and the rest is said."""

import errno
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagerag.agent.errors import BlobError, LibraryDamagedError
from imagerag.formatting.interface_terms import as_commands
from imagerag.store.data_dir import DataDir
from imagerag.store.images.image_info import image_info
from imagerag.store.integrity_check import check_indexes, check_library
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.database import LANCE_ERRORS
from imagerag.store.library.index_files import CHECKSUMS
from imagerag.store.library.indexing.caption_encoding import use_caption_embedder
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance import repair
from imagerag.store.library.maintenance.index_verification import query_indexes
from imagerag.store.library.maintenance.kept_images import KeptImages
from imagerag.store.library.maintenance.migration import migrate
from imagerag.store.library.maintenance.repair import repair_library
from imagerag.store.library.maintenance.vector_verification import unusable, vector_problems
from imagerag.store.library.maintenance.verification import LibraryProblem, verify_table
from imagerag.store.library.region_columns import BOXES, OTHER_REGIONS, REGION_COLUMNS, REGIONS
from imagerag.store.library.schema import OTHER_VECTOR, FileEntry, ImageRecord, NewImage
from tests.store.conftest import ColourEmbedder


def entry(path: Path) -> FileEntry:
    status = path.stat()
    return FileEntry(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@pytest.fixture
def put(library: Library, picture: Any, tmp_path: Path) -> Any:
    """Puts a picture into the library: with a copy, or linked to files of these names."""

    async def put(mark: int, *names: str, copy: bool = False, **fields: Any) -> ImageRecord:
        data = picture("red", mark=mark)
        for name in names:
            (tmp_path / name).write_bytes(data)
        info = image_info(data)
        (vector,) = await library.embedder.embed_images([data])
        row = ImageRecord(image=info.image, files=tuple(entry(tmp_path / name) for name in names), **fields)
        image = NewImage(row=row, data=data if copy else None, thumbnail=info.thumbnail, vector=vector)
        await library.upsert([image])
        return row

    return put


async def repaired(home: DataDir, library: Library) -> list[LibraryProblem]:
    return await repair_library(home, library, verify_table(library.table).problems)


def kinds(library: Library) -> list[tuple[str, str]]:
    return sorted((one.kind, one.id) for one in verify_table(library.table).problems)


async def test_a_library_in_order_has_no_problems(home: DataDir, library: Library, put: Any) -> None:
    await put(1, "a.png", "b.png")
    await put(2, copy=True)
    found = verify_table(library.table)
    assert (found.images, found.files, found.copies, found.problems) == (2, 2, 1, ())
    assert found.dimension == 32
    check_library(home, "shop")


async def test_of_several_rows_of_an_image_the_best_is_kept_with_the_files_of_all(
    home: DataDir, library: Library, put: Any
) -> None:
    row, other = await put(1, "a.png", caption="a card", metadata={"price": 2}), await put(2, "c.png")
    lance = library.table.lance
    whole = lance.search().where(f"id = '{row.id}'").to_arrow()
    second = await put(1, "b.png", copy=True)
    bare = lance.search().where(f"id = '{row.id}'").to_arrow()
    bad = whole.set_column(
        whole.schema.get_field_index("vector"), whole.schema.field("vector"),
        pa.array([[0.5] * 32], whole.schema.field("vector").type),
    )  # fmt: skip
    lance.delete(f"id = '{row.id}'")
    for rows in (bad, bare, whole, lance.search().where(f"id = '{other.id}'").to_arrow()):
        lance.add(rows)
    assert second.id == row.id
    found = [(one.kind, one.id, one.problem) for one in verify_table(library.table).problems]
    assert ("duplicate-row", row.id, "the library has 3 rows of it") in found
    assert ("duplicate-row", other.id, "the library has 2 rows of it") in found
    with pytest.raises(ValueError, match="rows of it"):
        check_library(home, "shop")
    assert all(one.repaired for one in await repaired(home, library))
    kept = {one.id: one for one in await library.rows()}
    assert (await library.count(), kept.keys()) == (2, {row.id, other.id})
    assert (kept[row.id].caption, dict(kept[row.id].metadata)) == ("a card", {"price": 2})
    assert [Path(file.path).name for file in kept[row.id].files] == ["a.png", "b.png"]
    assert kinds(library) == []
    check_library(home, "shop")


async def test_a_dead_path_is_dropped_where_the_image_has_another_file(
    home: DataDir, library: Library, put: Any, tmp_path: Path
) -> None:
    row = await put(1, "a.png", "b.png")
    (tmp_path / "a.png").unlink()
    (problem,) = verify_table(library.table).problems
    assert (problem.kind, problem.path, problem.problem) == ("file", str(tmp_path / "a.png"), "it is gone")
    (mended,) = await repaired(home, library)
    assert "dropped" in mended.repaired
    assert [Path(file.path).name for file in (await library.rows())[0].files] == ["b.png"]
    assert kinds(library) == []
    assert (await library.rows())[0].id == row.id


async def test_a_changed_file_is_encoded_anew_with_its_texts(
    home: DataDir, library: Library, put: Any, tmp_path: Path, picture: Any
) -> None:
    old = await put(1, "a.png", caption="a card", tags=("x",), metadata={"price": 2})
    (tmp_path / "a.png").write_bytes(picture("blue", mark=7))
    assert kinds(library) == [("file", old.id), ("image", old.id)]
    assert all("encoded anew" in one.repaired for one in await repaired(home, library))
    (new,) = await library.rows()
    assert (new.caption, new.tags, dict(new.metadata)) == ("a card", ("x",), {"price": 2})
    assert await library.image_bytes(new.id) == picture("blue", mark=7)
    assert (await library.search("blue", k=1))[0].similarity > 0.9
    assert kinds(library) == []


async def test_a_file_changed_into_one_that_is_there_joins_it(
    home: DataDir, library: Library, put: Any, tmp_path: Path, picture: Any
) -> None:
    await put(1, "a.png")
    other = await put(2, "b.png", caption="the other")
    (tmp_path / "a.png").write_bytes(picture("red", mark=2))
    await repaired(home, library)
    (left,) = await library.rows()
    assert (left.id, left.caption, len(left.files)) == (other.id, "the other", 2)
    assert kinds(library) == []


async def test_an_image_that_is_nowhere_keeps_its_row_and_is_told(
    home: DataDir, library: Library, put: Any, tmp_path: Path
) -> None:
    row = await put(1, "a.png")
    (tmp_path / "a.png").unlink()
    problems = await repaired(home, library)
    assert {one.kind for one in problems} == {"file", "image"}
    assert all(
        one.repaired == "" and f"imagerag library remove shop {row.id[:12]}" in as_commands(one.advice)
        for one in problems
    )
    assert await library.count() == 1


async def on_a_disk(put: Any, tmp_path: Path, **fields: Any) -> tuple[ImageRecord, Path]:
    """An image with two files, one of which lies on a disk that is taken out: its folder is gone, or empty."""
    disk = tmp_path / "disk"
    disk.mkdir()
    row = await put(1, "a.png", "disk/b.png", **fields)
    (disk / "b.png").rename(tmp_path / "b.elsewhere")
    return row, disk


@pytest.mark.parametrize("folder", ["empty", "gone"])
async def test_a_changed_file_does_not_take_the_place_of_an_image_on_a_disk_that_is_not_mounted(
    home: DataDir, library: Library, put: Any, tmp_path: Path, picture: Any, folder: str
) -> None:
    row, disk = await on_a_disk(put, tmp_path, caption="a card")
    if folder == "gone":
        disk.rmdir()
    (tmp_path / "a.png").write_bytes(picture("blue", mark=7))
    problems = await repaired(home, library)
    assert {one.kind for one in problems} == {"file", "image"}
    for one in problems:
        assert one.repaired == ""
        assert f"kept: {disk / 'b.png'} may come back" in one.advice
        assert f"imagerag index {disk} --library shop --prune" in as_commands(one.advice)
    assert [one.id for one in await library.rows()] == [row.id]
    disk.mkdir(exist_ok=True)
    (tmp_path / "b.elsewhere").rename(disk / "b.png")  # mounted again
    assert all(one.repaired for one in await repaired(home, library))
    assert await library.image_bytes(row.id) == picture("red", mark=1)


async def test_a_path_on_a_disk_that_is_not_mounted_is_not_dropped(
    home: DataDir, library: Library, put: Any, tmp_path: Path
) -> None:
    _, disk = await on_a_disk(put, tmp_path)
    before = library.table.lance.version
    (left,) = await repaired(home, library)
    assert library.table.lance.version == before, "what nothing was done about leaves nothing to tidy"
    assert (left.path, left.repaired) == (str(disk / "b.png"), "")
    assert "may come back" in left.advice
    assert [Path(file.path).name for file in (await library.rows())[0].files] == ["a.png", "b.png"]


async def test_a_file_that_cannot_be_read_just_now_keeps_its_image(
    home: DataDir, library: Library, put: Any, tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await put(1, "a.png", "b.png")
    (tmp_path / "a.png").write_bytes(picture("blue", mark=7))
    there = os.stat

    def stat(path: Any, **given: Any) -> os.stat_result:
        if str(path) == str(tmp_path / "b.png"):
            raise OSError(errno.EIO, "Input/output error")
        return there(path, **given)

    monkeypatch.setattr("imagerag.store.library.linked_files.os.stat", stat)
    assert all(one.repaired == "" and "may come back" in one.advice for one in await repaired(home, library))
    assert [one.id for one in await library.rows()] == [row.id]


async def test_a_file_that_became_no_image_is_told(home: DataDir, library: Library, put: Any, tmp_path: Path) -> None:
    await put(1, "a.png")
    (tmp_path / "a.png").write_bytes(b"no image")
    assert all(one.advice and not one.repaired for one in await repaired(home, library))


async def test_a_damaged_copy_is_made_again_from_a_file(
    home: DataDir, library: Library, put: Any, picture: Any
) -> None:
    row = await put(1, "a.png", copy=True)
    library.table.images.path(row.id).write_bytes(b"other bytes")
    assert kinds(library) == [("copy", row.id)]
    (mended,) = await repaired(home, library)
    assert "whole copy" in mended.repaired
    assert "set-aside" in mended.repaired
    assert await library.image_bytes(row.id) == picture("red", mark=1)
    assert kinds(library) == []


async def test_a_damaged_copy_is_made_again_from_another_library(
    home: DataDir, library: Library, put: Any, picture: Any, embedder: Any
) -> None:
    row = await put(1, copy=True)
    other = await Library.create_or_open(home, "other", embedder)
    info = image_info(picture("red", mark=1))
    (vector,) = await embedder.embed_images([picture("red", mark=1)])
    data = picture("red", mark=1)
    await other.upsert([NewImage(row=row, data=data, thumbnail=info.thumbnail, vector=vector)])
    library.table.images.path(row.id).write_bytes(b"other bytes")
    await repaired(home, library)
    assert await library.image_bytes(row.id) == data


async def in_another_library(home: DataDir, row: ImageRecord, data: bytes, embedder: Any) -> None:
    other = await Library.create_or_open(home, "other", embedder)
    (vector,) = await embedder.embed_images([data])
    await other.upsert([NewImage(row=row, data=data, thumbnail=image_info(data).thumbnail, vector=vector)])


async def test_bytes_from_another_library_are_said_to_be(
    home: DataDir, library: Library, put: Any, picture: Any, embedder: Any, tmp_path: Path
) -> None:
    row = await put(1, "a.png")
    await in_another_library(home, row, picture("red", mark=1), embedder)
    (tmp_path / "a.png").unlink()
    done = {one.kind: one for one in await repaired(home, library)}
    assert done["image"].problem == "its bytes are in no file and in no copy of this library"
    assert done["image"].repaired == "another library or a run had them: a whole copy is in the library"
    assert kinds(library) == []


async def test_a_changed_file_takes_its_images_place_though_another_library_has_the_old_bytes(
    home: DataDir, library: Library, put: Any, picture: Any, embedder: Any, tmp_path: Path
) -> None:
    row = await put(1, "a.png", caption="a card")
    await in_another_library(home, row, picture("red", mark=1), embedder)
    (tmp_path / "a.png").write_bytes(picture("blue", mark=2))
    assert all("encoded anew" in one.repaired for one in await repaired(home, library))
    (now,) = await library.rows()
    assert (now.id == row.id, now.caption) == (False, "a card")
    assert kinds(library) == []


async def test_a_damaged_copy_without_another_is_told_and_kept(home: DataDir, library: Library, put: Any) -> None:
    row = await put(1, copy=True)
    library.table.images.path(row.id).write_bytes(b"other bytes")
    (left,) = await repaired(home, library)
    assert left.advice
    assert not left.repaired
    assert library.table.images.path(row.id).read_bytes() == b"other bytes"
    with pytest.raises(BlobError):
        await library.image_bytes(row.id)


@pytest.mark.parametrize("bad", [0.0, 3.0, np.inf])
async def test_a_vector_that_means_nothing_is_encoded_anew(
    home: DataDir, library: Library, put: Any, bad: float
) -> None:
    row = await put(1, copy=True, caption="a card")
    good = (await library.captioned_vectors())[1]
    fields = pa.schema([library.table.lance.schema.field(name) for name in ("id", "vector")])
    spoilt = pa.Table.from_pylist([{"id": row.id, "vector": [bad] * 32}], schema=fields)
    library.table.lance.merge_insert("id").when_matched_update_all().execute(spoilt)
    assert kinds(library) == [("vector", row.id)]
    (mended,) = await repaired(home, library)
    assert mended.repaired == "encoded anew"
    rows, vectors = await library.captioned_vectors()
    assert (rows[0].id, rows[0].caption) == (row.id, "a card")
    assert np.allclose(vectors, good)
    assert kinds(library) == []


async def test_a_thumbnail_is_made_anew(home: DataDir, library: Library, put: Any) -> None:
    row = await put(1, "a.png")
    before = await library.thumbnail(row.id)
    library.table.lance.update(where=f"id = '{row.id}'", values={"thumbnail": b"no webp"})
    assert kinds(library) == [("thumbnail", row.id)]
    await repaired(home, library)
    assert await library.thumbnail(row.id) == before


async def test_a_stray_copy_is_deleted(home: DataDir, library: Library, put: Any) -> None:
    row = await put(1, copy=True)
    library.table.images.write("ab" * 32, b"a copy of nothing")
    (path,) = [one.path for one in verify_table(library.table).problems]
    assert Path(path).exists()
    (mended,) = await repaired(home, library)
    assert mended.repaired == "deleted"
    assert not Path(path).exists()
    assert await library.image_bytes(row.id)


async def test_what_is_in_order_is_left_as_it_is(home: DataDir, library: Library, put: Any, tmp_path: Path) -> None:
    rows = [await put(mark, f"{mark}.png", copy=mark % 2 == 0, caption=f"card {mark}") for mark in range(6)]
    (tmp_path / "3.png").unlink()
    library.table.images.path(rows[2].id).write_bytes(b"x")
    before = {row.id: replace(row, files=()) for row in await library.rows()}
    vectors = (await library.captioned_vectors())[1]
    await repaired(home, library)
    assert {row.id: replace(row, files=()) for row in await library.rows()} == before
    assert np.array_equal(vectors, (await library.captioned_vectors())[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 1.1])
def test_vectors_that_lancedb_would_not_take_are_seen(bad: float) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 0.0, bad, 0.0], pa.float32()), 2)
    assert unusable(vectors).tolist() == [False, True]
    missing = pa.array([None, [0.6, 0.8]], vectors.type)
    assert unusable(missing).tolist() == [True, False]
    assert unusable(missing, optional=True).tolist() == [False, False]
    assert unusable(missing[1:]).tolist() == [False]


ONE, BOX = [0.6, 0.8], [0.0, 0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("regions", "boxes", "wrong"),
    [
        ([ONE, ONE], [BOX, BOX], False),
        ([], [], False),
        (None, None, False),
        ([ONE, [0.6, 0.6]], [BOX, BOX], True),
        ([ONE, [0.6, np.nan]], [BOX, BOX], True),
        ([ONE, None], [BOX, BOX], True),
        ([ONE], [BOX, BOX], True),
        ([ONE], None, True),
        (None, [BOX], True),
        ([ONE], [[0, 0, 0.5, 1.1]], True),
        ([ONE], [[-0.1, 0, 0.5, 1]], True),
        ([ONE], [[0.5, 0, 0.5, 1]], True),
        ([ONE], [[0, 0.5, 0.5, np.nan]], True),
        ([ONE], [None], True),
    ],
)
def test_regions_have_a_unit_vector_and_a_box_inside_the_image_each(regions: Any, boxes: Any, wrong: bool) -> None:
    columns = {
        "vector": pa.array([ONE] * 3, pa.list_(pa.float32(), 2)),
        REGIONS: pa.array([[ONE], regions, None], pa.list_(pa.list_(pa.float32(), 2))),
        BOXES: pa.array([[BOX], boxes, None], pa.list_(pa.list_(pa.float32(), 4))),
    }
    whole = pa.record_batch(columns)
    for batch, expected in ((whole, [False, wrong, False]), (whole.slice(1), [wrong, False])):
        found = np.logical_or.reduce([bad for kind, _, bad in vector_problems(batch) if kind == "regions"])
        assert found.tolist() == expected


async def test_what_is_encoded_beside_the_vectors_is_deleted_and_the_next_index_makes_it_anew(
    home: DataDir, library: Library, tmp_path: Path, picture: Any
) -> None:
    for mark in range(3):
        (tmp_path / f"{mark}.png").write_bytes(picture("red", mark=mark, size=(120, 120)))
        (tmp_path / f"{mark}.txt").write_text(f"card {mark}")
    await use_caption_embedder(library, library.embedder)
    paths = [tmp_path / f"{mark}.png" for mark in range(3)]
    await index(paths, library, regions=True)
    await migrate(library, ColourEmbedder("two"))
    assert verify_table(library.table).problems == ()
    columns = ["id", CAPTION_VECTOR, *REGION_COLUMNS, OTHER_VECTOR, OTHER_REGIONS]
    before = {record["id"]: record for record in await library.table.records(columns, None)}
    ids = sorted(before)
    long = {CAPTION_VECTOR: [3.0] * 32, OTHER_VECTOR: [0.0] * 32, BOXES: [[0.0, 0.0, 2.0, 1.0]] * 13}
    for one, (name, value) in zip(ids, long.items(), strict=True):
        fields = pa.schema([library.table.lance.schema.field(column) for column in ("id", name)])
        spoilt = pa.Table.from_pylist([{"id": one, name: value}], schema=fields)
        library.table.lance.merge_insert("id").when_matched_update_all().execute(spoilt)
    assert kinds(library) == sorted(zip(("caption-vector", "other-vector", "regions"), ids, strict=True))
    with pytest.raises(ValueError, match="damaged: "):
        check_library(home, "shop")
    done = await repaired(home, library)
    said = {one.kind: as_commands(one.repaired) for one in done}
    again = "deleted: imagerag index PATH --library shop encodes it again"
    assert said == {
        "caption-vector": again, "regions": again, "other-vector": "deleted: the next migration encodes it again",
    }  # fmt: skip
    assert kinds(library) == []
    between = {record["id"]: record for record in await library.table.records(columns, None)}
    assert [name for one in ids for name in columns if between[one][name] is None] == [
        CAPTION_VECTOR, OTHER_VECTOR, OTHER_REGIONS, *REGION_COLUMNS, OTHER_REGIONS,
    ]  # fmt: skip
    report = await index(paths, library)
    assert (report.captions_encoded, report.region_images) == (1, 1)
    await migrate(library, ColourEmbedder("two"))
    assert {record["id"]: record for record in await library.table.records(columns, None)} == before
    check_library(home, "shop")


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ({"metadata": "'{spoilt'"}, {}),
        ({"metadata": "'[1]'", "m_day_text": "NULL"}, {"day": "2024-05-03T00:00:00+00:00"}),
        ({"labels": "NULL", "m_shelf_number": "NULL"}, {}),
        ({"m_maker_text": "'Eve'"}, {}),
        ({"media_type": "NULL", "width": "NULL", "height": "0", "created": "NULL"}, {}),
        ({"tags": "NULL"}, {}),
    ],
)
async def test_a_row_that_cannot_be_read_is_written_anew(
    home: DataDir, library: Library, put: Any, values: dict[str, str], other: dict[str, Any]
) -> None:
    known = {"shelf": 7, "maker": "Ann", "day": "2024-05-03"}
    odd = {"none": None, "unlike": float("nan"), "large": 10**18, "yes": True}
    row = await put(1, "a.png", caption="a card", tags=("new",), metadata=known | odd)
    assert kinds(library) == []
    library.table.lance.update(where=f"id = '{row.id}'", values_sql=values)
    assert kinds(library) == [("row", row.id)]
    with pytest.raises(ValueError, match="damaged: "):
        check_library(home, "shop")
    (done,) = await repaired(home, library)
    assert done.repaired == "written anew"
    assert kinds(library) == []
    (now,) = await library.rows()
    assert (now.image, now.caption, now.files) == (row.image, "a card", row.files)
    assert now.tags == (() if "tags" in values else ("new",))
    assert {key: now.metadata[key] for key in known} == known | other


async def test_a_row_without_a_hash_keeps_no_other_from_being_mended(
    home: DataDir, library: Library, put: Any, tmp_path: Path
) -> None:
    rows = [await put(mark, f"{mark}.png") for mark in range(2)]
    library.table.lance.update(where=f"id = '{rows[0].id}'", values={"id": "it's"})
    library.table.lance.update(where=f"id = '{rows[1].id}'", values={"metadata": "{"})
    done = {one.id: one for one in await repaired(home, library) if one.kind == "row"}
    assert done[rows[1].id].repaired == "written anew"
    assert "table.delete(\"id = 'it''s'\")" in done["it's"].advice
    library.table.lance.delete("id = 'it''s'")
    assert kinds(library) == []


async def test_an_index_that_cannot_be_read_is_built_anew(home: DataDir, library: Library, put: Any) -> None:
    await put(1, "a.png", caption="a card")
    await library.optimize()
    files = list(library.folder.glob("_indices/*/*.lance"))
    assert files
    assert kinds(library) == []
    for file in files:
        file.write_bytes(b"")
    again = await Library.open(home, "shop", library.embedder)
    assert kinds(again) == [("index", "")]
    (done,) = await repaired(home, again)
    assert done.repaired
    assert kinds(await Library.open(home, "shop", library.embedder)) == []


@pytest.mark.parametrize("mended_by", ["repair", "optimize"])
async def test_an_index_with_a_changed_byte_that_still_answers_is_built_anew(
    home: DataDir, library: Library, put: Any, mended_by: str
) -> None:
    for mark in range(3):
        await put(mark, f"{mark}.png", caption=f"a card number {mark}")
    await library.optimize()
    assert kinds(library) == []
    file = max(library.folder.glob("_indices/*/*.lance"), key=lambda path: path.stat().st_size)
    data = file.read_bytes()
    for at in range(len(data)):  # the first byte that no query misses
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        damaged = await Library.open(home, "shop", library.embedder)
        with suppress(*LANCE_ERRORS):
            query_indexes(damaged.table.lance)
            break
    else:
        pytest.fail("every byte is looked at")
    (problem,) = (one for one in verify_table(damaged.table).problems if one.kind == "index")
    assert (problem.path, problem.problem) == (str(file), "it has other bytes than were written")
    with pytest.raises(LibraryDamagedError, match="other bytes"):
        check_indexes(home, "shop")
    if mended_by == "repair":
        (done,) = [one for one in await repaired(home, damaged) if one.kind == "index"]
        assert done.repaired == "all indexes were built anew"
    else:
        await put(3, "3.png", caption="a card number 3")
        await damaged.optimize()
    assert not file.exists()
    again = await Library.open(home, "shop", library.embedder)
    assert kinds(again) == []
    check_indexes(home, "shop")
    assert len(await again.search_words("number", k=9)) == 3 + (mended_by == "optimize")


async def test_indexes_without_checksums_are_queried_alone(home: DataDir, library: Library, put: Any) -> None:
    """Those of earlier versions, until the library is optimized."""
    await put(1, "a.png", caption="a card")
    await library.optimize()
    noted = (library.folder / CHECKSUMS).read_bytes()
    for text in ("", "[]"):
        (library.folder / CHECKSUMS).write_text(text)
        assert kinds(library) == []
    await library.optimize()
    assert json.loads((library.folder / CHECKSUMS).read_bytes()).keys() >= {
        path.relative_to(library.folder / "_indices").as_posix() for path in library.folder.glob("_indices/*/*")
    }
    assert noted


async def test_many_problems_are_repaired_some_images_at_a_time(
    home: DataDir, library: Library, put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [await put(mark, f"{mark}.png") for mark in range(5)]
    for row in rows:
        Path(row.files[0].path).unlink()
    problems = [
        LibraryProblem(kind=kind, id=row.id, problem="unusable") for row in rows for kind in ("other-vector", "file")
    ]
    monkeypatch.setattr(repair, "AT_ONCE", 2)
    at_once = list[tuple[str, int]]()

    def counted(name: str, work: Any) -> Any:
        async def noted(ids: Any, *arguments: Any) -> Any:
            at_once.append((name, len(ids)))
            return await work(ids, *arguments)

        return noted

    monkeypatch.setattr(library.table, "clear", counted("clear", library.table.clear))
    monkeypatch.setattr(library, "rows", counted("rows", library.rows))
    results = await repair_library(home, library, problems)
    assert at_once == [(name, count) for count in (2, 2, 1) for name in ("clear", "rows")]
    assert sorted((one.kind, one.id) for one in results) == sorted((one.kind, one.id) for one in problems)
    assert all(one.repaired or one.advice for one in results)


async def test_a_dead_path_stays_dropped_when_the_thumbnail_is_made_anew(
    home: DataDir, library: Library, put: Any, tmp_path: Path
) -> None:
    row = await put(1, "a.png", "b.png")
    (tmp_path / "a.png").unlink()
    library.table.lance.update(where=f"id = '{row.id}'", values={"thumbnail": b""})
    assert kinds(library) == [("file", row.id), ("thumbnail", row.id)]
    assert all(one.repaired for one in await repaired(home, library))
    assert [Path(file.path).name for file in (await library.rows())[0].files] == ["b.png"]
    assert kinds(library) == []


async def test_a_damaged_library_does_not_hide_the_bytes_of_the_next(home: DataDir, library: Library, put: Any) -> None:
    row = await put(1, copy=True)
    damaged = await Library.create_or_open(home, "a-first", library.embedder)
    for file in (damaged.folder / "_versions").iterdir():
        file.write_bytes(b"junk")
    assert KeptImages(home, [row.id]).read(row.id) == await library.image_bytes(row.id)
