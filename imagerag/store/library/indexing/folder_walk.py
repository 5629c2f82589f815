"""The files below folders."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagerag.store.library.locations import names_server, split_member
from imagerag.store.text_files import clean


@dataclass
class FolderWalk:
    """Visits folders, each of them once, however many links lead there.

    Attributes:
        links_within: folders, without links in their paths, that links may lead into; None is anywhere.
        unread: folders that cannot be read.
        problems: folders that cannot be read and links that lead elsewhere, and why they are left out.
    """

    links_within: Sequence[Path] | None
    unread: list[Path] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    _visited: set[tuple[int, int]] = field(default_factory=set, repr=False)

    def files(self, folder: Path, excluded: Callable[[Path], bool]) -> Iterator[Path]:
        """Files below a folder, sorted by name, without excluded ones."""
        waiting = [(folder, True)]
        while waiting:
            path, is_folder = waiting.pop()
            if not is_folder:
                yield path
                continue
            try:
                status = path.stat()
                entries = self._entries(path) if (status.st_dev, status.st_ino) not in self._visited else []
            except OSError as error:
                self.unread.append(path)
                self.problems.append((clean(str(path)), f"the folder cannot be read: {error.strerror}"))
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
        self.problems.append((clean(entry.path), "it is a link that leads out of the folders that may be read"))
        return True


class KnownFolders:
    """The folders in which a library's files lie, under the names by which it knows them.

    A folder that is reached by a link, too, is one folder: under a second name its files would be further files, and
    those under the first one would never be found changed or deleted.

    Args:
        paths: absolute paths of the files.
    """

    def __init__(self, paths: Collection[str]) -> None:
        folders = {os.path.dirname(path) for path in paths}
        self._folders = {_file_folder(one): "" for one in folders if not names_server(one)}
        self._known: dict[Path, Path] = {}

    def known_path(self, path: Path) -> Path:
        """A path to the same file or folder, under the name that is known; the path itself where none is."""
        folder = path if os.path.isdir(path) else path.parent
        if folder not in self._known:
            self._known[folder] = self._known_folder(folder)
        return path if self._known[folder] == folder else self._known[folder] / path.relative_to(folder)

    def _known_folder(self, folder: Path) -> Path:
        named = Path(os.path.abspath(folder))
        if not self._folders or any(is_below(one, named) for one in self._folders):
            return folder
        real = os.path.realpath(folder)
        for known in self._folders:
            there = self._folders[known] = self._folders[known] or os.path.realpath(known)
            rest = there[len(real) :]
            name = known.removesuffix(rest)
            if is_below(there, Path(real)) and known.endswith(rest) and os.path.realpath(name) == real:
                return Path(name)
        return folder


def _file_folder(folder: str) -> str:
    """The folder of a file, or of the archive whose members these are."""
    file, member = split_member(folder)
    return os.path.dirname(file) if member else file


def is_below(path: str, folder: Path) -> bool:
    """Whether a path is a folder or lies below it."""
    return path == str(folder) or path.startswith(f"{str(folder).rstrip(os.sep)}{os.sep}")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder; errors are reported when it is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False
