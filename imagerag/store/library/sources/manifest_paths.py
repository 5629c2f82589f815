"""The image files that the paths of a manifest lead to."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.path_policy import PathPolicy

_FILE: Final = re.compile(r"file:(?://(?:localhost)?)?(?=/)", re.IGNORECASE)
"""The beginning of the address of a file on this machine."""


@dataclass(frozen=True)
class ManifestPaths:
    """Folders in which the images of a manifest may lie. Names are compared with their accents composed; for one that
    is not there the only one counts that differs in upper and lower case alone."""

    folders: Sequence[Path]
    policy: PathPolicy
    _listed: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    _folded: dict[Path, Mapping[str, Sequence[str]]] = field(default_factory=dict)
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
        plain = unquote(_FILE.sub("", name))
        for one in (plain,) if _FILE.match(name) else dict.fromkeys((name, name.replace("\\", "/"), plain)):
            for folder in self.folders:
                yield Path(os.path.abspath(folder / Path(one).expanduser()))

    def _in(self, path: Path) -> Path | None:
        if path.is_file():
            return path
        at = Path(path.anchor)
        for part in path.parts[1:]:
            at = at / (part if (at / part).exists() else self._called(part, at))
        if at.is_file():
            return at
        return path.parent / called if (called := self._stems(path.parent).get(_composed(path.name))) else None

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
