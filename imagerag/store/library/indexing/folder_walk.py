"""The files below folders."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class FolderWalk:
    """Visits folders, each of them once, however many links lead there.

    Attributes:
        links_within: folders, without links in their paths, that links may lead into; None is anywhere.
        unread: folders that cannot be read.
        outside: links that lead elsewhere, and why they are left out.
    """

    links_within: Sequence[Path] | None
    unread: list[Path] = field(default_factory=list)
    outside: list[tuple[str, str]] = field(default_factory=list)
    _visited: set[tuple[int, int]] = field(default_factory=set, repr=False)

    def files(self, folder: Path, excluded: Callable[[Path], bool]) -> Iterator[Path]:
        """Files below a folder, sorted by name, without excluded ones; a folder that cannot be read is one of them."""
        waiting = [(folder, True)]
        while waiting:
            path, is_folder = waiting.pop()
            if not is_folder:
                yield path
                continue
            try:
                status = path.stat()
                entries = self._entries(path) if (status.st_dev, status.st_ino) not in self._visited else []
            except OSError:
                self.unread.append(path)
                yield path  # listed later as unreadable
                continue
            self._visited.add((status.st_dev, status.st_ino))
            waiting += reversed([entry for entry in entries if not excluded(entry[0])])

    def _entries(self, folder: Path) -> list[tuple[Path, bool]]:
        """The entries of a folder, sorted by name, each with whether it is a folder; no links that lead outside."""
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        return [(folder / entry.name, _is_folder(entry)) for entry in ordered if not self._leads_outside(entry)]

    def _leads_outside(self, entry: "os.DirEntry[str]") -> bool:
        if self.links_within is None:
            return False
        target = Path(os.path.realpath(entry.path))
        if any(target.is_relative_to(folder) for folder in self.links_within):
            return False
        self.outside.append((entry.path, "it is a link that leads out of the folders that may be read"))
        return True


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder; errors are reported when it is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False
