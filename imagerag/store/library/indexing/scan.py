"""Find the files to index, by names and times, without opening them."""

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import check_file_size
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.library.indexing.folder_walk import FolderWalk, KnownFolders, identity, is_below
from imagerag.store.library.indexing.known_links import links_of, target_of
from imagerag.store.library.linked_files import linked_bytes
from imagerag.store.library.locations import path_text, split_member
from imagerag.store.library.metadata.image_metadata import ImageMetadata
from imagerag.store.library.metadata.sidecars import SidecarMetadata, Sidecars
from imagerag.store.library.schema import FileEntry, int64
from imagerag.store.library.sources.exported_table import ExportedRow, ExportedTable, LinkedRow
from imagerag.store.library.sources.file_selection import ExcludedFiles
from imagerag.store.library.sources.finding import find_sources
from imagerag.store.library.sources.ignored_files import FOLDER_METADATA, is_companion
from imagerag.store.library.sources.image_table import ImageTable
from imagerag.store.library.sources.manifest import Manifest, Manifests, read_beside, read_manifests, split_manifests
from imagerag.store.library.sources.members import Member, Source
from imagerag.store.library.sources.path_patterns import NamedPaths, address_hint, expand
from imagerag.store.library.sources.raw_pairs import RAW_FILE, paired_raws
from imagerag.store.library.sources.text_table import TextTable, holds_images
from imagerag.store.text_files import clean


