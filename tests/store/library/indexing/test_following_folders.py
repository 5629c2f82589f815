"""A library follows its folders: what moved, changed or went is told by a scan, and nothing is lost by mistake."""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.errors import UsageError
from imagerag.store.data_dir import DataDir
from imagerag.store.library.image_copies import stray_files
from imagerag.store.library.indexing import file_reading, vanished_files
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.image_selection import select_ids
from imagerag.store.library.schema import int64

MANY = 10_000 if os.environ.get("STORM") == "full" else 60
"""Files of the tree that is changed everywhere at once; STORM=full in the environment takes a collection."""


def counts(report: IndexReport) -> dict[str, int]:
    names = ("added", "changed", "moved", "updated", "removed", "unchanged", "duplicates", "missing")
    return {name: number for name in names if (number := getattr(report, name))}


async def assert_exact(library: Library, *folders: Path) -> None:
    """Each picture of the folders has one row with all of its files, and there is no other row."""
    there: dict[str, set[str]] = {}
    for folder in folders:
        for file in filter(Path.is_file, folder.rglob("*.png")):
            there.setdefault(sha256(file.read_bytes()).hexdigest(), set()).add(str(file))
    rows = await library.rows()
    assert {row.id: {file.path for file in row.files} for row in rows} == there
    for row in rows:
        for file in row.files:
            status = os.stat(file.path)
            assert (file.size, file.mtime_ns, file.inode) == (status.st_size, status.st_mtime_ns, status.st_ino)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every picture that is opened from now on."""
    found: list[Path] = []
    read = file_reading.read_file

    def noting(path: Path, *args: Any, **options: Any) -> Any:
        found.append(path)
        return read(path, *args, **options)

    monkeypatch.setattr("imagerag.store.library.indexing.stages.read_file", noting)
    return found


async def test_an_unchanged_folder_is_not_opened(folder: Path, library: Library, opened: list[Path]) -> None:
    await index([folder], library)
    assert len(opened) == 8
    version = library.table.lance.version
    report = await index([folder], library)
    assert (len(opened), counts(report), report.captions) == (8, {"unchanged": 8}, 8)
    assert library.table.lance.version == version


async def test_pictures_stay_where_they_are(folder: Path, library: Library) -> None:
    await index([folder], library)
    assert not library.table.images.root.exists()
    for row in await library.rows():
        assert await library.image_bytes(row.id) == Path(row.files[0].path).read_bytes()
        assert row.size_bytes == Path(row.files[0].path).stat().st_size
    await assert_exact(library, folder)


async def test_copies_are_kept_on_request_also_of_what_was_linked(folder: Path, library: Library) -> None:
    await index([folder], library)
    ids = [row.id for row in await library.rows()]
    report = await index([folder], library, copy=True)
    assert counts(report) == {"unchanged": 8}
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "else.txt").write_text("the folder is there and not empty")
    report = await index([folder], library)
    assert counts(report) == {}
    for one in ids:
        assert sha256(await library.image_bytes(one)).hexdigest() == one
    assert await library.count() == 8
    assert counts(await index([folder], library, prune=True)) == {"removed": 8}
    assert await library.count() == 0


async def test_moved_files_keep_their_row_their_vector_and_their_text(
    folder: Path, library: Library, embedder: Any
) -> None:
    await index([folder], library)
    before = {row.id: row for row in await library.rows()}
    asked = embedder.images
    (folder / "deeper").mkdir()
    (folder / "red.png").rename(folder / "deeper" / "crimson.png")
    (folder / "blue.png").rename(folder / "swap")
    (folder / "green.png").rename(folder / "blue.png")
    (folder / "swap").rename(folder / "green.png")
    report = await index([folder], library)
    assert counts(report)["moved"] >= 1
    assert (report.added, report.removed, embedder.images) == (0, 0, asked)
    await assert_exact(library, folder)
    rows = await library.rows()
    assert {row.id for row in rows} == before.keys()
    assert next(row.caption for row in rows if row.title == "crimson") == "a red card"
    assert [row.title for row in rows] == [Path(row.files[0].path).stem for row in rows], "nobody gave another one"
    assert counts(await index([folder], library)) == {"unchanged": 8}


async def test_a_changed_file_is_encoded_anew_and_its_old_row_goes(
    folder: Path, library: Library, picture: Any
) -> None:
    await index([folder], library)
    (folder / "red.png").write_bytes(picture("red", mark=99))
    report = await index([folder], library)
    assert counts(report) == {"changed": 1, "unchanged": 7}
    await assert_exact(library, folder)


async def test_a_changed_file_whose_old_bytes_lie_elsewhere_too(folder: Path, library: Library, picture: Any) -> None:
    shutil.copy(folder / "red.png", folder / "other.png")
    assert counts(await index([folder], library)) == {"added": 8, "duplicates": 1}
    (folder / "red.png").write_bytes(picture("red", mark=99))
    assert counts(await index([folder], library)) == {"added": 1, "unchanged": 8}, "one more: nothing went for it"
    await assert_exact(library, folder)
    (folder / "red.png").write_bytes(picture("red", mark=98))
    (folder / "other.png").write_bytes(picture("red", mark=97))
    assert counts(await index([folder], library)) == {"changed": 2, "unchanged": 7}
    shutil.copy(folder / "red.png", folder / "other.png")
    assert counts(await index([folder], library)) == {"removed": 1, "duplicates": 1, "unchanged": 8}
    (folder / "red.png").write_bytes(picture("red", mark=96))
    (folder / "other.png").write_bytes(picture("red", mark=95))
    assert counts(await index([folder], library)) == {"changed": 1, "added": 1, "unchanged": 7}
    await assert_exact(library, folder)


async def test_deleted_files_are_taken_out_and_only_of_the_folders_that_were_given(
    folder: Path, library: Library, tmp_path: Path, picture: Any
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "far.png").write_bytes(picture("red", mark=50))
    (other / "near.png").write_bytes(picture("red", mark=51))
    await index([folder, other], library)
    (folder / "red.png").unlink()
    (other / "far.png").unlink()
    report = await index([folder], library)
    assert counts(report) == {"removed": 1, "unchanged": 7}
    assert [Path(path).name for path in report.examples["removed"]] == ["red.png"]
    assert await library.count() == 9
    assert counts(await index([folder], library, prune=True)) == {"removed": 1, "unchanged": 7}
    await assert_exact(library, folder, other)


async def test_one_of_two_files_goes_and_the_picture_stays(folder: Path, library: Library) -> None:
    shutil.copy(folder / "red.png", folder / "other.png")
    await index([folder], library)
    (folder / "red.png").unlink()
    assert counts(await index([folder], library)) == {"unchanged": 8}
    await assert_exact(library, folder)


async def test_a_folder_under_the_name_of_a_file_is_not_that_file(folder: Path, library: Library, picture: Any) -> None:
    await index([folder], library)
    (folder / "red.png").unlink()
    (folder / "red.png").mkdir()
    (folder / "red.png" / "in.png").write_bytes(picture("red", mark=9))
    assert counts(await index([folder], library)) == {"added": 1, "removed": 1, "unchanged": 7}
    await assert_exact(library, folder)


async def test_a_file_under_two_names_of_its_folder_is_one_file(folder: Path, library: Library, picture: Any) -> None:
    inner = folder.with_name("inner")
    (folder / "deep").mkdir()
    for mark in range(3):
        (folder / "deep" / f"{mark}.png").write_bytes(picture("red", mark=50 + mark))
    inner.symlink_to(folder / "deep")
    await index([inner, folder], library)
    (folder / "deep" / "0.png").write_bytes(picture("red", mark=53))
    (folder / "deep" / "1.png").unlink()
    assert counts(await index([folder], library)) == {"changed": 1, "removed": 1, "unchanged": 9}
    for row in await library.rows():  # as earlier versions wrote it: both names
        named = {Path(file.path): file for file in row.files}
        twin = [replace(file, path=str(folder / "deep" / path.name)) for path, file in named.items()
                if path.parent == inner]  # fmt: skip
        await library.update_files({row.id: tuple(sorted({*row.files, *twin}))})
    (folder / "deep" / "2.png").write_bytes(picture("red", mark=54))
    assert counts(await index([folder], library)) == {"changed": 1, "unchanged": 9}


async def test_a_renamed_copy_is_counted_alike_in_a_dry_run(folder: Path, library: Library) -> None:
    shutil.copy(folder / "red.png", folder / "copy.png")
    await index([folder], library)
    (folder / "copy.png").rename(folder / "other.png")
    planned = await index([folder], library, dry_run=True)
    report = await index([folder], library)
    assert (counts(planned), planned.paths_removed) == (counts(report), report.paths_removed)
    assert (report.duplicates, report.paths_removed) == (1, 0)


async def test_a_folder_under_the_name_of_a_link_is_the_folder(folder: Path, library: Library, picture: Any) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.png").write_bytes(picture("red", mark=41))
    (folder / "deep" / "b.png").write_bytes(picture("red", mark=42))
    link, inner = folder.with_name("link"), folder.with_name("inner")
    link.symlink_to(folder)
    inner.symlink_to(folder / "deep")
    added = (await index([link], library)).added
    assert counts(await index([folder], library)) == {"unchanged": added}
    assert counts(await index([inner], library)) == {"unchanged": 2}
    (folder / "deep" / "a.png").write_bytes(picture("red", mark=43))
    assert counts(await index([folder / "deep" / "a.png"], library)) == {"changed": 1}
    (folder / "deep" / "b.png").unlink()
    assert counts(await index([folder], library)) == {"unchanged": added - 1, "removed": 1}
    link.unlink()
    assert counts(await index([folder], library)) == {"moved": added - 1}
    await assert_exact(library, folder)


async def test_an_empty_or_missing_root_takes_nothing_out(folder: Path, library: Library, tmp_path: Path) -> None:
    """As when a disk is not mounted: the folder is there and empty, or it is not there at all."""
    await index([folder], library)
    away = tmp_path / "away"
    folder.rename(away)
    folder.mkdir()
    report = await index([folder], library)
    assert counts(report) == {"missing": 8}
    assert await library.count() == 8
    assert f"`rag.libraries.index({str(folder)!r}, library='shop', prune=True)`" in report.warnings[-1]
    assert "not mounted" in report.warnings[-1]
    folder.rmdir()
    with pytest.raises(UsageError, match="`prune=True`"):
        await index([folder], library)
    assert await library.count() == 8
    away.rename(folder)
    assert counts(await index([folder], library)) == {"unchanged": 8}
    shutil.rmtree(folder)
    assert counts(await index([folder], library, prune=True)) == {"removed": 8}
    assert await library.count() == 0


async def test_an_empty_folder_below_the_root_takes_nothing_out(folder: Path, library: Library, picture: Any) -> None:
    disk = folder / "disk"
    disk.mkdir()
    for mark in range(3):
        (disk / f"{mark}.png").write_bytes(picture("red", mark=60 + mark))
    await index([folder], library)
    for file in disk.iterdir():
        file.unlink()
    assert counts(await index([folder], library)) == {"unchanged": 8, "missing": 3}
    disk.rmdir()
    assert counts(await index([folder], library)) == {"unchanged": 8, "removed": 3}


async def test_more_than_half_at_once_are_kept_unless_that_is_meant(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for mark in range(24):
        (folder / f"{mark:02}.png").write_bytes(picture("red", mark=mark))
    await index([folder], library)
    for mark in range(13):
        (folder / f"{mark:02}.png").unlink()
    report = await index([folder], library)
    assert counts(report) == {"unchanged": 11, "missing": 13}
    assert "13 of 24" in report.warnings[-1]
    assert counts(await index([folder], library, prune=True)) == {"unchanged": 11, "removed": 13}
    (folder / "13.png").unlink()
    assert counts(await index([folder], library)) == {"unchanged": 10, "removed": 1}


async def test_renaming_every_file_takes_nothing_out(tmp_path: Path, library: Library, picture: Any) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for mark in range(24):
        (folder / f"{mark:02}.png").write_bytes(picture("red", mark=mark))
    await index([folder], library)
    folder.rename(tmp_path / "renamed")
    shutil.copytree(tmp_path / "renamed", folder / "inside")
    shutil.rmtree(tmp_path / "renamed")
    assert counts(await index([folder], library)) == {"moved": 24}
    await assert_exact(library, folder)


async def test_a_tenth_is_deleted_a_tenth_moved_and_a_tenth_changed(tmp_path: Path, library: Library) -> None:
    root = tmp_path / "many"
    files = [root / f"{at % 7}" / f"{at}.png" for at in range(MANY)]
    for folder in {file.parent for file in files}:
        folder.mkdir(parents=True)
    for at, file in enumerate(files):
        _tiny(file, at)
    assert counts(await index([root], library)) == {"added": MANY}
    await assert_exact(library, root)
    tenth = MANY // 10
    chosen = random.Random(0).sample(files, 3 * tenth)
    deleted, moved, changed = chosen[:tenth], chosen[tenth : 2 * tenth], chosen[2 * tenth :]
    for file in deleted:
        file.unlink()
    (root / "elsewhere").mkdir()
    for file in moved:
        file.rename(root / "elsewhere" / file.name)
    for at, file in enumerate(changed):
        _tiny(file, MANY + at)
    kept = {row.id for row in await library.rows()}
    report = await index([root], library)
    same = MANY - 3 * tenth
    # Of a changed file, what it showed before is taken out; that is counted as a change alone.
    assert counts(report) == {"changed": tenth, "moved": tenth, "removed": tenth, "unchanged": same}
    await assert_exact(library, root)
    assert len(kept & {row.id for row in await library.rows()}) == same + tenth
    assert counts(await index([root], library)) == {"unchanged": MANY - tenth}


def _tiny(file: Path, number: int) -> None:
    """A picture like no other."""
    Image.new("RGB", (2, 2), (number % 256, number // 256 % 256, number // 65536)).save(file)


async def test_files_that_could_not_be_read_are_not_deleted_ones(
    folder: Path, library: Library, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = folder / "locked"
    locked.mkdir()
    (locked / "inside.png").write_bytes(picture("red", mark=70))
    await index([folder], library)
    listing = os.scandir

    def refused(path: Any) -> Any:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        patch.setattr(os.path, "lexists", lambda path: not str(path).startswith(str(locked)))
        report = await index([folder], library)
    assert (report.removed, report.missing, len(report.skipped)) == (0, 0, 1)
    (folder / "red.png").write_bytes(b"cut short")
    report = await index([folder], library, exclude=["blue.png"])
    assert counts(report) == {"unchanged": 7}
    assert {Path(path).name for path, _ in report.skipped} == {"red.png", "blue.txt"}
    assert await library.count() == 9


async def test_a_sidecar_that_changed_is_read_and_its_picture_is_not(
    folder: Path, library: Library, opened: list[Path]
) -> None:
    await index([folder], library)
    opened.clear()
    (folder / "red.txt").write_text("a crimson card", encoding="utf-8")
    (folder / "blue.json").write_text('{"tags": ["sea"]}', encoding="utf-8")
    assert counts(await index([folder], library)) == {"updated": 2, "unchanged": 6}
    rows = {row.title: row for row in await library.rows()}
    assert (rows["red"].caption, rows["blue"].tags, rows["blue"].caption) == ("a crimson card", ("sea",), "a blue card")
    assert counts(await index([folder], library)) == {"unchanged": 8}
    assert opened == []


async def test_without_its_manifest_no_caption_is_lost(folder: Path, library: Library, tmp_path: Path) -> None:
    for file in folder.glob("*.txt"):
        file.unlink()
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,caption\n" + "".join(f"{file.name},card {file.stem}\n" for file in folder.glob("*.png")))
    await index([folder], library, manifest=manifest)
    before = await library.rows()
    assert counts(await index([folder], library)) == {"unchanged": 8}
    assert await library.rows() == before
    manifest.write_text(manifest.read_text().replace("card red", "card crimson"))
    assert counts(await index([folder], library, manifest=manifest)) == {"updated": 1, "unchanged": 7}


async def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    folder: Path, library: Library, picture: Any, embedder: Any
) -> None:
    await index([folder], library)
    (folder / "red.png").unlink()
    (folder / "blue.png").rename(folder / "azure.png")
    (folder / "green.png").write_bytes(picture("green", mark=80))
    (folder / "new.png").write_bytes(picture("red", mark=81))
    (folder / "black.txt").write_text("a coal card")
    before, version, asked = await library.rows(), library.table.lance.version, embedder.images
    locks = library.table.home.filling
    shutil.rmtree(locks)
    planned = await index([folder], library, dry_run=True)
    assert not locks.exists(), "a disk that is only read has no room for a lock"
    assert (await library.rows(), library.table.lance.version, embedder.images) == (before, version, asked)
    done = await index([folder], library)
    wanted = {"added": 1, "changed": 1, "moved": 1, "updated": 1, "removed": 1, "unchanged": 4}
    assert counts(done) == wanted
    assert counts(planned) == wanted
    assert {kind: sorted(paths) for kind, paths in planned.examples.items()} == {
        kind: sorted(paths) for kind, paths in done.examples.items()
    }
    await assert_exact(library, folder)


async def test_names_that_are_no_utf8_are_linked_too(tmp_path: Path, library: Library, picture: Any) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    file = folder / os.fsdecode(b"caf\xe9 %41.png")
    file.write_bytes(picture("red"))
    await index([folder], library)
    (row,) = await library.rows()
    assert await library.image_bytes(row.id) == picture("red")
    assert counts(await index([folder], library)) == {"unchanged": 1}
    file.unlink()
    (folder / "else").write_text("")
    assert counts(await index([folder], library)) == {"removed": 1}


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["write", "move", "copy", "delete", "swap"]), st.integers(0, 5), st.integers(0, 5)),
    max_size=8,
)


def act(folder: Path, action: str, at: int, to: int, picture: Callable[..., bytes]) -> None:
    source, target = folder / f"{at}.png", folder / f"{to}.png"
    if action == "write":
        source.write_bytes(picture("red", mark=to))
    elif source.exists() and action == "delete":
        source.unlink()
    elif source.exists() and target.exists() and source != target and action == "swap":
        source.rename(folder / "aside")
        target.rename(source)
        (folder / "aside").rename(target)
    elif source.exists() and source != target and action in ("move", "copy"):
        shutil.move(source, target) if action == "move" else shutil.copy(source, target)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(ACTIONS, min_size=1, max_size=4))
async def test_whatever_is_done_to_the_files_the_rows_are_exact_and_add_up(
    home: DataDir, embedder: Any, picture: Callable[..., bytes], tmp_path_factory: Any, rounds: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "keeps it from being empty").write_text("")
    library = await Library.create_or_open(home, f"any{folder.name}", embedder)
    for actions in rounds:
        for one in actions:
            act(folder, *one, picture)
        before, files = await library.count(), sum(1 for _ in folder.glob("*.png"))
        planned = await index([folder], library, dry_run=True)
        done = await index([folder], library, calibrate=False)
        await assert_exact(library, folder)
        rows = await library.count()
        assert counts(planned) == counts(done)
        assert (planned.examples, done.seen) == (done.examples, files + 1), "the file that is no image, too"
        assert rows == before + done.added - done.removed
        assert rows == done.added + done.changed + done.moved + done.updated + done.unchanged
        assert done.duplicates == files - rows


@pytest.fixture
def many(tmp_path: Path, picture: Any) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for mark in range(200):
        (folder / f"{mark:03}.png").write_bytes(picture("red" if mark % 2 else "blue", mark=mark))
    return folder


def shuffle(folder: Path, picture: Any, seed: int) -> None:
    """Delete, move and change a tenth of the files each, and add as many."""
    chance = random.Random(seed)
    files = sorted(folder.rglob("*.png"))
    chance.shuffle(files)
    tenth = len(files) // 10
    for file in files[:tenth]:
        file.unlink()
    (folder / f"moved{seed}").mkdir()
    for file in files[tenth : 2 * tenth]:
        file.rename(folder / f"moved{seed}" / file.name)
    for number, file in enumerate(files[2 * tenth : 3 * tenth]):
        file.write_bytes(picture("green", mark=1000 * seed + number))
    for number in range(tenth):
        (folder / f"new{seed}-{number}.png").write_bytes(picture("white", mark=1000 * seed + number))


INDEX = """
async def main():
    library = await Library.create_or_open(home, "shop", conftest.ColourEmbedder())
    print("begins", flush=True)
    await index(given["paths"], library)
