"""Changes below folders are told once things are quiet, and what is never indexed is not told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UnknownLibraryError
from imagerag.client.client import ImageRAG
from imagerag.store.library.indexing import folder_watch
from imagerag.store.library.indexing.folder_watch import CalibrationDelay, changes
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.library import Library
from imagerag.store.library.sources.file_selection import IGNORE_FILE


async def test_changes_are_told_together_and_without_what_is_left_out(
    tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "QUIET_MS", 500)
    (tmp_path / "drafts").mkdir()
    (home := tmp_path / "home").mkdir()
    watched = changes([tmp_path], ["drafts"], home=home)
    first = {tmp_path / "first.png"}
    coming = asyncio.ensure_future(anext(watched))
    for _ in range(50):  # until the watcher has begun
        (tmp_path / "first.png").write_bytes(picture("red"))
        if (await asyncio.wait([coming], timeout=1))[0]:
            break
    assert await coming == first
    wanted = {tmp_path / f"{mark}.png" for mark in range(5)}
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "drafts" / "a.png").write_bytes(picture("red"))
    (home / "a.png").write_bytes(picture("red"))
    for file in sorted(wanted):
        file.write_bytes(picture("red"))
    assert await anext(watched) | first == wanted | first  # it may have been written once more
    await watched.aclose()


async def told(watched: AsyncIterator[set[Path]], change: Callable[[], object]) -> set[Path]:
    """What is told of a change, which is made until the watcher has begun."""
    coming = asyncio.ensure_future(anext(watched))
    for _ in range(50):
        change()
        if (await asyncio.wait([coming], timeout=0.5))[0]:
            break
    return await coming


async def test_ignore_files_are_told_as_they_decide_what_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "QUIET_MS", 50)
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for folder in (tmp_path, tmp_path / "deep" / "deeper"):
        watched = changes([tmp_path])
        file = folder / IGNORE_FILE

        def change(file: Path = file) -> None:
            (tmp_path / ".hidden" / IGNORE_FILE).write_text("*.gif\n")
            file.write_text("*.gif\n")

        assert await told(watched, change) == {file}
        await watched.aclose()


async def test_a_manifest_elsewhere_is_followed_too(
    tmp_path: Path, picture: Any, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[Path] = []

    async def given(paths: Sequence[Path], exclude: object, *, home: Path) -> AsyncIterator[set[Path]]:
        followed.extend(paths)
        yield {manifest}

    monkeypatch.setattr(folder_watch, "changes", given)
    (folder := tmp_path / "photos").mkdir()
    (folder / "0.png").write_bytes(picture("red"))
    manifest = tmp_path / "captions.csv"
    manifest.write_text("path,caption\nphotos/0.png,a red card\n")
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    monkeypatch.setattr(type(rag.dependencies), "embedder", lambda self, spec: embedder)
    watched = rag.libraries.watch(folder, library="mine", manifest=manifest)
    await anext(watched)
    manifest.write_text("path,caption\nphotos/0.png,a scarlet card\n")
    assert (await anext(watched)).updated == 1
    await watched.aclose()
    assert followed == [folder, manifest]


async def test_a_folder_that_goes_is_followed_again_when_it_is_back(
    tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "QUIET_MS", 50)
    monkeypatch.setattr(folder_watch, "AWAY_S", 0.02)
    folder, away = tmp_path / "photos", tmp_path / "away"
    folder.mkdir()
    watched = changes([folder])
    coming = asyncio.ensure_future(anext(watched))
    await asyncio.sleep(0.1)
    folder.rename(away)
    assert await coming == set()
    coming = asyncio.ensure_future(anext(watched))
    await asyncio.sleep(0.05)
    assert not coming.done()
    away.rename(folder)
    assert await coming == {folder}
    assert await told(watched, lambda: (folder / "a.png").write_bytes(picture("red"))) == {folder / "a.png"}
    await watched.aclose()


async def test_a_watched_folder_that_is_gone_ends_nothing(
    tmp_path: Path, picture: Any, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.png").write_bytes(picture("red"))
    told: asyncio.Queue[set[Path]] = asyncio.Queue()

    async def given(paths: object, exclude: object, home: object) -> AsyncIterator[set[Path]]:
        while True:
            yield await told.get()

    monkeypatch.setattr(folder_watch, "changes", given)
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    monkeypatch.setattr(type(rag.dependencies), "embedder", lambda self, spec: embedder)
    warnings: list[str] = []
    watched = rag.libraries.watch(folder, library="mine", warn=warnings.append)
    assert (await anext(watched)).added == 1
    warnings.clear()
    coming = asyncio.ensure_future(anext(watched))
    folder.rename(tmp_path / "away")
    for change in ({folder / "0.png"}, set[Path]()):
        told.put_nowait(change)
    async with asyncio.timeout(60):
        while not warnings:
            await asyncio.sleep(0.01)
    assert not coming.done()
    assert warnings == [f"{folder} is gone; nothing is taken out, and it is followed again when it is back"]
    (tmp_path / "away").rename(folder)
    told.put_nowait({folder})
    assert (await coming).unchanged == 1
    await watched.aclose()


async def test_a_library_that_is_removed_while_its_folder_is_watched_is_not_made_again(
    tmp_path: Path, picture: Any, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.png").write_bytes(picture("red"))

    async def given(paths: object, exclude: object, home: object) -> AsyncIterator[set[Path]]:
        yield {folder}
        yield {folder}

    monkeypatch.setattr(folder_watch, "changes", given)
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    monkeypatch.setattr(type(rag.dependencies), "embedder", lambda self, spec: embedder)
    watched = rag.libraries.watch(folder, library="mine")
    assert (await anext(watched)).added == 1
    await rag.libraries.delete("mine")
    with pytest.raises(UnknownLibraryError, match="no library 'mine'"):
        await anext(watched)
    assert "mine" not in {one.name for one in await rag.libraries.list()}
    await watched.aclose()


def test_the_threshold_is_measured_when_it_was_quiet_or_at_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(folder_watch.time, "monotonic", lambda: now)
    delay = CalibrationDelay()
    assert delay.remaining() is None
    delay.begin()
    assert delay.remaining() == folder_watch.CALIBRATED_S
    now = 15.0
    delay.begin()
    assert delay.remaining() == folder_watch.CALIBRATED_S
    now = 295.0
    delay.begin()
    assert delay.remaining() == folder_watch.CALIBRATED_AT_LATEST_S - now
    now = 400.0
    assert delay.remaining() == 0.0
    delay.end()
    assert delay.remaining() is None


async def test_many_changes_are_followed_and_the_threshold_is_measured_once_after_them(
    tmp_path: Path, picture: Any, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    told: asyncio.Queue[set[Path]] = asyncio.Queue()

    async def given(paths: object, exclude: object, home: object) -> AsyncIterator[set[Path]]:
        while True:
            yield await told.get()

    measured, calibrate = list[int](), Library.calibrate

    async def noting(self: Library, **options: Any) -> Any:
        measured.append(await self.count())
        return await calibrate(self, **options)

    monkeypatch.setattr(folder_watch, "changes", given)
    monkeypatch.setattr(Library, "calibrate", noting)
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    monkeypatch.setattr(type(rag.dependencies), "embedder", lambda self, spec: embedder)
    (folder / "0.png").write_bytes(picture("red", mark=0))
    watched = rag.libraries.watch(folder, library="mine")
    assert (await anext(watched)).added == 1
    assert measured == [1]
    for mark in range(1, 4):
        (folder / f"{mark}.png").write_bytes(picture("red", mark=mark))
        told.put_nowait({folder})
        assert (await anext(watched)).added == 1
    assert measured == [1]
    monkeypatch.setattr(folder_watch, "CALIBRATED_S", 0.0)
    ahead = asyncio.ensure_future(anext(watched))
    for _ in range(1200):
        await asyncio.sleep(0.05)
        if not await (await rag.libraries.open("mine")).is_stale():
            break
    assert measured == [1, 4]
    ahead.cancel()
    await asyncio.gather(ahead, return_exceptions=True)
    await watched.aclose()


async def test_a_watch_does_not_ask_to_index_again_what_its_next_pass_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def given(*paths: object, followed: bool = False, **options: object) -> IndexReport:
        report = IndexReport(skipped=[("b.txt", "no image")], followed=followed)
        report.skip_changed("a.png")
        return report

    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    monkeypatch.setattr(type(rag.libraries), "index", given)
    watched = rag.libraries.watch(tmp_path, library="mine")
    assert (await anext(watched)).skipped == [
        ("b.txt", "no image"),
        ("a.png", "it was changed while it was read: the next pass takes it"),
    ]
    await watched.aclose()
