"""Which files there are to index, and what their names and times say without opening them."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.library.file_selection import ExcludedFiles
from imagerag.store.library.image_metadata import ImageMetadata, clean
from imagerag.store.library.linked_files import path_text
from imagerag.store.library.manifest import Manifest, read_manifest
from imagerag.store.library.raw_pairs import RAW_FILE, paired_raws
from imagerag.store.library.schema import FileEntry
from imagerag.store.library.sidecars import SidecarMetadata, Sidecars


@dataclass(frozen=True)
class Scan:
    """The files to look at, and what is said of them elsewhere.

    Attributes:
        files: absolute, each once and always in the same order.
        listed: the manifest.
        sidecars: finds and reads sidecars.
        raws: camera RAWs that are left out, by the developed file beside them.
        roots: the folders that were walked, and the files that were named; absolute.
        unread: folders whose content could not be listed.
    """

    files: Sequence[Path]
    listed: Manifest = field(default_factory=Manifest)
    sidecars: Sidecars = field(default_factory=Sidecars)
    raws: Mapping[Path, Path] = field(default_factory=dict)
    roots: Sequence[Path] = ()
    unread: Sequence[Path] = ()

    def described(self, path: Path) -> str:
        """What the sidecars and the manifest of an image are: as long as it stays, they need not be read again."""
        parts = [f"{one.name}/{_stamp(one)}" for one in sorted(self.sidecars.beside([path]))]
        if said := self.listed.entries.get(path):
            parts.append(repr(said))
        if raw := self.raws.get(path):
            parts.append(str(raw))
        return sha256("\n".join(parts).encode(errors="replace")).hexdigest()[:32] if parts else ""

    def said_of(self, path: Path) -> SidecarMetadata:
        """What the manifest and the sidecars say of an image, the manifest first."""
        beside = self.sidecars.of(path)
        said = self.listed.entries.get(path, ImageMetadata()).or_else(beside.description)
        return SidecarMetadata(said, beside.problems)

    def raw_of(self, path: Path) -> ImageMetadata:
        """The RAW that an image was developed from, as metadata."""
        raw = self.raws.get(path)
        return ImageMetadata(metadata={RAW_FILE: clean(str(raw))} if raw else None)


def entry_of(path: Path, status: os.stat_result) -> FileEntry:
    """A file as a library notes it."""
    return FileEntry(path_text(path), status.st_size, status.st_mtime_ns, status.st_ino)


def scan(
    paths: Sequence[Path],
    manifest: str | os.PathLike[str] | None,
    excluded: ExcludedFiles,
    *,
    allow_outside: bool,
    prune: bool = False,
) -> Scan:
    """Find every file to look at.

    Args:
        prune: a path that is not there is no mistake: what was indexed below it is to be taken out.

    Raises:
        UsageError: a path or the manifest does not exist.
    """
    there = [path for path in paths if _exists(path, prune)]
    roots = [path for path in there if path.is_dir()]
    listed = Manifest()
    files: dict[Path, None] = {}
    if manifest is not None:
        listed = read_manifest(Path(manifest), roots, given=there, allow_outside=allow_outside)
        files.update(dict.fromkeys(path for path in sorted(listed.entries) if not excluded.file(path, roots)))
    walked: set[tuple[int, int]] = set()
    unread: list[Path] = []
    for path in there:
        found = _walk(path, walked, excluded.below(path), unread) if path.is_dir() else [path]
        files.update(dict.fromkeys(Path(os.path.abspath(each)) for each in found))
    if manifest is not None:
        files.pop(Path(os.path.abspath(manifest)), None)
    beside = Sidecars().beside(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
    given = [Path(os.path.abspath(path)) for path in paths]
    named = {*listed.entries, *given}
    raws = {raw: developed for raw, developed in paired_raws(files).items() if raw not in named}
    return Scan(
        files=[path for path in files if path in listed.entries or not (path in beside or path in raws)],
        listed=listed,
        sidecars=Sidecars(paths, allow_outside),
        raws={developed: raw for raw, developed in raws.items()},
        roots=given,
        unread=[Path(os.path.abspath(path)) for path in unread],
    )


def _exists(path: Path, prune: bool) -> bool:
    try:
        there = path.exists()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not there and not prune:
        raise UsageError(f"there is no file or folder {path}; with --prune, what was indexed below it is taken out")
    return there


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "?"
    return f"{status.st_size}/{status.st_mtime_ns}/{status.st_ino}" if stat.S_ISREG(status.st_mode) else "?"


def _walk(
    folder: Path, walked: set[tuple[int, int]], excluded: Callable[[Path], bool], unread: list[Path]
) -> Iterator[Path]:
    """Files below a folder, sorted by name, without those that are excluded. Links are followed, but no folder is
    walked twice."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not _is_folder(path):
            yield path
            continue
        try:
            status = path.stat()
            entries = sorted(path.iterdir()) if (status.st_dev, status.st_ino) not in walked else []
        except OSError:
            unread.append(path)
            yield path  # to be listed as what could not be read
            continue
        walked.add((status.st_dev, status.st_ino))
        waiting += reversed([entry for entry in entries if not excluded(entry)])


def _is_folder(path: Path) -> bool:
    """Whether it is one; of what may not be looked at, reading it will say why."""
    try:
        return path.is_dir()
    except OSError:
        return False
