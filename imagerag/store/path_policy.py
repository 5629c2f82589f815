"""Policy for the paths in a file: a manifest, a batch, a suite of prompts.

Such a file often comes from another person, and the files that it names are read, stored in a library and sent to
services. So files elsewhere on the machine are read only with the user's permission.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError

OUTSIDE: Final = "`allow_outside=True` reads it"


@dataclass(frozen=True)
class PathPolicy:
    """The files to which the paths in a file may lead.

    Attributes:
        folder: base folder of relative paths: that of the file.
        given: further files and folders named by the user.
        allow_outside: whether paths may lead to any file of the machine.
    """

    folder: Path
    given: Sequence[Path] = ()
    allow_outside: bool = False

    def allows(self, path: Path) -> bool:
        """Whether a path may be read, with links resolved. Forbidden paths are not accessed: they could be on a
        server."""
        if self.allow_outside:
            return True
        places = [self.folder, *self.given]
        try:
            near = [Path(form(place)) for place in places for form in (os.path.abspath, os.path.realpath)]
            if not any(Path(os.path.abspath(path)).is_relative_to(place) for place in near):
                return False
            real = Path(os.path.realpath(path))
            return any(real.is_relative_to(os.path.realpath(place)) for place in places)
        except (OSError, ValueError):
            return False

    def find(self, name: str | Path) -> Path:
        """Resolve the path of a file.

        Raises:
            UsageError: it lies outside of the allowed folders.
        """
        path = self.folder / Path(name).expanduser()
        if not self.allows(path):
            raise UsageError(f"{str(name)!r} is outside of {self.folder}: {OUTSIDE}")
        return path
