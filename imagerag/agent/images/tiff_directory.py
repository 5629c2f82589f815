"""Read the directories of a TIFF, of EXIF, which is kept as one, and of the RAW files that are one.

Bounded, whatever the bytes claim: an entry is read when somebody asks for it, a value is cut at a length, and what
lies outside of the data is not there. Pillow's reader copies whatever each of 65,535 entries claims.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Final

__all__ = ["MAX_VALUE", "TiffFile", "TiffValue"]

MAX_VALUE: Final = 64 * 1024
"""Bytes of a value, if nobody asks for more."""

_MAX_ENTRIES: Final = 4096
_MAX_DIRECTORIES: Final = 16
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8,
                 18: 8, 129: 1}  # fmt: skip
_CODES: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_RATIONALS: Final = {5: "I", 10: "i"}

_SUB_DIRECTORIES, _PHOTOMETRIC, _DNG_VERSION = 330, 262, 50706
_SENSOR: Final = (32803, 34892)
"""Photometric interpretations of pixels as a sensor gives them."""


@dataclass(frozen=True)
class TiffValue:
    """A value of a directory.

    Attributes:
        kind: TIFF's number of its type.
        data: its bytes.
        order: "<" or ">", of bytes in numbers.
    """

    kind: int
    data: bytes
    order: str

    def numbers(self, most: int = 64) -> tuple[float, ...]:
        """The numbers in it, at most so many; a fraction that is none (0/0) counts as missing, and ends them."""
        if self.kind in _RATIONALS:
            return tuple(self._fractions(most))
        code = _CODES.get(self.kind)
        if code is None:
            return ()
        count = min(most, len(self.data) // _SIZES[self.kind])
        return tuple(one for one in struct.unpack_from(f"{self.order}{count}{code}", self.data) if isfinite(one))

    def _fractions(self, most: int) -> Iterator[float]:
        code = _RATIONALS[self.kind]
        for at in range(0, min(most * 8, len(self.data) - 7), 8):
            above, below = struct.unpack_from(f"{self.order}2{code}", self.data, at)
            if not below:
                return
            yield above / below

    @property
    def number(self) -> int | None:
        """The first of them as a whole number."""
        return next((int(one) for one in self.numbers(1)), None)


@dataclass(frozen=True)
class TiffFile:
    """A TIFF, by its bytes. Other signatures than TIFF's own are read too: makers of cameras have theirs.

    Attributes:
        data: the file, or what EXIF holds.
    """

    data: bytes
    _read: dict[int, "Mapping[int, tuple[int, int, int]]"] = field(default_factory=dict, repr=False)

    @cached_property
    def order(self) -> str:
        """Of bytes; empty for what is no TIFF."""
        return {b"II": "<", b"MM": ">"}.get(self.data[:2], "")

    @cached_property
    def first(self) -> int:
        """Offset of the first directory; 0 for none."""
        return self._at(8 if self._big else 4, "Q" if self._big else "I") if self.order else 0

    @cached_property
    def _big(self) -> bool:
        return self.data[:4] in (b"II+\0", b"MM\0+")

    def value(self, directory: int, tag: int, longest: int = MAX_VALUE) -> TiffValue | None:
        """A value of the directory that begins there; None where there is none, or not whole in the data."""
        kind, _, place = self._entries(directory).get(tag, (0, 0, 0))
        size = self.size(directory, tag)
        if not size or size > longest:
            return None
        room = 8 if self._big else 4
        start = place if size <= room else self._at(place, "Q" if self._big else "I")
        data = self.data[start : start + size]
        return TiffValue(kind, data, self.order) if len(data) == size else None

    def size(self, directory: int, tag: int) -> int:
        """Bytes that a value of the directory claims to have, also more than are read; 0 for none."""
        kind, count, _ = self._entries(directory).get(tag, (0, 0, 0))
        return _SIZES.get(kind, 0) * count

    def number(self, directory: int, tag: int) -> int:
        """A whole number, 0 for none: also where another directory is."""
        value = self.value(directory, tag)
        return (value.number if value else None) or 0

    @cached_property
    def is_raw(self) -> bool:
        """Whether one of its images is what a sensor gave."""
        if self.value(self.first, _DNG_VERSION):
            return True
        return any(self.number(one, _PHOTOMETRIC) in _SENSOR for one in self._directories())

    def _directories(self) -> Iterator[int]:
        """Offsets of the first directories, and of those below them."""
        waiting, offsets = [self.first], set[int]()
        while waiting and len(offsets) < _MAX_DIRECTORIES:
            at = waiting.pop(0)
            if not at or at in offsets:
                continue
            offsets.add(at)
            yield at
            below = self.value(at, _SUB_DIRECTORIES)
            waiting += [int(one) for one in (below.numbers(8) if below else ())]
            waiting.append(self._next(at))

    def _next(self, directory: int) -> int:
        head, each, code = (8, 20, "Q") if self._big else (2, 12, "H")
        count = self._at(directory, code)
        return self._at(directory + head + each * count, "Q" if self._big else "I") if count <= _MAX_ENTRIES else 0

    def _entries(self, directory: int) -> "Mapping[int, tuple[int, int, int]]":
        """(type, count, where the value or its place is) by tag; of a tag that is there twice, the first."""
        if directory not in self._read:
            self._read[directory] = dict(reversed(list(self._parsed(directory)))) if directory else {}
        return self._read[directory]

    def _parsed(self, directory: int) -> Iterator[tuple[int, tuple[int, int, int]]]:
        head, each, form, code = (8, 20, "HHQ", "Q") if self._big else (2, 12, "HHI", "H")
        count = min(self._at(directory, code), _MAX_ENTRIES)
        for at in range(directory + head, min(directory + head + each * count, len(self.data) - each + 1), each):
            tag, kind, values = struct.unpack_from(f"{self.order}{form}", self.data, at)
            yield tag, (kind, values, at + each - (8 if self._big else 4))

    def _at(self, place: int, code: str) -> int:
        try:
            return int(struct.unpack_from(f"{self.order}{code}", self.data, place)[0])
        except (struct.error, OverflowError):
            return 0
