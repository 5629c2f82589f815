"""A full disk: nothing is paid that cannot be kept, nothing that was kept is lost, and the message says why."""

import errno
import json
import resource
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import AuthError, LibraryDamagedError, StorageError
from imagerag.agent.types import Outcome
from imagerag.batch.runner import BatchRunner
from imagerag.formatting.interface_terms import as_commands
from imagerag.store.data_dir import DataDir
from imagerag.store.room_reserve import RESERVE_BYTES, keep_reserve
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary
from tests.small_disk import SmallDisk, mounted

ROOM = 60
"""MB of the disk."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk", ROOM) as disk:
        yield disk


class Filling(ScriptedGenerator):
    """Its n-th picture arrives on a full disk."""

    def __init__(self, disk: SmallDisk, nth: int = 1) -> None:
        super().__init__()
        self.disk, self.left = disk, nth

    async def generate(self, *args, **options):
        drawn = await super().generate(*args, **options)
        self.left -= 1
        if not self.left:
            self.disk.fill()
        return drawn


def made(home: Path, generator: ScriptedGenerator) -> tuple[ImageRAG, ScriptedJudge]:
    rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="mine", home=home)
    judge = ScriptedJudge(lambda prompt, image: [])
    rag.dependencies.use("generator", "mine", generator)
    rag.dependencies.use("judge", "mine", judge)
    rag.dependencies.use("library", "mine", ScriptedLibrary())
    return rag, judge


def assert_full(error: StorageError, where: Path) -> None:
    assert error.errno == errno.ENOSPC
    assert "the disk is full" in str(error)
    assert str(where) in str(error)
    assert "remove" not in str(error)


async def test_nothing_is_asked_that_could_not_be_kept(disk: SmallDisk) -> None:
    generator = ScriptedGenerator()
    rag, judge = made(disk.path / "home", generator)
    disk.fill(but=2**20)
    for _ in range(2):
        with pytest.raises(StorageError) as found:
            await rag.generate("a cat", run_id="one")
        assert_full(found.value, disk.path / "home")
    assert (len(generator.calls), len(judge.calls)) == (0, 0)
    disk.free()
    assert (await rag.generate("a cat", run_id="one")).outcome is Outcome.ALIGNED


async def test_a_run_whose_disk_fills_up_is_gone_on_with(disk: SmallDisk) -> None:
    """The picture that came last could not be kept; nothing else is asked until there is room again."""
    generator = Filling(disk)
    rag, judge = made(disk.path / "home", generator)
    with pytest.raises(StorageError) as found:
        await rag.generate("a cat", run_id="one")
    assert_full(found.value, disk.path / "home")
    assert len(judge.calls) == 0
    for _ in range(2):
        with pytest.raises(StorageError):
            await rag.runs.resume("one")
    assert (len(generator.calls), len(judge.calls)) == (1, 0)
    disk.free()
    assert (await rag.runs.resume("one")).outcome is Outcome.ALIGNED
    assert len(generator.calls) == 2


async def test_what_was_kept_before_the_disk_was_full_is_not_paid_again(disk: SmallDisk) -> None:
    """Full between the picture and its verdict."""
    generator = ScriptedGenerator()
    rag, judge = made(disk.path / "home", generator)
    check = judge.critique

    async def filled(*args, **options):
        found = await check(*args, **options)
        disk.fill()
        return found

    judge.critique = filled
    with pytest.raises(StorageError):
        await rag.generate("a cat", run_id="one")
    judge.critique = check
    disk.free()
    record = await rag.runs.resume("one")
    assert record.outcome is Outcome.ALIGNED
    assert len(generator.calls) == 1


async def test_a_batch_stops_and_leaves_the_rest(disk: SmallDisk, tmp_path: Path) -> None:
    generator = Filling(disk, nth=3)
    rag, _ = made(disk.path / "home", generator)
    prompts = [f"a cat number {number}" for number in range(12)]
    with pytest.raises(StorageError) as found:
        [one async for one in rag.batch(prompts, tmp_path / "out", concurrency=2)]
    assert_full(found.value, disk.path / "home")
    assert len(generator.calls) <= 4
    disk.free()
    results = [one async for one in rag.batch(prompts, tmp_path / "out", resume=True)]
    assert {one.status for one in results} == {"done"}
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == [f"{number:05}" for number in range(1, 13)]
    assert len(generator.calls) <= 12 + 2


async def test_a_batch_whose_own_folder_is_full_keeps_whole_lines(disk: SmallDisk, tmp_path: Path) -> None:
    generator = Filling(disk, nth=3)
    rag, _ = made(tmp_path / "home", generator)
    prompts = [f"a cat number {number}" for number in range(8)]
    with pytest.raises(StorageError) as found:
        [one async for one in rag.batch(prompts, disk.path / "out", concurrency=2)]
    assert_full(found.value, disk.path / "out")
    assert len(generator.calls) <= 4
    for line in (disk.path / "out" / "results.jsonl").read_text().splitlines():
        json.loads(line)
    disk.free()
    results = [one async for one in rag.batch(prompts, disk.path / "out", resume=True)]
    assert {one.status for one in results} == {"done"}
    assert len(generator.calls) == len(prompts)


async def test_a_batch_stops_when_the_account_turns_everything_down(tmp_path: Path) -> None:
    generator = ScriptedGenerator(*[AuthError("the key is wrong")] * 50)
    rag, _ = made(tmp_path / "home", generator)
    results = []

    async def follow() -> None:
        prompts = [f"cat {n}" for n in range(50)]
        async for one in BatchRunner(rag.settings, rag.dependencies, prompts, tmp_path / "out", concurrency=2).run():
            results.append(one)  # noqa: PERF401  # kept when it raises

    with pytest.raises(AuthError, match="no other was begun"):
        await follow()
    assert 5 <= len(results) <= 7
    assert len(generator.calls) <= 8


async def test_an_index_on_a_full_disk_leaves_a_healthy_library(disk: SmallDisk, tmp_path: Path) -> None:
    from tests.store.library.test_library_does_not_grow import noise

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        noise(folder / f"{number}.png", number)
    rag = ImageRAG(preset="sketch", home=disk.path / "home")
    await rag.libraries.index(folder, library="shop", embedder="sketch", copy=True)
    for number in range(100, 116):
        noise(folder / f"{number}.png", number, side=600)
    for room in (2**19, 2**22):
        disk.fill(but=room)
        with pytest.raises(StorageError) as found:
            await rag.libraries.index(folder, library="shop", copy=True)
        assert not isinstance(found.value, LibraryDamagedError)
        assert_full(found.value, disk.path / "home")
        assert len(await rag.libraries.search("noise", library="shop", k=3)) == 3
        disk.free()
    report = await rag.libraries.index(folder, library="shop", copy=True)
    assert report.added == 16
    assert await (await rag.libraries.open("shop")).count() == 24


@pytest.mark.parametrize("reserve", [True, False])
async def test_removing_makes_room_on_a_full_disk(disk: SmallDisk, tmp_path: Path, reserve: bool) -> None:
    """With the room of the reserve; without one the message says what needs none."""
    from tests.store.library.test_library_does_not_grow import noise

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        noise(folder / f"{number}.png", number, side=200)
    home = disk.path / "home"
    rag = ImageRAG(preset="sketch", home=home)
    await rag.libraries.index(folder, library="shop", embedder="sketch", copy=True, check=False)
    made_by, _ = made(home, ScriptedGenerator())
    await made_by.generate("a cat", run_id="one")
    thread = (await rag.ask("how many are there?", library="shop")).thread_id
    reserved = DataDir(home).reserve
    assert reserved.stat().st_blocks * 512 >= RESERVE_BYTES
    if not reserve:
        reserved.unlink()
    disk.fill()
    image = folder / "0.png"
    if reserve:
        removed = await rag.runs.remove("one")
        assert [one.run_id for one in removed.runs] == ["one"]
        for remaining in (rag.questions.threads.remove(thread), rag.questions.threads.list()):
            disk.free()
            keep_reserve(DataDir(home))
            disk.fill()
            await remaining
        assert await rag.questions.threads.list() == []
        assert len(await rag.libraries.remove(image, library="shop")) == 1
        assert await (await rag.libraries.open("shop")).count() == 2
        assert not list((home / "libraries").rglob(f"*{sha256(image.read_bytes()).hexdigest()}*"))
        disk.free()
        await rag.libraries.index(folder, library="shop")
        assert reserved.exists(), "made anew where there is room"
        return
    for attempt in (
        rag.runs.remove("one"), rag.questions.threads.remove(thread), rag.libraries.remove(image, library="shop"),
    ):  # fmt: skip
        with pytest.raises(StorageError, match="the disk is full") as found:
            await attempt
        assert "imagerag library remove NAME --whole-library" in as_commands(str(found.value))
    await rag.libraries.delete("shop")
    assert [one.run_id for one in (await rag.runs.remove("one")).runs] == ["one"]


async def test_a_limit_on_the_size_of_files_is_seen_before_anything_is_paid(tmp_path: Path) -> None:
    generator = ScriptedGenerator()
    rag, _ = made(tmp_path / "home", generator)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="a file may not grow that large") as found:
            await rag.generate("a cat")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.value.errno == errno.EFBIG
    assert not generator.calls


async def test_too_many_open_files_are_said_to_be_that(tmp_path: Path) -> None:
    from imagerag.store.disk_space import check_writable

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with suppress(OSError):
            while True:
                held.append((tmp_path / "x").open("wb"))
        with pytest.raises(StorageError, match="too many files are open") as found:
            check_writable(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in held:
            file.close()
    assert found.value.errno == errno.EMFILE
