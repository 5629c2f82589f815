"""Which files of a folder are nobody's pictures: thumbnails of file servers, rubbish bins, what was to be left out."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

LEFT_OUT: Final = frozenset(
    ("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "__macosx", "__pycache__", "$recycle.bin",
     "system volume information", "lost+found", "node_modules", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
)  # fmt: skip
"""Names, in lower case, of what systems and programs leave among pictures; hidden files are left out, too."""


class ExcludedFiles:
    """What is left out of folders.

    Args:
        patterns: shell patterns. One without `/` is compared with every name on the way to a file (`drafts`, `*.gif`),
            one with `/` with the path below the folder that is indexed (`2019/raw/*`).
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        stripped = [pattern.strip().removeprefix("./").rstrip("/") for pattern in patterns]
        self._patterns = [pattern for pattern in stripped if pattern]

    def below(self, root: Path) -> Callable[[Path], bool]:
        """For a walk from `root`: whether a file or folder that was reached is left out."""

        def excluded(path: Path) -> bool:
            return _is_rubbish(path.name) or self._matches(path.name, _below(path, root))

        return excluded

    def file(self, path: Path, roots: Sequence[Path]) -> bool:
        """Whether a file that somebody named is left out all the same: only what was asked for counts here."""
        below = [_below(path, root.absolute()) for root in roots if path.is_relative_to(root.absolute())]
        parts = below[0].split("/") if below else [path.name]
        ways = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return any(self._matches(way.rsplit("/", 1)[-1], way) for way in ways)

    def _matches(self, name: str, way: str) -> bool:
        return any(fnmatchcase(way if "/" in pattern else name, pattern) for pattern in self._patterns)


def _is_rubbish(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_OUT


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
