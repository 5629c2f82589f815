"""Images are taken out of a library, changed, added again; indexing does not bring back what a person took out."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lancedb.index import BTree

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.agent.types import ImageRef
from imagerag.agent.types.filters import parse_filter
from imagerag.formatting.interface_terms import as_commands
from imagerag.store.library import compaction, schema
from imagerag.store.library.indexing.adding import add_files
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance import changes as changes_module
from imagerag.store.library.maintenance.changes import ImageChanges, change_images, scalar_of
from imagerag.store.library.maintenance.image_selection import path_of, select_ids
from imagerag.store.library.maintenance.removal import remove_images, removed_ids, settle, settle_removal
from imagerag.store.library.schema import ImageRecord


async def titles(library: Library, ids: Sequence[str] | None = None) -> set[str]:
    return {row.title for row in await library.rows(ids)}


async def test_images_are_named_by_id_file_folder_and_filter(library: Library, folder: Path, picture: Any) -> None:
    await index([folder], library)
    (folder / "shades").mkdir()
    (folder / "shades" / "dark.png").write_bytes(picture("black", mark=9))
    await index([folder], library)
    red = next(row for row in await library.rows() if row.title == "red")
    for name in (red.id, red.id[:8], str(folder / "red.png"), path_of(red)):
        assert await select_ids(library, [name]) == [red.id]
    assert await titles(library, await select_ids(library, [folder / "shades"])) == {"dark"}
    assert len(await select_ids(library, [folder])) == 9
    await library.update([replace(red, tags=("loud",))])
    assert await select_ids(library, [], tags=["loud"]) == [red.id]
    assert await select_ids(library, [folder / "shades"], tags=["loud"]) == []


@pytest.mark.parametrize("name", ["nowhere.png", "abcdef0123", "f" * 64, "\udcff.png"])
async def test_a_name_that_stands_for_nothing_is_refused(library: Library, folder: Path, name: str) -> None:
    await index([folder], library)
    with pytest.raises(UsageError, match="holds no image"):
        await select_ids(library, [name])


async def test_nothing_named_is_not_everything(library: Library, folder: Path) -> None:
    await index([folder], library)
    with pytest.raises(UsageError, match="say which images"):
        await select_ids(library, [])


async def test_a_folder_is_not_one_whose_name_begins_like_it(library: Library, tmp_path: Path, picture: Any) -> None:
    for name in ("a", "ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").write_bytes(picture(mark=len(name)))
    await index([tmp_path / "a", tmp_path / "ab"], library)
    assert await titles(library, await select_ids(library, [tmp_path / "a"])) == {"a"}


async def test_digits_of_several_ids_are_refused(
    library: Library, folder: Path, monkeypatch: Any, picture: Any
) -> None:
    from imagerag.store.library.maintenance import image_selection

    for mark in range(9):  # of 17 images two begin with the same digit
        (folder / f"{mark}.png").write_bytes(picture("red", mark=mark + 1))
    await index([folder], library)
    ((digit, _),) = Counter(row.id[0] for row in await library.rows()).most_common(1)
    monkeypatch.setattr(image_selection, "ID", image_selection.re.compile(r"[0-9a-f]{1,64}"))
    with pytest.raises(UsageError, match="add digits"):
        await select_ids(library, [digit])


async def test_removed_images_stay_out_of_the_next_scan_until_they_are_added(library: Library, folder: Path) -> None:
    await index([folder], library)
    (red,) = await select_ids(library, [folder / "red.png"])
    assert await remove_images(library, [red]) == 1
    await settle_removal(library, [red])
    assert removed_ids(library.folder) == {red}
    assert "red" not in await titles(library)
    assert not await library.is_stale()
    told: list[str] = []
    report = await index([folder], library, warn=told.append)
    assert (report.added, report.removed_before, report.unchanged) == (0, 1, 7)
    assert told == [text for text in report.warnings if "removed" in text]
    assert "imagerag library add shop FILE" in as_commands(told[0])
    assert "red" not in await titles(library)
    (row,) = await add_files(library, [folder / "red.png"], ImageChanges())
    assert (row.id, row.caption) == (red, "a red card")
    assert removed_ids(library.folder) == frozenset()
    assert (await index([folder], library)).removed_before == 0


@pytest.mark.parametrize("large", [False, True])
async def test_removing_leaves_no_copy_behind(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    await index([folder], library, copy=True)
    rows = await library.rows()
    tidied: list[int] = []
    if large:  # so that joining fragments for a few rows does not pay
        monkeypatch.setattr(compaction, "ALWAYS", 0)
        monkeypatch.setattr(compaction, "SHARE", 2)
        monkeypatch.setattr(Library, "optimize", lambda _: tidied.append(1))
    for part in (rows[:3], rows[3:5]) if large else (rows[:5], rows[5:]):
        ids = [row.id for row in part]
        await remove_images(library, ids)
        await settle_removal(library, ids)
        left = {row.id for row in await library.rows()}
        assert {path.parent.name + path.name for path in library.table.images.root.glob("*/*")} <= left
    assert (await library.count(), tidied) == (3 if large else 0, [])


async def test_copies_of_a_removal_that_was_stopped_go_with_the_next_change(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index([folder], library, copy=True)
    rows = await library.rows()
    monkeypatch.setattr(compaction, "ALWAYS", 0)  # so that joining fragments does not pay
    monkeypatch.setattr(compaction, "SHARE", 2)
    await remove_images(library, [row.id for row in rows[:3]])  # stopped here
    await settle(library, changed=1)
    kept = {path.parent.name + path.name for path in library.table.images.root.glob("*/*")}
    assert kept == {row.id for row in rows[3:]}


async def test_an_image_is_added_with_what_is_said_of_it(library: Library, folder: Path) -> None:
    changes = ImageChanges(title="Card", caption="a loud card", add_tags=("x",), set={"price": 3, "camera": "X100"})
    (row,) = await add_files(library, [folder / "red.png"], changes)
    assert (row.title, row.caption, row.tags, row.camera, dict(row.metadata)) == (
        "Card", "a loud card", ("x",), "X100", {"price": 3},
    )  # fmt: skip
    assert not await library.is_stale()


def clock_at(day: str) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls.fromisoformat(day).replace(tzinfo=tz)

    return Clock


async def test_added_images_are_counted_by_what_was_written_whatever_the_clock_says(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for there, then in (("red.png", "2026-01-01"), ("blue.png", "2099-01-01"), ("green.png", "1970-01-01")):
        monkeypatch.setattr(schema, "datetime", clock_at(then))
        assert (await add_files(library, [folder / there], ImageChanges())).new == 1
        assert (await add_files(library, [folder / there], ImageChanges(title="x"))).new == 0
    files = [folder / name for name in ("red.png", "blue.png", "yellow.png", "yellow.png")]
    added = await add_files(library, files, ImageChanges())
    assert (added.new, len(added)) == (1, 3)
    await remove_images(library, [added[0].id])
    assert (await add_files(library, files, ImageChanges())).new == 1


@pytest.mark.parametrize("there", [False, True])
async def test_adding_measures_and_tidies_once(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        await index([folder / "blue.png"], library)
    done: list[str] = []
    for name in ("calibrate", "optimize"):
        whole = getattr(Library, name)
        noting = partial(lambda name, whole, *args, **said: done.append(name) or whole(*args, **said), name, whole)
        monkeypatch.setattr(library, name, partial(noting, library))
    await add_files(library, [folder / "red.png"], ImageChanges(caption="a loud card"))
    assert sorted(done) == ["calibrate", "optimize"]
    assert not await library.is_stale()


@pytest.mark.parametrize("name", ["nowhere.png", "red.txt"])
async def test_one_bad_file_adds_none(library: Library, folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match=name):
        await add_files(library, [folder / "red.png", folder / name], ImageChanges())
    assert await library.count() == 0


async def test_changes_touch_what_they_name_and_nothing_else(library: Library, folder: Path) -> None:
    (folder / "red.json").write_text(json.dumps({"tags": ["a", "b"], "shelf": "A1", "price": 2, "place": "Riga"}))
    await index([folder], library)
    before = {row.id: row for row in await library.rows()}
    red = next(row for row in before.values() if row.title == "red")
    changes = ImageChanges(
        licence="CC0-1.0", add_tags=("c", "a"), remove_tags=("b",), set={"price": 5, "taken": "2024-05-01"},
        unset=("shelf", "place"),
    )  # fmt: skip
    assert (await change_images(library, [red.id], changes, dry_run=True)).ids == [red.id]
    assert {row.id: row for row in await library.rows()} == before
    selection = await change_images(library, [red.id], changes)
    after = {row.id: row for row in await library.rows()}
    new = after.pop(red.id)
    assert (new.licence, new.tags, dict(new.metadata), new.place) == ("CC0-1.0", ("a", "c"), {"price": 5}, "")
    assert new.taken is not None
    assert (new.taken.year, new.caption, new.title) == (2024, "a red card", "red")
    assert selection.rows == [new]
    assert after == {key: row for key, row in before.items() if key != red.id}
    assert not await change_images(library, [red.id], changes)


@pytest.mark.parametrize(
    ("changes", "count", "reason"),
    [
        ({"unset": ["nokey"]}, 0, "no image here has a field 'nokey'; fields there: caption, source, title"),
        ({"unset": ["captions"]}, 0, "no image here has a field 'captions'; did you mean 'caption'?"),
        ({"remove_tags": ["x"]}, 0, "no image here has a tag 'x'; none has a tag"),
        ({"remove_tags": ["x"], "title": "new"}, 1, "no image here has a tag 'x'; none has a tag"),
        ({"caption": "a red card"}, 0, "it is so already"),
        ({"caption": "another"}, 1, ""),
    ],
)
async def test_a_change_that_concerns_no_image_says_so(
    library: Library, folder: Path, changes: dict[str, Any], count: int, reason: str
) -> None:
    await index([folder / "red.png"], library)
    ids = [row.id for row in await library.rows()]
    selection = await change_images(library, ids, ImageChanges(**changes), dry_run=True)
    assert (len(selection), selection.reason) == (count, reason)


async def test_many_images_are_changed_a_part_at_a_time_and_the_first_are_listed(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "AT_ONCE", 3)
    monkeypatch.setattr(changes_module, "LISTED", 4)
    await index([folder], library)
    ids = await select_ids(library, [folder])
    await library.update([replace(row, tags=("loud",)) for row in await library.rows(ids[:2])])
    for dry_run in (True, False):
        selection = await change_images(library, ids, ImageChanges(add_tags=["loud"]), dry_run=dry_run)
        assert (len(selection), selection.ids) == (6, ids[2:])
        assert [(row.id, row.tags) for row in selection.rows] == [(one, ("loud",)) for one in ids[2:6]]
    assert all("loud" in row.tags for row in await library.rows())


async def test_a_change_leaves_the_indexes_of_other_columns(library: Library, folder: Path) -> None:
    await index([folder], library)
    lance = library.table.lance
    lance.create_index("id", config=BTree(), replace=True)
    await library.optimize()
    ids = await select_ids(library, [folder])
    await change_images(library, ids, ImageChanges(add_tags=["loud"], set={"shelf": 3}))
    unindexed = {
        one.columns[0]: lance.index_stats(one.name).num_unindexed_rows
        for one in lance.list_indices()
        if one.index_type == "FTS"
    }
    assert unindexed == {"caption": 0, "title": 0, "tags": len(ids)}
    assert {(row.tags, row.metadata["shelf"]) for row in await library.rows()} == {(("loud",), 3)}
    assert len((await library.listed(filter=Filter(where=parse_filter("tag=loud and shelf=3")), limit=99))[0]) == len(
        ids
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"taken": "garbage"}, "taken: 'garbage' is no date: 2024, 2024-05"),
        ({"taken": "2024-13-45"}, "taken: '2024-13-45' is no date"),
        ({"Date Taken": 3.5}, "Date Taken: '3.5' is no date"),
        ({"latitude": 999, "longitude": 5}, "latitude: '999' is no number of degrees from -90 to 90"),
        ({"latitude": 5, "lon": "east"}, "lon: 'east' is no number of degrees from -180 to 180"),
        ({"latitude": 5}, "latitude is half of a position: set latitude and longitude together"),
    ],
)
def test_dates_and_positions_are_what_they_have_to_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ImageChanges(set=values)


def test_a_year_is_a_date_though_it_is_typed_like_a_number() -> None:
    row = ImageRecord(image=ImageRef(sha256="a" * 64, media_type="image/png", width=1, height=1))
    values = {"taken": scalar_of("2024"), "latitude": scalar_of("56.9"), "longitude": "24.1", "shelf": scalar_of("7")}
    new = ImageChanges(set=values).applied_to(row)
    assert new.taken == datetime(2024, 1, 1, tzinfo=UTC)
    assert (new.latitude, new.longitude, dict(new.metadata)) == (56.9, 24.1, {"shelf": 7})


async def test_after_a_change_without_calibration_no_texts_are_compared(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index([folder], library)
    before, row = library.metadata.threshold, (await library.rows())[0]
    await library.update([replace(row, caption="another one")])
    monkeypatch.setattr("imagerag.store.library.library_reader.content_of", lambda _: pytest.fail("they are read"))
    await settle(library, changed=1, calibrate=False)
    monkeypatch.undo()
    assert await library.is_stale()
    await settle(library, changed=1)
    assert not await library.is_stale()
    assert library.metadata.threshold != before


async def test_a_change_must_be_named(library: Library) -> None:
    with pytest.raises(UsageError, match="say what changes"):
        await change_images(library, [], ImageChanges())
    assert not ImageChanges(caption="").is_empty
    assert ImageChanges(add_tags=["", "\u200f"], remove_tags=" ", unset=[""]).is_empty  # nobody sees these


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("2.5", 2.5), ("true", True), ("null", None), ("A1", "A1"), ("[1]", "[1]"), ('"7"', "7"), ("", "")],
)
def test_values_are_read_as_they_are_typed(text: str, value: object) -> None:
    assert scalar_of(text) == value


async def test_a_half_written_note_is_a_stray(library: Library, folder: Path) -> None:
    await index([folder], library)
    left = library.folder / ".tmp-0123"
    left.write_text("ab")
    await library.optimize()
    assert not left.exists()
    assert await library.count() == 8


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        *(({name: "x" * 20_001}, f"{name}: it has 20,001 characters, and at most 20,000 are kept")
          for name in ("title", "caption", "licence", "author", "source")),
        ({"add_tags": ["x" * 2_001]}, "a tag: it has 2,001 characters, and at most 2,000 are kept"),
        ({"add_tags": [f"tag {at}" for at in range(101)]}, "101 tags or fields at once are too many"),
        ({"set": {"mood": "x" * 2_001}}, "mood: it has 2,001 characters, and at most 2,000 are kept"),
        ({"set": {"x" * 2_001: 1}}, "the name of a field: it has 2,001"),
        ({"set": {f"key{at}": at for at in range(101)}}, "101 tags or fields at once"),
    ],
)  # fmt: skip
def test_a_text_that_is_longer_than_what_is_kept_is_refused_by_its_name(changes: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ImageChanges(**changes)


def test_a_text_that_is_as_long_as_what_is_kept_is_kept() -> None:
    row = ImageRecord(image=ImageRef(sha256="0" * 64, media_type="image/png", width=1, height=1))
    changes = ImageChanges(
        caption="x" * 20_000, add_tags=["x" * 2_000], set={"mood": "x" * 2_000, "camera": "y" * 20_000}
    )
    now = changes.applied_to(row)
    assert (len(now.caption), len(now.tags[0]), len(str(now.metadata["mood"])), len(now.camera)) == (
        20_000, 2_000, 2_000, 20_000,
    )  # fmt: skip


def test_texts_of_which_nothing_is_seen_are_none() -> None:
    row = ImageRecord(image=ImageRef(sha256="0" * 64, media_type="image/png", width=1, height=1))
    now = ImageChanges(caption="\u200b", title="\ufeff ", add_tags=["\u00ad", "red"]).applied_to(row)
    assert (now.caption, now.title, now.tags) == ("", "", ("red",))


TAKEN = datetime(2024, 5, 3, 10, tzinfo=UTC)
PLACED = ImageRecord(
    image=ImageRef(sha256="0" * 64, media_type="image/png", width=1, height=1),
    camera="X100",
    taken=TAKEN,
    latitude=48.1,
    longitude=11.6,
    metadata={"taken_offset": "+02:00", "shelf": 3},
)


@pytest.mark.parametrize(
    ("changes", "fields", "metadata"),
    [
        ({"set": {"camera": "", "shelf": None}}, {"camera": ""}, {"taken_offset": "+02:00"}),
        ({"set": {"latitude": " "}}, {"latitude": None, "longitude": None}, PLACED.metadata),
        ({"unset": ["longitude"]}, {"latitude": None, "longitude": None}, PLACED.metadata),
        ({"unset": ["taken"]}, {"taken": None}, {"shelf": 3}),
        ({"set": {"taken": "2024-05-03T12:00"}}, {"taken": TAKEN + timedelta(hours=2)}, {"shelf": 3}),
        (
            {"set": {"taken": "2024-05-03T12:00Z"}},
            {"taken": TAKEN + timedelta(hours=2)},
            {"shelf": 3, "taken_offset": "+00:00"},
        ),
        (
            {"set": {"taken": "2024-05-03T10:00-05:00"}},
            {"taken": TAKEN},
            {"shelf": 3, "taken_offset": "-05:00"},
        ),
    ],
)
def test_what_is_emptied_or_set_leaves_nothing_that_means_something_else(
    changes: dict[str, Any], fields: dict[str, Any], metadata: dict[str, Any]
) -> None:
    assert ImageChanges(**changes).applied_to(PLACED) == replace(PLACED, **fields, metadata=metadata)


def test_a_field_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="the name of a field is empty"):
        ImageChanges(set={" ": 1})
