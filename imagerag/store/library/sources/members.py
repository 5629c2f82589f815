"""A source of images, and one image in it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagerag.store.library.locations import member_path, path_text
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.schema import FileEntry, int64

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
        """Whether it was listed to the end."""

    @property
    def members(self) -> Sequence["Member"]:
        """The images in it."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Skipped members, with reasons."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The use of each column of a table."""

    def read(self, member: "Member") -> bytes:
        """The bytes of an image.

        Raises:
            OSError: the file cannot be read.
            ValueError: what it holds is no longer what was listed, or damaged.
        """

    def sidecar_metadata(self, member: "Member") -> SidecarMetadata:
        """The metadata of an image in the source."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """An image in a source.

    Attributes:
        name: in the archive; of a row, its number.
        title: default title.
        size: size in bytes; 0 if it is unknown before reading.
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
        """Its file entry in a library: while it is unchanged, the member is not read again."""
        where = self.position if self.source.linked else int64(self.source.status.st_ino)
        return FileEntry(path_text(self.path), self.size, int64(self.source.status.st_mtime_ns), where)

    @property
    def described(self) -> str:
        """The identity of the source, as the origin of its metadata."""
        return f"{self.source.status.st_size}/{self.source.status.st_mtime_ns}"
