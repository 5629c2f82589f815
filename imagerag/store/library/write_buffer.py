"""Values of images that are collected until it pays to write them: a commit writes a column of whole fragments anew,
however few images it is about, gigabytes of vectors in a large library."""

import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")

LARGEST: Final = 256 * 2**20
"""Bytes from which on values are written, 8 commits for the vectors of a million images."""

PATIENCE: Final = 10
"""How many times as long as the last commit took values are collected before the next one. They are lost when the
process is killed."""


class WriteBuffer(Generic[T]):
    """Collects values by the ids of images; a context that writes the rest at its end, also when the work is stopped.

    Args:
        write: writes values, by id, in one commit.
        size_of: bytes of a value.
        tidy: called after a commit that others follow: what each writes anew stays on the disk until then.
    """

    def __init__(
        self,
        write: Callable[[dict[str, T]], Awaitable[object]],
        size_of: Callable[[T], int],
        tidy: Callable[[], Awaitable[object]],
    ) -> None:
        self._write, self._size_of, self._tidy = write, size_of, tidy
        self._values: dict[str, T] = {}
        self._bytes, self._written, self._commit_took = 0, time.monotonic(), 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._flush()

    async def add(self, values: Mapping[str, T]) -> None:
        """Collect values by id, and write what is collected when it is time to."""
        self._values |= values
        self._bytes += sum(map(self._size_of, values.values()))
        began = time.monotonic()
        is_due = self._bytes >= LARGEST or began - self._written >= PATIENCE * self._commit_took
        if self._values and is_due:
            await self._flush()
            await self._tidy()
            self._written = time.monotonic()
            self._commit_took = self._written - began

    async def _flush(self) -> None:
        values, self._values, self._bytes = self._values, {}, 0  # what fails to be written is not tried again
        if values:
            await self._write(values)
