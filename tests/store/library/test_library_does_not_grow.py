"""A library's folder is at most 1.5 times what it holds, whatever was indexed, changed or stopped before."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagerag.store.data_dir import DataDir
from imagerag.store.library import compaction
from imagerag.store.library import search as searching
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library

ALLOWED = 1.5
SMALL = 200_000
"""Bytes that are allowed on top: indexes and manifests weigh where a library has next to nothing."""


def noise(path: Path, seed: int, side: int = 128) -> Path:
    """A picture that does not compress."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def held_by(library: Library) -> int:
    """Bytes of the thumbnails and of the copies of pictures that it holds."""
    copies = size_of(library.table.images.root) if library.table.images.root.exists() else 0
    rows = await library.table.records(["thumbnail"], None)
    assert len(rows) == await library.count()
    return copies + sum(len(row["thumbnail"]) for row in rows)


async def assert_tight(library: Library) -> None:
    assert size_of(library.folder) <= ALLOWED * await held_by(library) + SMALL


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "noise"
    folder.mkdir()
    for number in range(40):
        noise(folder / f"{number:03}.png", number)
    return folder


async def test_after_the_first_index(library: Library, pictures: Path) -> None:
    await index([pictures], library)
    await assert_tight(library)


async def test_after_eight_single_pictures_and_changed_captions(library: Library, pictures: Path) -> None:
    await index([pictures], library)
    for number in range(8):
        await index([noise(pictures / f"later{number}.png", 1000 + number)], library)
        await assert_tight(library)
    for words in ("a grey card", "a noisy card", "a wall of noise"):
        for file in pictures.glob("*.png"):
            file.with_suffix(".txt").write_text(f"{words} {file.stem}")
        await index([pictures], library)
        await assert_tight(library)
    assert await library.count() == 48
    assert {row.caption.split()[1] for row in await library.rows()} == {"wall"}


async def test_the_version_between_two_commits_that_join_fragments_is_removed(
    library: Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a fast disk it is younger than the age at which versions are removed; here, that age is longer."""
    await index([pictures], library)
    noise(pictures / "one more.png", 1000)
    monkeypatch.setattr(searching, "AT_ONCE", timedelta(milliseconds=200))
    await index([pictures], library)
    await assert_tight(library)


async def test_what_somebody_left_behind_who_was_killed_is_removed(
    home: DataDir, library: Library, pictures: Path, child: Callable[..., Any]
) -> None:
    await index([pictures], library)
    code = """
        import os
        async def work():
            library = await Library.open(home, "shop", conftest.ColourEmbedder())
            async def die(*_, **__):
                os._exit(9)
            library.optimize = die
            await index([given["folder"]], library)
        asyncio.run(work())
    """
    for words in ("one", "two", "three"):
        for file in pictures.glob("*.png"):
            file.with_suffix(".txt").write_text(f"{words} {file.stem}")
        with child(code, folder=str(pictures)) as indexing:
            assert indexing.wait() == 9
    assert size_of(library.folder) > ALLOWED * await held_by(library) + SMALL
    report = await index([pictures], library)
    assert (report.added, report.updated) == (0, 0)
    await assert_tight(library)


async def test_files_of_no_version_are_removed_when_nobody_else_writes(library: Library, pictures: Path) -> None:
    await index([pictures], library)
    stray = next((library.folder / "data").glob("*.lance"))
    left = stray.with_name("0" * 24 + stray.name[24:])
    left.write_bytes(stray.read_bytes())
    await index([noise(pictures / "one more.png", 1007)], library)
    assert not left.exists()
    await assert_tight(library)


async def test_readers_and_writers_go_on_while_it_is_tidied(home: DataDir, library: Library, pictures: Path) -> None:
    """Nobody meets a file that is gone, and nothing that was written is lost."""
    await index([pictures], library)
    done = asyncio.Event()

    async def read() -> int:
        mine, reads = await Library.open(home, "shop", library.embedder), 0
        while not done.is_set():
            assert len(await mine.search("red", k=3)) == 3
            assert len((await mine.captioned_vectors())[0]) >= 40
            reads += 1
        return reads

    async def write(start: int) -> None:
        mine = await Library.open(home, "shop", library.embedder)
        for number in range(start, start + 4):
            await index([noise(pictures.parent / f"{number}.png", number, 32)], mine)

    readers = [asyncio.create_task(read()) for _ in range(2)]
    await asyncio.gather(*(write(start) for start in (2000, 3000, 4000)))
    done.set()
    assert all(reads > 0 for reads in await asyncio.gather(*readers))
    assert await library.count() == 52
    assert not await library.is_stale()
    await library.optimize()
    await assert_tight(library)


async def test_without_file_locks_only_what_is_named_by_a_version_is_removed(
    library: Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can tell that others write, their files are left."""
    await index([pictures], library)
    monkeypatch.setattr("imagerag.store.file_lock.alone_now", lambda file: False)
    stray = next((library.folder / "data").glob("*.lance"))
    left = stray.with_name("0" * 24 + stray.name[24:])
    os.link(stray, left)
    await library.optimize()
    assert left.exists()


async def test_a_large_library_is_not_written_anew_for_every_picture(
    library: Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joining fragments copies every row: it is done when there are many of them, or many rows are in no index."""
    await index([pictures], library)
    monkeypatch.setattr(compaction, "ALWAYS", 0)
    monkeypatch.setattr(compaction, "SHARE", 0.1)
    tidied = []
    optimize = Library.optimize

    async def noting(self: Library) -> None:
        tidied.append(await self.count())
        await optimize(self)

    monkeypatch.setattr(Library, "optimize", noting)
    for number in range(4):
        noise(pictures / f"later{number}.png", 2000 + number)
        await index([pictures], library)
    assert tidied == []
    noise(pictures / "one more.png", 2100)
    await index([pictures], library)
    assert tidied == [45]  # five of them were in no index
    monkeypatch.setattr(compaction, "FRAGMENTS", 1)
    noise(pictures / "another.png", 2200)
    await index([pictures], library)
    assert tidied == [45, 46]
    await assert_tight(library)
    assert {Path(row.source).name for row in await library.rows()} == {file.name for file in pictures.iterdir()}
