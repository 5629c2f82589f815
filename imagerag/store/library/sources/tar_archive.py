"""Images in tar archives: of plain ones read where they lie, of compressed ones in passing."""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.store.library.metadata.sidecars import MEMBER_SUFFIXES, SidecarMetadata
from imagerag.store.library.sources.archive_listing import ArchiveEntry, ArchiveListing, listing, title_of
from imagerag.store.library.sources.forward_reader import ForwardReader
from imagerag.store.library.sources.members import Member
from imagerag.store.library.sources.source_suffixes import MANIFESTS

MAX_TEXTS: Final = 256 * 2**20
"""Bytes of all sidecars of a compressed archive, which are kept while it is indexed."""

MAX_RATIO: Final = 100
"""How many times its size a compressed archive may unpack to, and `_SLACK` more: images hardly shrink."""

_SLACK: Final = 64 * 2**20
_COMPRESSED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_DAMAGED: Final = (tarfile.TarError, EOFError, ValueError)


class TarArchive:
    """A plain tar archive as a source of images; WebDataset's shards are such."""

    linked = True
    columns: Mapping[str, str] = {}

    def __init__(self, path: Path, excluded: Callable[[str], bool]) -> None:
        """List an archive.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no tar archive.
        """
        self.path, self.status = path, path.stat()
        damage: list[str] = []
        self._listing: ArchiveListing = self._listed(excluded, damage)
        self.problems = [*self._listing.problems, *((str(path), why) for why in damage)]
        self.manifests, self.tables = self._listing.manifests, self._listing.tables
        self.whole = not damage

    def _listed(self, excluded: Callable[[str], bool], damage: list[str]) -> ArchiveListing:
        with _Capped(self.path) as file, _open_tar(fileobj=file, mode="r:") as opened:
            contents = listing(str(self.path), (_entry(one) for one in _infos(opened, damage)), excluded)
            end = file.seek(0, io.SEEK_END)
        for name, entry in list(contents.images.items()):
            if entry.position + entry.size > end:
                del contents.images[name]
                damage.append(f"it ends within {name}")
        return contents

    @cached_property
    def members(self) -> list[Member]:
        """The images in it, as they follow each other."""
        return [
            Member(self, name, title_of(name), entry.size, entry.position)
            for name, entry in sorted(self._listing.images.items(), key=lambda one: one[1].position)
        ]

    def read(self, member: Member) -> bytes:
        """The bytes of a member. Raises as `Source.read`."""
        return read_member(self.path, member.position, member.size)

    def sidecar_metadata(self, member: Member) -> SidecarMetadata:
        """The metadata in the sidecars of a member."""
        return self._listing.sidecar_metadata(member.name, self.read_entry)

    def read_entry(self, entry: ArchiveEntry) -> bytes:
        """The bytes of a sidecar or a manifest. Raises as `Source.read`."""
        return read_member(self.path, entry.position, entry.size)


class CompressedTar(TarArchive):
    """A compressed tar archive: read from its beginning, so that its images are copied into the library.

    A member's position is its number.
    """

    linked = False

    def _listed(self, excluded: Callable[[str], bool], damage: list[str]) -> ArchiveListing:
        self._texts: dict[int, bytes] = {}
        self._reader = ForwardReader(self._images)
        with _Bounded(self.path) as file, _open_tar(fileobj=file, mode="r|") as opened:
            return listing(str(self.path), self._entries(opened, damage), excluded)

    def _entries(self, opened: tarfile.TarFile, damage: list[str]) -> Iterator[ArchiveEntry]:
        room = MAX_TEXTS
        for number, one in enumerate(_infos(opened, damage)):
            is_text = one.name.lower().endswith((*MEMBER_SUFFIXES, *MANIFESTS))
            if is_text and one.isfile() and one.size <= room:
                room -= one.size
                self._texts[number] = _content(opened, one)
            entry = _entry(one)
            yield ArchiveEntry(entry.name, entry.size, number, entry.refused)

    def _images(self, start: int) -> Iterator[tuple[int, int, bytes]]:
        """Every member that may be an image, from the first: the archive can be entered nowhere else."""
        positions = {entry.position for entry in self._listing.images.values()}
        with _Bounded(self.path) as file, _open_tar(fileobj=file, mode="r|") as opened:
            for number, one in enumerate(_infos(opened, [])):
                if number in positions and one.isfile() and one.size <= MAX_BYTES:
                    yield number, one.size, _content(opened, one)

    def read(self, member: Member) -> bytes:
        """The bytes of a member. Raises as `Source.read`."""
        try:
            return self._reader.get(member.position)
        except tarfile.TarError as error:
            raise ValueError(str(error)) from None

    def read_entry(self, entry: ArchiveEntry) -> bytes:
        """As `TarArchive.read_entry`; the bytes were kept when it was listed."""
        if entry.position not in self._texts:
            raise ValueError(f"the archive has more than {MAX_TEXTS // 2**20} MB of such files")
        return self._texts[entry.position]


