"""The image files that the paths of a manifest lead to."""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.path_policy import PathPolicy


@dataclass(frozen=True)
class ManifestPaths:
    """Folders in which the images of a manifest may lie; names are compared with their accents composed."""

    folders: Sequence[Path]
    policy: PathPolicy
    _listed: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    _by_stem: dict[Path, Mapping[str, str]] = field(default_factory=dict)

    def find(self, name: str) -> Path | None:
        """The file of that name, absolute; None where there is none that may be read."""
        try:
            files = (self._in(path) for path in self._paths(name) if self.policy.allows(path))
            return next((file for file in files if file is not None and self.policy.allows(file)), None)
        except (OSError, ValueError):  # a name too long, or with a NUL in it
            return None

    def is_outside(self, name: str) -> bool:
        """Whether a name leads nowhere where files may be read."""
        try:
            return not any(self.policy.allows(path) for path in self._paths(name))
        except (OSError, ValueError):
            return False

    def _paths(self, name: str) -> Iterator[Path]:
        for one in dict.fromkeys((name, name.replace("\\", "/"))):
            for folder in self.folders:
                yield Path(os.path.abspath(folder / Path(one).expanduser()))

    def _in(self, path: Path) -> Path | None:
        if path.is_file():
            return path
        at = Path(path.anchor)
        for part in path.parts[1:]:
            at = at / part if (at / part).exists() else at / self._names(at).get(_composed(part), part)
        if at.is_file():
            return at
        return path.parent / called if (called := self._stems(path.parent).get(_composed(path.name))) else None

    def _stems(self, folder: Path) -> Mapping[str, str]:
        """The images in a folder by their names without endings, as kohya's manifests have them."""
        if folder not in self._by_stem:
            names = (Path(name) for name in sorted(self._names(folder)))
            self._by_stem[folder] = {one.stem: one.name for one in names if one.suffix.lower() in IMAGE_SUFFIXES}
        return self._by_stem[folder]

    def _names(self, folder: Path) -> Mapping[str, str]:
        """The names in a folder, by their composed form."""
        if folder not in self._listed:
            try:
                self._listed[folder] = {_composed(name): name for name in os.listdir(folder)}
            except OSError:
                self._listed[folder] = {}
        return self._listed[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