asyncio.run(main())
"""


async def test_killed_at_any_moment_and_run_again(
    many: Path, home: DataDir, embedder: Any, child: Any, picture: Any
) -> None:
    library = await Library.create_or_open(home, "shop", embedder)
    await index([many], library)
    chance = random.Random(7)
    for seed in range(1, 16 if os.environ.get("STORM") == "full" else 5):  # two kills each
        shuffle(many, picture, seed)
        for _ in range(2):
            process = child(INDEX, paths=[str(many)])
            assert process.stdout.readline().strip() == "begins"
            await asyncio.sleep(chance.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        await index([many], library)
        await assert_exact(library, many)
    await library.optimize()
    assert not stray_files(library.table)
    assert counts(await index([many], library)) == {"unchanged": await library.count()}


async def test_processes_on_overlapping_folders_with_a_reader(
    many: Path, folder: Path, home: DataDir, embedder: Any, child: Any, picture: Any
) -> None:
    """A new library, then one whose folders changed."""
    reader = """
        async def main():
            while True:
                try:
                    library = await Library.open(home, "shop", conftest.ColourEmbedder())
                    break
                except Exception:
                    await asyncio.sleep(0.05)
            for _ in range(40):
                await library.search("red", k=5)
                await library.rows()
        asyncio.run(main())
    """
    for seed in range(2):
        if seed:
            shuffle(many, picture, seed)
        given = [[str(many)], [str(folder), str(many)], [str(many), str(folder)], [str(folder)]]
        processes = [*(child(INDEX, paths=paths) for paths in given), child(reader)]
        for process in processes:
            _, errors = process.communicate()
            assert process.returncode == 0, errors
        library = await Library.open(home, "shop", embedder)
        await assert_exact(library, many, folder)


async def test_a_file_that_came_back_after_a_scan_had_missed_it_stays(
    folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one scan saw is old when it takes entries out: another one may have seen the file since."""
    await index([folder], library)
    away = folder.parent / "away.png"
    (folder / "red.png").rename(away)
    find = vanished_files.find_vanished

    def late(*args: Any, **options: Any) -> Any:
        found = find(*args, **options)
        away.rename(folder / "red.png")
        return found

    with monkeypatch.context() as patch:
        patch.setattr("imagerag.store.library.indexing.ingest.find_vanished", late)
        report = await index([folder], library)
    assert counts(report) == {"unchanged": 7}
    await assert_exact(library, folder)


