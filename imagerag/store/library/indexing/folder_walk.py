"""The files below folders."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from imagerag.store.library.locations import names_server, split_member
from imagerag.store.text_files import clean


@dataclass
class FolderWalk:
    """Visits folders, each of them once, however many links lead there.

    Attributes:
        links_within: folders, without links in their paths, that links may lead into; None is anywhere.
        home: the data folder of imagerag by device and inode: what it made itself, and copies of images, would become
            references.
        unread: folders that cannot be read.
        visited: the folders by device and inode.
        links: links to folders.
        problems: folders that cannot be read and links that lead elsewhere, and why they are left out.
    """

    links_within: Sequence[Path] | None
    home: tuple[int, int] | None = None
    unread: list[Path] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    visited: dict[tuple[int, int], Path] = field(default_factory=dict)
    links: list[Path] = field(default_factory=list)

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
                entries = self._entries(path) if (status.st_dev, status.st_ino) not in self.visited else []
            except OSError as error:
                self.unread.append(path)
                self.problems.append((clean(str(path)), f"the folder cannot be read: {error.strerror}"))
                continue
            if (status.st_dev, status.st_ino) == self.home:
                self.problems.append((clean(str(path)), "it is the home of imagerag, which holds what it made itself"))
                continue
            self.visited.setdefault((status.st_dev, status.st_ino), path)
            waiting += reversed([entry for entry in entries if not excluded(entry[0])])

    def _entries(self, folder: Path) -> list[tuple[Path, bool]]:
        """The entries of a folder, sorted by name, each with whether it is a folder; no links that lead outside."""
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        inside = [(folder / entry.name, entry) for entry in ordered if not self._leads_outside(entry)]
        self.links += [path for path, entry in inside if entry.is_symlink() and _is_folder(entry)]
        return [(path, _is_folder(entry)) for path, entry in inside]

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
        self._names = {_file_folder(one) for one in folders if not names_server(one)}
        self._known: dict[Path, Path] = {}

    def known_path(self, file: Path) -> Path:
        """The path of a file under the known name of its folder; the path itself where there is none."""
        folder = file.parent
        if folder not in self._known:
            known = os.path.abspath(folder) in self._names
            name = None if known else self._by_identity.get(identity(folder))
            self._known[folder] = Path(name) if name else folder
        return file if self._known[folder] == folder else self._known[folder] / file.name

    def other_names(self, visited: Mapping[tuple[int, int], Path]) -> dict[str, str]:
        """Known names of folders that were visited under another name → the names under which their files were found.

        Args:
            visited: folders by device and inode.
        """
        walked = set(map(os.path.abspath, visited.values()))
        found = ((name, visited.get(identity(Path(name)) or (0, 0))) for name in self._names - walked)
        return {name: str(self.known_path(folder / "_").parent) for name, folder in found if folder}

    @cached_property
    def _by_identity(self) -> dict[tuple[int, int] | None, str]:
        named = {identity(Path(one)): one for one in sorted(self._names, reverse=True)}
        named.pop(None, None)
        return named


def identity(folder: Path) -> tuple[int, int] | None:
    """What is under a folder's name now; None where nothing is."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


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