@dataclass(frozen=True)
class Scan:
    """The images to index, with their manifests and sidecars.

    Attributes:
        files: absolute paths, each once and in a stable order, including images in archives and tables.
        listed: the manifests.
        beside: manifests found in the folders of their images.
        sidecars: finds and reads sidecars.
        raws: developed file → camera RAW beside it, which is left out.
        members: images in archives and tables, by their paths.
        sources: archives and tables that were listed to the end.
        named: the given folders, files and patterns.
        unread: folders whose content could not be listed.
        other_names: names by which the library knows folders that were visited under another name → the names under
            which their files were found.
        known_links: links to folders and files, by what they lead to or led to when they were indexed.
        problems: (path, reason) of what is left out, apart from files that turn out to be no images.
    """

    files: Sequence[Path]
    listed: Manifest = field(default_factory=Manifest)
    beside: Manifest = field(default_factory=Manifest)
    sidecars: Sidecars = field(default_factory=Sidecars)
    raws: Mapping[Path, Path] = field(default_factory=dict)
    members: Mapping[Path, Member] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    named: NamedPaths = field(default_factory=lambda: NamedPaths(()))
    unread: Sequence[Path] = ()
    other_names: Mapping[str, str] = field(default_factory=dict)
    known_links: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[tuple[str, str]] = ()

    def entry(self, path: Path) -> FileEntry:
        """The file entry of an image.

        Raises:
            OSError: the file's status cannot be read.
        """
        member = self.members.get(path)
        return member.entry if member else entry_of(path, path.stat())

    def links(self, path: Path) -> bool:
        """Whether an image's bytes can be read again in place; otherwise the library stores a copy."""
        member = self.members.get(path)
        return member is None or member.source.linked

    def read(self, path: Path) -> tuple[FileEntry, bytes]:
        """Read an image; returns its entry and bytes.

        Raises:
            OSError: it cannot be read.
            ValueError: it changed since the listing, is too large, or is no file.
        """
        member = self.members.get(path)
        if isinstance(member, LinkedRow):
            content = linked_bytes(member.digest, member.file)
            if isinstance(content, str):
                raise ValueError(f"it {content} since it was exported")
            return member.entry, content
        if member:
            return member.entry, member.source.read(member)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe could block forever
            raise ValueError("it is not a regular file")
        check_file_size(path, status.st_size)
        data = path.read_bytes()
        return replace(entry_of(path, status), size=len(data)), data

    def title(self, path: Path) -> str:
        """The fallback title of an image."""
        member = self.members.get(path)
        return member.title if member else clean(path.stem)

    def covers(self, path: str) -> bool:
        """Whether a known image lies below the given paths."""
        file = split_member(path)[0]
        return self._names(file) or self._link_target(file) is not None

    def place(self, path: str) -> str:
        """The file of a known image, or where it was found by a link that is gone."""
        file = split_member(path)[0]
        return file if self._names(file) else self._link_target(file) or file

    def _names(self, file: str) -> bool:
        return self.named.covers(file) or self.named.matches(file) or os.path.dirname(file) in self.other_names

    def _link_target(self, file: str) -> str | None:
        """Where a file was found by a link, if that is below the given paths and no longer there."""
        target = target_of(file, self.known_links)
        is_gone = target is not None and self._named_targets.covers(target) and not os.path.lexists(target)
        return target if is_gone else None

    @cached_property
    def _named_targets(self) -> NamedPaths:
        return NamedPaths([Path(os.path.realpath(path)) for path in self.named.paths])

    def found_path(self, path: str) -> str:
        """The path under which a known file was found, if its folder was found under another name."""
        folder = os.path.dirname(split_member(path)[0]) if self.other_names else ""
        name = self.other_names.get(folder)
        return name + path[len(folder) :] if name and path.startswith(folder) else path

    def described(self, path: Path) -> str:
        """The identity of an image's sidecars and manifest; while it is unchanged, they need not be read again."""
        if member := self.members.get(path):
            parts = [member.described]
        else:
            parts = [f"{one.name}/{_stamp(one)}" for one in sorted(self.sidecars.beside([path]))]
        descriptions = (self.listed.entries.get(path), self.beside.entries.get(path), self.sidecars.concept(path))
        parts += [repr(one) for one in descriptions if one]
        if raw := self.raws.get(path):
            parts.append(str(raw))
        return sha256("\n".join(parts).encode(errors="replace")).hexdigest()[:32] if parts else ""

    def sidecar_metadata_of(self, path: Path) -> SidecarMetadata:
        """The metadata of an image from the manifests, the sidecars and the folder's own manifest, in this order."""
        member = self.members.get(path)
        near = member.source.sidecar_metadata(member) if member else self.sidecars.of(path)
        description = self.listed.entries.get(path, ImageMetadata()).or_else(near.description)
        description = description.or_else(self.beside.entries.get(path, ImageMetadata())).or_else(
            self.sidecars.concept(path)
        )
        return SidecarMetadata(description, near.problems, near.oversized)

    def is_row(self, path: Path) -> bool:
        """Whether an image is a row of a table."""
        member = self.members.get(path)
        return member is not None and isinstance(member.source, ImageTable | TextTable)

    def may_be(self, path: Path, digest: str) -> bool:
        """Whether nothing says that a file is another image than this one, as a row of an export may."""
        member = self.members.get(path)
        return not isinstance(member, LinkedRow) or member.digest == digest

    def exported(self, path: Path) -> ExportedRow | None:
        """The data of an image in an export besides its texts; None where there is none."""
        member = self.members.get(path)
        return member.source.exported(member) if member and isinstance(member.source, ExportedTable) else None

    @property
    def exports(self) -> list[ExportedTable]:
        """The exports of libraries that images come from, those of linked images too."""
        sources = dict.fromkeys(member.source for member in self.members.values())
        return [one for one in sources if isinstance(one, ExportedTable)]

    def raw_of(self, path: Path) -> ImageMetadata:
        """The RAW file from which an image was developed, as metadata."""
        raw = self.raws.get(path)
        return ImageMetadata(metadata={RAW_FILE: clean(str(raw))} if raw else None)


def changed_since(path: Path, entry: FileEntry) -> bool:
    """Whether a file certainly changed since it was read. The inode is ignored, as some file systems make inodes up."""
    try:
        status = path.stat()
    except OSError:
        return True
    return int64(status.st_mtime_ns) != entry.mtime_ns or status.st_size not in (0, entry.size)


def entry_of(path: Path, status: os.stat_result) -> FileEntry:
    """The file entry of a file."""
    return FileEntry.of(path_text(path), status)


