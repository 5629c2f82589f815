"""Sort the members of an archive: images, sidecars, and skipped ones.

Nothing is ever unpacked into a folder; a member whose name leads out of the archive is left out all the same, because
the name is shown and exported.
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock
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
from imagerag.store.library.sources.archive_manifests import ARCHIVED_MANIFESTS, archived_manifest
from imagerag.store.library.sources.members import Problem
from imagerag.store.library.sources.source_suffixes import COMPRESSED_TAR, TABLES, TAR, UNREAD, ZIP
from imagerag.store.text_files import LONGEST, clean, decoded

MAX_MEMBERS: Final = 1_000_000

_SOURCES: Final = (*ZIP, *TAR, *COMPRESSED_TAR, *TABLES, *UNREAD)
"""Endings of archives and tables, in which images may be."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")


_NESTED: Final = "an archive or a table in an archive is not read: take it out, and index it"


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
        manifests: by plain names.
    """

    images: dict[str, ArchiveEntry] = field(default_factory=dict)
    texts: dict[str, ArchiveEntry] = field(default_factory=dict)
    manifests: dict[str, ArchiveEntry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _by_manifest: dict[str, ImageMetadata] | None = None
    _lock: Lock = field(default_factory=Lock, repr=False)

    def sidecar_metadata(self, name: str, read_entry: Callable[[ArchiveEntry], bytes]) -> SidecarMetadata:
        """The metadata of an image in the archive: in its sidecars, then in the manifests."""
        notes = self._read_manifests(read_entry)
        near = self._of_sidecars(name, read_entry)
        described = (self._by_manifest or {}).get(name, ImageMetadata())
        return SidecarMetadata(near.description.or_else(described), (*near.problems, *notes))

    def _read_manifests(self, read_entry: Callable[[ArchiveEntry], bytes]) -> list[str]:
        """Read the manifests when the first image needs them; what is wrong with them is told with it."""
        notes: list[str] = []
        with self._lock:
            if self._by_manifest is None:
                self._by_manifest = {}
                for name in sorted(self.manifests):
                    try:
                        text = decoded(read_entry(self.manifests[name]))
                    except (OSError, ValueError) as error:
                        notes.append(f"{clean(name)} was left out: {error}")
                        continue
                    entries, problems = archived_manifest(name, text, self.images.keys())
                    self._by_manifest |= entries
                    notes += problems
        return notes

    def _of_sidecars(self, name: str, read_entry: Callable[[ArchiveEntry], bytes]) -> SidecarMetadata:
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
        if name and posixpath.basename(name) in ARCHIVED_MANIFESTS and not entry.refused and entry.size <= LONGEST:
            contents.manifests[name] = entry
        elif suffix in MEMBER_SUFFIXES:
            if name and not entry.refused and entry.size <= LONGEST:
                contents.texts[name_key(name)] = entry
        elif suffix in _SOURCES:
            contents.problems.append((clean(f"{archive}::{entry.name}"), _NESTED))
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
    if others:
        are = "members are no images, going by their names" if others > 1 else "member is no image, going by its name"
        contents.problems.append((archive, f"{others:,} {are}"))
    elif not contents.images and not contents.problems:
        contents.problems.append((archive, "there is no image in it"))
    return contents


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