async def test_other_bytes_of_the_same_size_and_time_are_others(folder: Path, library: Library) -> None:
    await index([folder], library)
    red = folder / "red.png"
    status, data = red.stat(), red.read_bytes()
    red.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(red, ns=(status.st_atime_ns, status.st_mtime_ns))
    await index([folder], library, copy=True)  # reads every file
    await assert_exact(library, folder)


async def test_a_file_that_changes_between_being_read_and_written_is_told(
    folder: Path, library: Library, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another scan may have written what it is now; what it was is not written over that."""
    lock = Library.files_lock

    def late(self: Library, **options: Any) -> Any:
        if (folder / "red.png").read_bytes() == picture("red"):
            (folder / "red.png").write_bytes(picture("red", mark=90))
        return lock(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Library, "files_lock", late)
        report = await index([folder], library)
    assert counts(report) == {"added": 7}
    ((path, why),) = report.skipped
    assert Path(path).name == "red.png"
    assert "changed while it was read" in why
    assert counts(await index([folder], library)) == {"added": 1, "unchanged": 7}
    await assert_exact(library, folder)


async def test_the_source_follows_a_file_that_moved_unless_it_was_said(folder: Path, library: Library) -> None:
    (folder / "blue.json").write_text('{"source": "https://example.org/blue"}')
    await index([folder], library)
    shutil.copy(folder / "green.png", folder / "twin.png")
    await index([folder], library)
    for name in ("red", "blue"):
        (folder / f"{name}.png").rename(folder / f"moved {name}.png")
    (folder / "twin.png").unlink()
    await index([folder], library)
    sources = {row.title: row.source for row in await library.rows()}
    assert sources["moved red"] == str(folder / "moved red.png")
    assert sources["moved blue"] == "https://example.org/blue"
    assert sources["green"] == str(folder / "green.png")


async def test_an_answer_that_was_lost_writes_no_row_twice(
    folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit may have been made although it was answered with an error."""
    table = type(library.table.lance)
    add, asked = table.add, []

    def lost(self: Any, *args: Any, **options: Any) -> Any:
        asked.append(add(self, *args, **options))
        raise RuntimeError("Commit conflict for version 3: retryable")

    monkeypatch.setattr(table, "add", lost)
    assert counts(await index([folder], library)) == {"added": 8}
    assert len(asked) == 1
    await assert_exact(library, folder)
    assert await library.count() == 8


async def test_many_small_batches_are_few_commits(
    many: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = type(library.table.lance)
    add, asked, done = table.add, [], []

    def noting(self: Any, rows: Any) -> Any:
        asked.append(rows.num_rows)
        return add(self, rows)

    monkeypatch.setattr(table, "add", noting)
    await index([many], library, progress=lambda *at: done.append(at))
    assert (len(done), sum(asked)) == (7, 200)
    assert len(asked) < len(done)


async def test_an_empty_path_is_not_the_working_directory(
    folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    await index(["."], library)
    with pytest.raises(UsageError, match="a path is empty"):
        await index([""], library)
    with pytest.raises(UsageError, match="the name of an image is empty"):
        await select_ids(library, [""])
    assert len(await select_ids(library, ["."])) == 8


@pytest.mark.parametrize("seconds", [2**34, -(2**33)])
async def test_a_file_with_a_time_beyond_64_bits_is_followed_like_others(
    folder: Path, library: Library, picture: Any, seconds: int
) -> None:
    file = folder / "red.png"
    try:
        os.utime(file, (seconds, seconds))
    except OverflowError:
        pytest.skip("the file system has no such times")
    assert (await index([folder], library)).added == 8
    assert counts(await index([folder], library)) == {"unchanged": 8}
    file.write_bytes(picture("red", mark=5))
    os.utime(file, (seconds + 1, seconds + 1))
    assert counts(await index([folder], library)) == {"changed": 1, "unchanged": 7}
    assert await library.count() == 8


@given(st.integers(0, 2**64 - 1))
def test_inodes_of_64_bits_stay_apart(inode: int) -> None:
    assert -(2**63) <= int64(inode) < 2**63
    assert int64(inode) % 2**64 == inode