def scan(
    paths: Sequence[Path],
    manifest: Manifests,
    excluded: ExcludedFiles,
    *,
    allow_outside: bool,
    prune: bool = False,
    known_paths: Collection[str] = (),
    known_links: Mapping[str, str] | None = None,
    links_within: Sequence[Path] | None = None,
    home: Path | None = None,
) -> Scan:
    """Find all images to index.

    Args:
        prune: a missing path is no error: images indexed below it are removed.
        known_paths: paths known to the library, for the message about a missing one.
        known_links: what links led to when they were indexed.
        links_within: folders, without links in their paths, that links found below `paths` may lead into; None is
            anywhere.
        home: the data folder of imagerag, which is passed over.

    Raises:
        UsageError: a path or a manifest does not exist, or a manifest cannot be read.
    """
    manifests, tables = split_manifests(manifest)
    known_folders = KnownFolders(known_paths)
    named_paths = expand(paths, may_be_gone=prune)
    named_paths = replace(named_paths, paths=[known_folders.known_path(path) for path in named_paths.paths])
    manifests += [path for path in named_paths.paths if path not in manifests and holds_images(path)]
    there = [path for path in (*named_paths.paths, *tables) if _exists(path, prune, known_paths)]
    for path in there:
        if path in paths and path.exists() and not path.is_dir() and not path.is_file():
            raise UsageError(f"{path} is a device, a pipe or a socket: name image files, folders, archives or tables")
    roots = [path for path in there if path.is_dir()]
    listed = read_manifests(manifests, roots, named_paths=there, allow_outside=allow_outside)
    files: dict[Path, None] = {}
    files.update(dict.fromkeys(path for path in sorted(listed.entries) if not excluded.file(path, roots)))
    walk = FolderWalk(links_within, home=identity(home) if home else None)
    for path in (Path(os.path.abspath(path)) for path in there):
        found = walk.files(path, excluded.below(path)) if path.is_dir() else [path]
        files.update(dict.fromkeys(map(known_folders.known_path, found)))
    for file in manifests:
        files.pop(Path(os.path.abspath(file)), None)
    files.update(dict.fromkeys(listed.images))
    explicit_paths = [Path(os.path.abspath(path)) for path in (*named_paths.paths, *tables, *listed.images)]
    keep = {*listed.entries, *explicit_paths}
    near = (path for path in files if path.name in FOLDER_METADATA and path not in keep)
    beside = read_beside(near, there, allow_outside=allow_outside)
    files = {path: None for path in files if path not in beside.files}
    files = {path: None for path in files if path in keep or not is_companion(path, files)}
    sources = find_sources(files, keep, excluded, listed.images)
    beside = beside.overridden_by(sources.beside)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    raws = {raw: developed for raw, developed in paired_raws(images).items() if raw not in keep}
    sidecars = Sidecars(there, allow_outside)
    dropped = {*sidecars.beside(images), *raws} - listed.entries.keys()
    return Scan(
        files=list(sources.images(path for path in files if path not in dropped)),
        listed=listed,
        beside=beside,
        sidecars=sidecars,
        raws={developed: raw for raw, developed in raws.items()},
        members=sources.members,
        sources=sources.whole,
        named=NamedPaths(explicit_paths, named_paths.patterns),
        unread=walk.unread,
        other_names=known_folders.other_names(walk.visited),
        known_links={**(known_links or {}), **links_of([*explicit_paths, *walk.links])},
        problems=[
            *named_paths.problems,
            *listed.problems,
            *beside.problems,
            *sources.problems,
            *walk.problems,
            *excluded.problems,
        ],
    )


def _exists(path: Path, prune: bool, known_paths: Collection[str]) -> bool:
    try:
        there = path.exists()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not there and not prune:
        here = Path(os.path.abspath(path))
        if any(is_below(split_member(one)[0], here) for one in known_paths):
            raise UsageError(
                f"there is no file or folder {path}; nothing was taken out.\n"
                "If it was moved, index the folder where it is now. If it is gone, index it\n"
                "with `prune=True`, and what was indexed below it is taken out"
            )
        raise UsageError(f"there is no file or folder {path}{address_hint(str(path))}")
    return there


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "?"
    return f"{status.st_size}/{status.st_mtime_ns}/{status.st_ino}" if stat.S_ISREG(status.st_mode) else "?"
