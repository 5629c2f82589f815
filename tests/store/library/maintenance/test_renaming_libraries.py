"""A library gets another name: whoever names the old one, or has it open, finds it; it is never lost in between."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import waiting_lock
from imagerag.store.library.database import create_table, folder_of, list_libraries, remove, renames
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance import renaming
from imagerag.store.library.maintenance.removal import remove_images, removed_ids
from imagerag.store.library.maintenance.renaming import rename_library
from imagerag.store.library.thumbnails import thumbnails


@pytest.fixture
async def shop(library: Library, folder: Path) -> Library:
    await index([folder], library)
    return library


async def test_the_old_name_finds_it(home: DataDir, shop: Library, embedder: Any) -> None:
    rows = await shop.rows()
    await remove_images(shop, [rows[0].id])
    rename_library(home, "shop", "store")
    assert list_libraries(home) == ["store"]
    for name in ("store", "shop"):
        opened = await Library.open(home, name, embedder)
        assert (opened.name, await opened.rows()) == ("store", rows[1:])
        assert removed_ids(opened.folder) == {rows[0].id}
        assert await opened.image_bytes(rows[1].id)
    assert len(thumbnails(home, "shop", [row.id for row in rows])) == 7


async def test_what_is_for_good_is_done_under_the_new_name_only(home: DataDir, shop: Library) -> None:
    rename_library(home, "shop", "store")
    for attempt in (lambda: remove(home, "shop"), lambda: rename_library(home, "shop", "other")):
        with pytest.raises(UnknownLibraryError, match="'shop' was renamed and is 'store' now"):
            attempt()
    assert list_libraries(home) == ["store"]


async def test_who_has_it_open_goes_on(home: DataDir, shop: Library, folder: Path) -> None:
    (await shop.search("red", k=1),)
    rename_library(home, "shop", "store")
    assert (await shop.search("red", k=1))[0].title == "red"
    assert (shop.name, shop.folder) == ("store", folder_of(home, "store"))
    (folder / "red.png").unlink()
    rows = await shop.rows()
    await shop.delete([rows[0].id])
    await shop.optimize()
    assert not folder_of(home, "shop").exists()
    assert await shop.count() == 7


async def test_names_are_followed_one_after_another(home: DataDir, shop: Library, embedder: Any) -> None:
    for old, new in (("shop", "a"), ("a", "b"), ("b", "c")):
        rename_library(home, old, new)
    assert renames(home) == {"shop": "c", "a": "c", "b": "c"}
    rename_library(home, "c", "shop")
    assert renames(home) == {"a": "shop", "b": "shop", "c": "shop"}
    assert (await Library.open(home, "a", embedder)).name == "shop"


async def test_a_new_library_takes_an_old_name(home: DataDir, shop: Library, embedder: Any) -> None:
    rename_library(home, "shop", "store")
    fresh = await Library.create_or_open(home, "shop", embedder)
    assert (fresh.name, await fresh.count()) == ("shop", 0)
    assert list_libraries(home) == ["shop", "store"]


@pytest.mark.parametrize("by_hand", [False, True])
async def test_the_old_names_of_a_removed_library_lead_to_no_later_one(
    home: DataDir, embedder: Any, by_hand: bool
) -> None:
    await Library.create_or_open(home, "a", embedder)
    await Library.create_or_open(home, "x", embedder)
    for old, new in (("a", "b"), ("b", "c"), ("x", "y")):
        rename_library(home, old, new)
    shutil.rmtree(folder_of(home, "c")) if by_hand else remove(home, "c")
    await Library.create_or_open(home, "c", embedder)  # another one, that only has the name
    assert renames(home) == {"x": "y"}
    for name in ("a", "b"):
        with pytest.raises(UnknownLibraryError):
            await Library.open(home, name, embedder)


async def test_a_new_library_under_an_old_name_leaves_no_way_to_the_renamed_one(home: DataDir, embedder: Any) -> None:
    await Library.create_or_open(home, "a", embedder)
    rename_library(home, "a", "b")
    await Library.create_or_open(home, "a", embedder)
    remove(home, "a")
    assert renames(home) == {}
    assert list_libraries(home) == ["b"]
    with pytest.raises(UnknownLibraryError):
        await Library.open(home, "a", embedder)


async def test_renaming_to_the_name_of_a_removed_one_leads_only_its_own_names_there(
    home: DataDir, embedder: Any
) -> None:
    await Library.create_or_open(home, "a", embedder)
    rename_library(home, "a", "b")
    shutil.rmtree(folder_of(home, "b"))
    await Library.create_or_open(home, "other", embedder)
    rename_library(home, "other", "b")
    assert renames(home) == {"other": "b"}


async def test_what_cannot_be_renamed_is_left_as_it_is(home: DataDir, shop: Library, embedder: Any) -> None:
    await Library.create_or_open(home, "other", embedder)
    for old, new, error in (
        ("shop", "other", UsageError), ("nope", "x", UnknownLibraryError), ("shop", "a b", UsageError),
        ("shop", "shop", UsageError), ("shop", "sketch", UsageError), ("sketch", "x", UsageError),
    ):  # fmt: skip
        with pytest.raises(error):
            rename_library(home, old, new)
    lock = waiting_lock(home.filling / "shop", alone=False)
    with pytest.raises(UsageError, match="being filled"):
        rename_library(home, "shop", "store")
    os.close(lock or 0)
    assert list_libraries(home) == ["other", "shop"]
    assert await shop.count() == 8


async def test_stopped_before_the_folder_it_has_its_old_name(
    home: DataDir, shop: Library, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(renaming, "folder_of", stop)
    with pytest.raises(KeyboardInterrupt):
        rename_library(home, "shop", "store")
    monkeypatch.undo()
    assert list_libraries(home) == ["shop"]
    assert (await Library.open(home, "shop", embedder)).name == "shop"
    with pytest.raises(UnknownLibraryError):
        await Library.open(home, "store", embedder)
    rename_library(home, "shop", "store")
    assert (await Library.open(home, "shop", embedder)).name == "store"


def test_a_damaged_list_of_names_is_none(home: DataDir) -> None:
    create_table(home, "a", __import__("pyarrow").schema([("id", "string")]))
    (home.libraries / "renamed.json").write_bytes(b"\xff{")
    assert renames(home) == {}
    rename_library(home, "a", "b")
    assert renames(home) == {"a": "b"}
