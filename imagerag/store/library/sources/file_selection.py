"""Exclusion of files: thumbnails of file servers, trash folders, and user patterns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.store.text_files import listed, read_text

if TYPE_CHECKING:
    from pathspec.pattern import Pattern

LEFT_OUT: Final = frozenset(
    ("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "@__thumb", "@tmp", "__macosx", "__pycache__",
     "$recycle.bin", "system volume information", "lost+found", "node_modules", "thumbs.db", "ehthumbs.db",
     "desktop.ini", "icon\r")
)  # fmt: skip
"""Names, in lower case, of what systems and programs leave among images; hidden files are left out, too."""

IGNORE_FILE: Final = ".imagerag-ignore"
"""Its lines are patterns as in `.gitignore`, of what is left out of its folder and of those below."""


class ExcludedFiles:
    """Files and folders to exclude.

    Args:
        patterns: shell patterns. One without `/` is compared with every name on the way to a file (`drafts`, `*.gif`),
            one with `/` with the path below the folder that is indexed (`2019/raw/*`).
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        stripped = [pattern.strip().removeprefix("./").rstrip("/") for pattern in listed(patterns)]
        self._patterns = [pattern for pattern in stripped if pattern]

    def below(self, root: Path) -> Callable[[Path], bool]:
        """Whether a file or folder found below `root` is excluded."""
        ignored = IgnoreFiles(root)

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

    def __init__(self, root: Path) -> None:
        self._root = root
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
            patterns = _ignore_file(folder / IGNORE_FILE)
            above = () if at_end else self._above(folder.parent)
            self._read[folder] = (*([(folder, patterns)] if patterns else []), *above)
        return self._read[folder]


@dataclass(frozen=True)
class IgnorePattern:
    """A line of an ignore file."""

    line: str
    compiled: "Pattern"

    def matches(self, name: str, *, is_folder: bool) -> bool:
        """Whether the pattern matches a file or folder."""
        # To `pathspec`, `a/**` matches `a/`: for git it is what lies in the folder, and not the folder itself.
        plain = not is_folder or self.line.rstrip().endswith("/**")
        return self.compiled.include is not None and bool(self.compiled.match_file(name if plain else f"{name}/"))


def _ignore_file(file: Path) -> "list[IgnorePattern]":
    try:
        lines = [line for line in read_text(file).splitlines() if line.strip()]
    except (OSError, ValueError):  # missing, or not readable as patterns
        return []
    from pathspec import GitIgnoreSpec

    compiled = (GitIgnoreSpec.from_lines([line]).patterns for line in lines)
    return [IgnorePattern(line, one) for line, patterns in zip(lines, compiled, strict=True) for one in patterns]


def _is_rubbish(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_OUT


def _ways(path: str) -> list[str]:
    """A path, and every folder on the way to it."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
