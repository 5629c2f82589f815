"""A source of images, and one image in it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagerag.store.library.locations import member_path, path_text
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.schema import FileEntry

Problem = tuple[str, str]
"""A file, a member or a row, and why it is left out."""


class Source(Protocol):
    """An archive or a table."""

    @property
    def path(self) -> Path:
        """Absolute."""

    @property
    def status(self) -> os.stat_result:
        """Of the file when it was listed."""

    @property
    def linked(self) -> bool:
        """Whether a member's bytes can be read again cheaply; they are copied into the library otherwise."""

    @property
    def whole(self) -> bool:
        """Whether it was listed to its end."""

    @property
    def members(self) -> Sequence["Member"]:
        """The images in it."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What is left out of it."""

    @property
    def columns(self) -> Mapping[str, str]:
        """What each column of a table is read as."""

    def read(self, member: "Member") -> bytes:
        """The bytes of an image.

        Raises:
            OSError: the file cannot be read.
            ValueError: what it holds is no longer what was listed, or damaged.
        """

    def said(self, member: "Member") -> SidecarMetadata:
        """What the source says of an image."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """An image in a source.

    Attributes:
        name: in the archive; of a row, its number.
        title: what it is called where nothing gives it a title.
        size: in bytes; 0 where it shows only when it is read.
        position: where it begins in the archive; a row's number.
    """

    source: Source
    name: str
    title: str
    size: int
    position: int

    @property
    def path(self) -> Path:
        """The path under which a library knows it."""
        return member_path(self.source.path, self.name)

    @property
    def entry(self) -> FileEntry:
        """Itself as a library notes it: as long as nothing of this changes, it is not read again."""
        where = self.position if self.source.linked else self.source.status.st_ino
        return FileEntry(path_text(self.path), self.size, self.source.status.st_mtime_ns, where)

    @property
    def described(self) -> str:
        """What the source is that says something of it."""
        return f"{self.source.status.st_size}/{self.source.status.st_mtime_ns}"
