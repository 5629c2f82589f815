"""Values of images are written as often as commits are cheap, and the rest at the end, whatever that is."""

import asyncio

import pytest

from imagerag.store.library import write_buffer
from imagerag.store.library.write_buffer import WriteBuffer


class Table:
    """Takes in commits."""

    def __init__(self) -> None:
        self.commits: list[dict[str, bytes]] = []
        self.is_full = False
        self.tidied_after = list[int]()

    async def write(self, values: dict[str, bytes]) -> None:
        if self.is_full:
            raise OSError("the disk is full")
        self.commits.append(values)

    async def tidy(self) -> None:
        self.tidied_after.append(len(self.commits))

    def buffer(self) -> WriteBuffer[bytes]:
        return WriteBuffer(self.write, len, self.tidy)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr(write_buffer, "PATIENCE", 1e12)
    return Table()


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_what_is_collected_is_written_when_the_work_is_stopped(table: Table, error: type[BaseException]) -> None:
    async def work() -> None:
        async with table.buffer() as buffer:
            for name in "abc":
                await buffer.add({name: b""})
            raise error

    with pytest.raises(error):
        await work()
    assert [sorted(one) for one in table.commits] == [["a"], ["b", "c"]]


async def test_nothing_is_no_commit(table: Table) -> None:
    async with table.buffer() as buffer:
        await buffer.add({})
    assert not table.commits


async def test_memory_is_bounded(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_buffer, "LARGEST", 10)
    async with table.buffer() as buffer:
        for at in range(30):
            await buffer.add({str(at): b"four"})
    assert max(map(len, table.commits)) == 3
    assert sum(map(len, table.commits)) == 30


async def test_what_cannot_be_written_is_not_tried_again(table: Table) -> None:
    async with table.buffer() as buffer:
        table.is_full = True
        with pytest.raises(OSError, match="full"):
            await buffer.add({"a": b""})
        table.is_full = False
    assert not table.commits


async def test_earlier_versions_are_removed_while_it_goes_on_and_not_when_it_is_stopped(table: Table) -> None:
    async def work() -> None:
        async with table.buffer() as buffer:
            await buffer.add({"a": b""})
            await buffer.add({"b": b""})
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await work()
    assert (len(table.commits), table.tidied_after) == (2, [1])
