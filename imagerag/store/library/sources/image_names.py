"""Files by the names that manifests give them, in folders and in archives alike."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagerag.agent.images.formats import IMAGE_SUFFIXES


@dataclass(frozen=True)
class ImageNames:
    """Names are compared with their accents composed; for one that is not there the only one counts that differs in
    upper and lower case alone, and then the image of that name without its ending, as kohya's manifests have it.

    Attributes:
        names_in: the names in a folder; none where it cannot be listed.
        is_there: whether something has exactly this path: quicker than to list its folder.
        is_file: whether it is a file.
    """

    names_in: Callable[[Path], Iterable[str]]
    is_there: Callable[[Path], bool]
    is_file: Callable[[Path], bool]
    _listed: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    _folded: dict[Path, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    _by_stem: dict[Path, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of_members(cls, names: Iterable[str]) -> "ImageNames":
        """The files of an archive, by relative paths."""
        files, folders = {Path(name) for name in names}, dict[Path, dict[str, None]]()
        for file in files:
            for path in (file, *file.parents):
                folders.setdefault(path.parent, {})[path.name] = None
        return cls(
            lambda folder: folders.get(folder, ()), lambda path: path in files or path in folders, files.__contains__
        )

    def find(self, path: Path) -> Path | None:
        """The file that a path stands for; None where there is none."""
        if self.is_file(path):
            return path
        found = Path(path.anchor)
        for part in path.parts[bool(path.anchor) :]:
            found /= part if self.is_there(found / part) else self._called(part, found)
        if self.is_file(found):
            return found
        called = self._stems(found.parent).get(_composed(path.name))
        return found.parent / called if called else None

    def _called(self, name: str, folder: Path) -> str:
        """The name in a folder that another form of it stands for; the name itself where there is none."""
        names = self._names(folder)
        if found := names.get(_composed(name)):
            return found
        alike = self._by_case(folder).get(_composed(name).casefold(), ())
        return alike[0] if len(alike) == 1 else name

    def _by_case(self, folder: Path) -> Mapping[str, Sequence[str]]:
        """The names in a folder by their lower case."""
        if folder not in self._folded:
            folded: dict[str, list[str]] = {}
            for composed, name in self._names(folder).items():
                folded.setdefault(composed.casefold(), []).append(name)
            self._folded[folder] = folded
        return self._folded[folder]

    def _stems(self, folder: Path) -> Mapping[str, str]:
        """The images in a folder by their names without endings."""
        if folder not in self._by_stem:
            names = {composed: Path(name) for composed, name in sorted(self._names(folder).items())}
            self._by_stem[folder] = {
                Path(composed).stem: one.name for composed, one in names.items() if one.suffix.lower() in IMAGE_SUFFIXES
            }
        return self._by_stem[folder]

    def _names(self, folder: Path) -> Mapping[str, str]:
        """The names in a folder, by their composed form."""
        if folder not in self._listed:
            self._listed[folder] = {_composed(name): name for name in self.names_in(folder)}
        return self._listed[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
