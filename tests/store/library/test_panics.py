"""LanceDB's panics: it is called again, and one that stays is an error like its others."""

from typing import Any

import pytest

from imagerag.agent.errors import LibraryDamagedError
from imagerag.store.library import database
from imagerag.store.library.library import Library

RustPanic = type("RustPanic", (Exception,), {})
"""As its bridge to Python makes it, in a module that cannot be imported."""


def panics(times: int) -> Any:
    """Work that panics at its first calls."""
    calls = list[int]()

    def work() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise RustPanic("rust future panicked: unknown error")
        return len(calls)

    return work


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.time, "sleep", lambda seconds: None)


async def test_one_beside_another_process_is_tried_again(library: Library) -> None:
    assert await library.table.read(panics(1)) == 2


async def test_one_that_stays_is_named(library: Library) -> None:
    with pytest.raises(LibraryDamagedError, match="LanceDB failed: rust future panicked"):
        await library.table.read(panics(99))


async def test_another_error_is_raised_at_once(library: Library) -> None:
    def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await library.table.read(work)
