"""Exclusion of files: thumbnails of file servers, trash folders, and user patterns."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.store.library.sources.members import Problem
from imagerag.store.text_files import clean, listed, read_text

if TYPE_CHECKING:
    from pathspec.pattern import RegexPattern

LEFT_OUT: Final = frozenset(
    ("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "@__thumb", "@tmp", "__macosx", "__pycache__",
     "$recycle.bin", "system volume information", "lost+found", "node_modules", "thumbs.db", "ehthumbs.db",
     "desktop.ini", "icon\r")
)  # fmt: skip
"""Names, in lower case, of what systems and programs leave among images; hidden files are left out, too."""

IGNORE_FILE: Final = ".imagerag-ignore"
"""Its lines are patterns as in `.gitignore`, of what is left out of its folder and of those below."""

_CLASSES: Final = {
    "[:alnum:]": "a-zA-Z0-9",
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:space:]": "\\s",
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9a-fA-F",
}
"""Character classes of git's patterns, which `pathspec` does not know."""


class ExcludedFiles:
    """Files and folders to exclude.

    Args:
        patterns: shell patterns. One without `/` is compared with every name on the way to a file (`drafts`, `*.gif`),
            one with `/` with the path below the folder that is indexed (`2019/raw/*`).

    Attributes:
        problems: ignore files and lines of them that cannot be read, so that they leave out nothing.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.problems: dict[Problem, None] = {}
        stripped = [pattern.strip().removeprefix("./").rstrip("/") for pattern in listed(patterns)]
        self._patterns = [pattern for pattern in stripped if pattern]

    def below(self, root: Path) -> Callable[[Path], bool]:
        """Whether a file or folder found below `root` is excluded."""
        ignored = IgnoreFiles(root, self.problems)

        def excluded(path: Path) -> bool:
            return _is_rubbish(path.name) or self._is_left_out(path, root) or ignored.match(path)

        return excluded

    def file(self, path: Path, roots: Sequence[Path]) -> bool:
        """Whether a file that the user named is excluded; only the user's patterns count."""
        below = [_below(path, root.absolute()) for root in roots if path.is_relative_to(root.absolute())]
        ways = _ways(below[0] if below else path.name)
        return any(self._matches(way.rsplit("/", 1)[-1], way) for way in ways)

    def member(self, name: str) -> bool:
        """Whether a member of an archive is left out, by its name."""
        return any(_is_rubbish(last := way.rsplit("/", 1)[-1]) or self._matches(last, way) for way in _ways(name))

    def _matches(self, name: str, way: str) -> bool:
        return any(fnmatchcase(way if "/" in pattern else name, pattern) for pattern in self._patterns)

    def _is_left_out(self, path: Path, root: Path) -> bool:
        return bool(self._patterns) and self._matches(path.name, _below(path, root))


class IgnoreFiles:
    """The ignore files of a folder and of those below it, each read once, as git reads its own: in each file the last
    pattern that matches decides, and a file further down decides over those above."""

    def __init__(self, root: Path, problems: dict[Problem, None]) -> None:
        self._root = root
        self._problems = problems
        self._read: dict[Path, Sequence[tuple[Path, Sequence[IgnorePattern]]]] = {}

    def match(self, path: Path) -> bool:
        """Whether a file or folder is ignored; the content of ignored folders is not checked."""
        for folder, patterns in self._above(path.parent):
            name, is_folder = _below(path, folder), path.is_dir()
            matches = (one for one in reversed(patterns) if one.matches(name, is_folder=is_folder))
            if decides := next(matches, None):
                return bool(decides.compiled.include)
        return False

    def _above(self, folder: Path) -> "Sequence[tuple[Path, Sequence[IgnorePattern]]]":
        """The folder and those above it that have patterns, with these."""
        if folder not in self._read:
            at_end = folder in (self._root, folder.parent)
            patterns = _ignore_file(folder / IGNORE_FILE, self._problems)
            above = () if at_end else self._above(folder.parent)
            self._read[folder] = (*([(folder, patterns)] if patterns else []), *above)
        return self._read[folder]


@dataclass(frozen=True)
class IgnorePattern:
    """A line of an ignore file."""

    line: str
    compiled: "RegexPattern"

    def matches(self, name: str, *, is_folder: bool) -> bool:
        """Whether the pattern matches a file or folder itself."""
        regex = self.compiled.regex
        if self.compiled.include is None or regex is None:
            return False
        # To `pathspec`, `a/**` matches `a/`: for git it is what lies in the folder, and not the folder itself.
        plain = not is_folder or self.line.rstrip().endswith("/**")
        path = name if plain else f"{name}/"
        # To `pathspec`, a pattern also matches what lies below a folder of that name, which its only group stands for:
        # for git `!*/` takes back folders, and no file in them.
        return any(match.lastindex is None or match.end() == len(path) for match in regex.finditer(path))


def _ignore_file(file: Path, problems: dict[Problem, None]) -> "list[IgnorePattern]":
    try:
        text = read_text(file)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        is_there = os.path.islink(file) or not isinstance(error, FileNotFoundError)
        # Of a folder that may not be entered, reading any name is refused.
        if is_there and file.name in _names(file.parent):
            problems[clean(str(file)), f"it leaves out nothing, as it cannot be read: {why}"] = None
        return []
    from pathspec import GitIgnoreSpec

    compiled = []
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        try:
            found = GitIgnoreSpec.from_lines([_with_ranges(line)]).patterns
        except (ValueError, re.error):
            problems[f"{clean(str(file))}, line {number}", "it leaves out nothing, as it is no pattern"] = None
            continue
        compiled += [IgnorePattern(line, one) for one in found]
    return compiled


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _with_ranges(line: str) -> str:
    for name, characters in _CLASSES.items():
        line = line.replace(name, characters)
    return line


def _is_rubbish(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_OUT


def _ways(path: str) -> list[str]:
    """A path, and every folder on the way to it."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
