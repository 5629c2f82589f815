"""Which files a file may name: a manifest, a batch, a suite of prompts.

Such a file is often somebody else's, and what it names is read, kept in a library and sent to services. So what lies
elsewhere on the machine is read only when the user says so.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError

OUTSIDE: Final = "--allow-outside (in Python: allow_outside=True) reads it"


@dataclass(frozen=True)
class PathPolicy:
    """The files that a file may name.

    Attributes:
        folder: where names are relative to: the file's own.
        given: further files and folders that the user named himself.
        allow_outside: whether any file of the machine may be named.
    """

    folder: Path
    given: Sequence[Path] = ()
    allow_outside: bool = False

    def allows(self, path: Path) -> bool:
        """Whether a path may be read, links followed. One that may not be is not touched: it could be on a server."""
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
        """The path of a file as it is named.

        Raises:
            UsageError: it lies elsewhere.
        """
        path = self.folder / Path(name).expanduser()
        if not self.allows(path):
            raise UsageError(f"{str(name)!r} is outside of {self.folder}: {OUTSIDE}")
        return path
