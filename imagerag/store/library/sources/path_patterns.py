"""Patterns instead of paths: `'photos/**/*.jpg'`, and WebDataset's `shard-{000..009}.tar`.

A shell expands the former itself; quoted, or in Python, it is expanded here. `**` matches any folders.
"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.store.text_files import clean

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")
_CHOICE: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""The beginning of an address, also after `Path` joined its two slashes."""

NO_DOWNLOAD: Final = "Nothing is downloaded: fetch the images first, as with img2dataset"

MAX_SHARDS: Final = 100_000

_NO_SHARD: Final = "it is in the range that is named, but there is no such file"


@dataclass(frozen=True)
class NamedPaths:
    """Paths given by the user.

    Attributes:
        paths: with what the patterns match.
        patterns: absolute.
        problems: (path, reason) of files that a range of numbers stands for, and that are not there.
    """

    paths: Sequence[Path]
    patterns: Sequence[str] = ()
    problems: Sequence[tuple[str, str]] = ()

    def covers(self, path: str) -> bool:
        """Whether an absolute path is one of them, or lies below one; as quick for 100,000 of them as for one."""
        while path not in self._texts:
            path, last = os.path.dirname(path), path
            if path == last:
                return False
        return True

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(map(str, self.paths))

    def matches(self, path: str) -> bool:
        """Whether an absolute path is one that a pattern stands for, or lies below it."""
        if not self.patterns:
            return False
        return bool(self._spec.match_file(path.lstrip("/")))

    @cached_property
    def _spec(self) -> "GitIgnoreSpec":
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines([pattern.replace("\\", "/") for pattern in self.patterns])


def address_hint(path: str) -> str:
    """What to add to an error about a path that is an address; empty for other paths."""
    return f": it is an address. {NO_DOWNLOAD}" if _ADDRESS.match(path) else ""


def expand(paths: Sequence[Path], *, may_be_gone: bool = False) -> NamedPaths:
    """Expand patterns; an existing path stands for itself, even with pattern characters in its name.

    Args:
        may_be_gone: a pattern without a match is no error.

    Raises:
        UsageError: a pattern matches nothing, or stands for too many shards.
    """
    unique_paths: dict[Path, None] = {}
    patterns: list[str] = []
    problems: list[tuple[str, str]] = []
    for path in paths:
        if not _is_pattern(path):
            unique_paths[path] = None
            continue
        by_text = {text: sorted(glob.glob(text, recursive=True)) for text in _braces(str(path))}
        matches = [Path(one) for found in by_text.values() for one in found]
        if not matches and not may_be_gone:
            raise UsageError(f"there is no file or folder {path}, and as a pattern it matches none")
        unique_paths.update(dict.fromkeys(matches))
        patterns += map(os.path.abspath, by_text)
        if _RANGE.search(str(path)):
            problems += [(clean(text), _NO_SHARD) for text, found in by_text.items() if not found]
    return NamedPaths(list(unique_paths), patterns, problems)


def base_of(path: Path) -> Path:
    """The folder below which everything lies that a pattern can match; a path that is none is itself."""
    if not _is_pattern(path):
        return path
    first = next((at for at, part in enumerate(path.parts) if glob.has_magic(part) or "{" in part), None)
    return Path(*path.parts[:first])


def _is_pattern(path: Path) -> bool:
    text = str(path)
    return (glob.has_magic(text) or bool(_RANGE.search(text) or _CHOICE.search(text))) and not os.path.lexists(path)


def _braces(text: str) -> Iterator[str]:
    """The texts that one with braces stands for, as WebDataset writes them."""
    waiting, count = [text], 0
    while waiting:
        one = waiting.pop()
        if numbers := _RANGE.search(one):
            first, last = numbers.groups()
            if int(last) - int(first) >= MAX_SHARDS:
                raise UsageError(f"{text} stands for more than {MAX_SHARDS:,} files")
            parts = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        elif choice := _CHOICE.search(one):
            numbers, parts = choice, choice[1].split(",")
        else:
            count += 1
            if count > MAX_SHARDS:
                raise UsageError(f"{text} stands for more than {MAX_SHARDS:,} files")
            yield one
            continue
        waiting += [one[: numbers.start()] + part + one[numbers.end() :] for part in reversed(parts)]