def open_tar(path: Path, excluded: Callable[[str], bool]) -> TarArchive:
    """A tar archive, by what it is and not by its name: shards called `.tar` may be compressed.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no tar archive.
    """
    with path.open("rb") as file:
        compressed = file.read(8).startswith(_COMPRESSED)
    return CompressedTar(path, excluded) if compressed else TarArchive(path, excluded)


def read_member(path: Path, position: int, size: int) -> bytes:
    """The bytes of a member of a plain archive by where they begin.

    Raises:
        OSError: the archive cannot be read.
        ValueError: there are not so many.
    """
    with path.open("rb") as file:
        file.seek(position)
        data = file.read(size) if 0 <= size <= MAX_BYTES else b""
    if len(data) != size:
        raise ValueError("it is no longer where it was in the archive")
    return data


def _open_tar(**how: Any) -> tarfile.TarFile:
    try:
        return tarfile.open(**how)
    except _DAMAGED as error:
        raise ValueError(f"it is no tar archive that can be read: {error}") from None


def _infos(archive: tarfile.TarFile, damage: list[str]) -> Iterator[tarfile.TarInfo]:
    """The members, until the end or damage; none is kept: of 100,000 that would be a lot."""
    while True:
        try:
            one = archive.next()
        except (*_DAMAGED, OSError) as error:
            damage.append(f"it is damaged, and read as far as it can be: {error}")
            return
        if one is None:
            return
        archive.members = []  # type: ignore[attr-defined]
        if not one.isdir():
            yield one


def _entry(one: tarfile.TarInfo) -> ArchiveEntry:
    refused = ""
    if one.issym() or one.islnk():
        refused = "it is a link, which is not followed in an archive"
    elif not one.isreg() or one.issparse():
        refused = "it is no ordinary file"
    return ArchiveEntry(one.name, one.size, one.offset_data, refused)


def _content(archive: tarfile.TarFile, one: tarfile.TarInfo) -> bytes:
    file: IO[bytes] | None = archive.extractfile(one)
    return file.read() if file else b""


class _Capped(io.FileIO):
    """A file of which only so much is read at once as members may have: a header can claim to be of any length."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to so many bytes.

        Raises:
            ReadError: more than there may be.
        """
        if size is None or not 0 <= size <= MAX_BYTES:
            raise tarfile.ReadError("one of its headers is too long")
        return super().read(size) or b""


class _Bounded(io.RawIOBase):
    """A compressed file that is unpacked, and no further than images of its size go."""

    def __init__(self, path: Path) -> None:
        import bz2
        import gzip
        import lzma

        with path.open("rb") as file:
            first = file.read(8)
        kinds = zip(_COMPRESSED, (gzip.open, bz2.open, lzma.open), strict=True)
        kind: Any = next((kind for mark, kind in kinds if first.startswith(mark)), gzip.open)
        self._unpacked: IO[bytes] = kind(path, "rb")
        self._left = path.stat().st_size * MAX_RATIO + _SLACK

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes.

        Raises:
            ReadError: more than there may be, or they are damaged.
        """
        import lzma
        import zlib

        try:
            data = self._unpacked.read(size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise tarfile.ReadError(f"its compressed bytes are damaged: {error}") from None
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {MAX_RATIO} times its size, as images never do")
        return data

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._unpacked.close()
        super().close()
