"""Sort the members of an archive: images, sidecars, and skipped ones.

Nothing is ever unpacked into a folder; a member whose name leads out of the archive is left out all the same, because
the name is shown and exported.
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.library.metadata.image_metadata import ImageMetadata
from imagerag.store.library.metadata.sidecars import (
    MEMBER_SUFFIXES,
    SidecarMetadata,
    member_names_of,
    name_key,
    read_all,
    sidecar_metadata,
)
from imagerag.store.library.sources.ignored_files import FOLDER_METADATA
from imagerag.store.library.sources.members import Problem
from imagerag.store.library.sources.source_suffixes import COMPRESSED_TAR, MANIFESTS, TAR, UNREAD, ZIP
from imagerag.store.text_files import LONGEST, clean, decoded

MAX_MEMBERS: Final = 1_000_000

MAX_TABLES: Final = 100
"""Tables of an archive that are read, in case they are manifests; each is read to its end."""

_SOURCES: Final = (*ZIP, *TAR, *COMPRESSED_TAR, *UNREAD)
"""Endings of archives."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")


NESTED: Final = "an archive or a table in an archive is not read: take it out, and index it"


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A member as the archive lists it.

    Attributes:
        position: offset in the archive.
        refused: reason for not reading it; empty for readable members.
    """

    name: str
    size: int
    position: int
    refused: str = ""


@dataclass
class ArchiveListing:
    """The members of an archive by kind.

    Attributes:
        images: by plain names.
        texts: possible sidecars, by normalised name.
        manifests: manifests under usual names, by plain names.
        tables: others that may be manifests, by plain names.
    """

    images: dict[str, ArchiveEntry] = field(default_factory=dict)
    texts: dict[str, ArchiveEntry] = field(default_factory=dict)
    manifests: dict[str, ArchiveEntry] = field(default_factory=dict)
    tables: dict[str, ArchiveEntry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def sidecar_metadata(self, name: str, read_entry: Callable[[ArchiveEntry], bytes]) -> SidecarMetadata:
        """The metadata in the sidecars of an image in the archive."""
        folder, _, base = name.rpartition("/")
        keys = dict.fromkeys(name_key(f"{folder}/{one}" if folder else one) for one in member_names_of(base))
        return read_all(
            (self.texts[key].name, self._reading(self.texts[key], read_entry)) for key in keys if key in self.texts
        )

    def _reading(self, entry: ArchiveEntry, read_entry: Callable[[ArchiveEntry], bytes]) -> Callable[[], ImageMetadata]:
        return lambda: sidecar_metadata(entry.name, decoded(read_entry(entry)))


def listing(archive: str, entries: Iterable[ArchiveEntry], excluded: Callable[[str], bool]) -> ArchiveListing:
    """Sort the entries of an archive.

    Args:
        archive: its path, for messages.
        excluded: whether a member is left out, by its name.
    """
    contents, others = ArchiveListing(), 0
    for count, entry in enumerate(entries):
        if count == MAX_MEMBERS:
            contents.problems.append((archive, f"only its first {MAX_MEMBERS:,} members are read"))
            break
        name, suffix = plain_member(entry.name), posixpath.splitext(entry.name)[1].lower()
        if name and excluded(name):
            continue
        if name and posixpath.basename(name) in FOLDER_METADATA:
            if why := entry.refused or _refused(name, entry.size):
                contents.problems.append((clean(f"{archive}::{entry.name}"), why))
            else:
                contents.manifests[name] = entry
        elif suffix in MANIFESTS and suffix not in MEMBER_SUFFIXES:
            if why := entry.refused or _refused(name, entry.size):
                contents.problems.append((clean(f"{archive}::{entry.name}"), why))
            elif name:
                contents.tables[name] = entry
        elif suffix in MEMBER_SUFFIXES:
            if name and not entry.refused and entry.size <= LONGEST:
                contents.texts[name_key(name)] = entry
                if suffix in MANIFESTS:
                    contents.tables[name] = entry
        elif suffix in _SOURCES:
            contents.problems.append((clean(f"{archive}::{entry.name}"), NESTED))
        elif suffix not in IMAGE_SUFFIXES:
            others += 1
        elif why := entry.refused or _refused(name, entry.size):
            contents.problems.append((clean(f"{archive}::{entry.name}"), why))
        else:
            assert name is not None, "what has no plain name was refused"
            if name in contents.images:
                label = clean(f"{archive}::{entry.name}")
                contents.problems.append((label, "a later member of the archive has the same name"))
            contents.images[name] = entry
    contents.tables = _without_sidecars(contents)
    if others:
        are = "members are no images, going by their names" if others > 1 else "member is no image, going by its name"
        contents.problems.append((archive, f"{others:,} {are}"))
    elif not contents.images and not contents.problems:
        contents.problems.append((archive, "there is no image in it"))
    return contents


def _without_sidecars(contents: ArchiveListing) -> dict[str, ArchiveEntry]:
    """The first tables that are no sidecars of images."""
    keys = {_key(name) for name in contents.images}
    tables = {name: entry for name, entry in contents.tables.items() if _key(name) not in keys}
    if any(name_key(name) in contents.texts for name in tables):  # Takeout's sidecars have further names
        beside = {name_key(posixpath.join(posixpath.dirname(image), one)) for image in contents.images
                  for one in member_names_of(posixpath.basename(image))}  # fmt: skip
        tables = {name: entry for name, entry in tables.items() if name_key(name) not in beside}
    return dict(islice(tables.items(), MAX_TABLES))


def _key(name: str) -> str:
    """The name up to the first dot, as in WebDataset's archives an image and its sidecars have it in common."""
    folder, base = posixpath.split(name)
    return name_key(posixpath.join(folder, base.partition(".")[0]))


def plain_member(name: str) -> str | None:
    """Normalise a member's name, without `.` and empty parts; None if it leads out of the archive or is empty."""
    if "\\" in name and "/" not in name:
        name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or _DRIVE.match(name) or ".." in parts or not parts or "\0" in name:
        return None
    return "/".join(parts)


def title_of(name: str) -> str:
    """The default title of a member."""
    return clean(posixpath.splitext(posixpath.basename(name))[0])


def _refused(name: str | None, size: int) -> str:
    if name is None:
        return "its name leads out of the archive"
    if size > MAX_BYTES:
        return f"it has {size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read"
    return "it is empty" if not size else ""
