"""Reading items of a stream that cannot be entered anywhere: a compressed one, or one of batches."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

KEPT_BYTES: Final = 256 * 2**20
"""Of items that were passed and may be asked for yet: several are asked for at the same time, in any order."""

_FAR: Final = 1_000
"""So many items ahead, the stream is entered anew, which a table can nearer by."""


@dataclass
class ForwardReader(Generic[T]):
    """Gives items by their number, reading forward where they are asked for in about that order.

    Args:
        begin: items from a number at the latest, each with its number and its size in bytes.
    """

    begin: Callable[[int], Iterator[tuple[int, int, T]]]
    _kept: "OrderedDict[int, tuple[int, T]]" = field(default_factory=OrderedDict)
    _bytes: int = 0
    _stream: Iterator[tuple[int, int, T]] | None = None
    _next: int = 0
    _lock: Any = field(default_factory=Lock)

    def get(self, number: int) -> T:
        """The item with a number.

        Raises:
            ValueError: there is none.
        """
        with self._lock:
            if number in self._kept:
                return self._kept[number][1]
            if self._stream is None or not self._next <= number < self._next + _FAR:
                self._stream = self.begin(number)
            for at, size, item in self._stream:
                self._keep(at, size, item)
                self._next = at + 1
                if at == number:
                    return item
                if at > number:
                    break
            self._stream = None
            raise ValueError("it is no longer where it was")

    def _keep(self, number: int, size: int, item: T) -> None:
        if number in self._kept:
            return
        self._kept[number] = (size, item)
        self._bytes += size
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            _, (old_size, _) = self._kept.popitem(last=False)
            self._bytes -= old_size
