"""The image files that the paths of a manifest lead to."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from imagerag.store.library.sources.image_names import ImageNames
from imagerag.store.path_policy import PathPolicy

_FILE: Final = re.compile(r"file:(?://(?:localhost)?)?(?=/)", re.IGNORECASE)
"""The beginning of the address of a file on this machine."""


@dataclass(frozen=True)
class ManifestPaths:
    """Folders in which the images of a manifest may lie. Names are compared as `ImageNames` says."""

    folders: Sequence[Path]
    policy: PathPolicy
    _files: ImageNames = field(default_factory=lambda: ImageNames(_names_in, Path.exists, Path.is_file))

    def find(self, name: str) -> Path | None:
        """The file of that name, absolute; None where there is none that may be read."""
        try:
            files = (self._files.find(path) for path in self._paths(name) if self.policy.allows(path))
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


def _names_in(folder: Path) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return ()
