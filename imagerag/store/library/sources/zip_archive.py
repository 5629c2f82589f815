"""Images in zip archives, read where they lie."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.sources.archive_listing import ArchiveEntry, ArchiveListing, listing, title_of
from imagerag.store.library.sources.members import Member

_LOCAL_HEADER: Final = struct.Struct("<4s2xHH16xHH")
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_READ: Final = (_STORED, _DEFLATED)
_METHODS: Final = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 98: "ppmd"}
_ENCRYPTED: Final = 0x1
_UNIX: Final = 3


class ZipArchive:
    """A zip archive as a source of images."""

    linked = True
    whole = True
    columns: Mapping[str, str] = {}

    def __init__(self, path: Path, excluded: Callable[[str], bool]) -> None:
        """List an archive.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no zip archive.
        """
        self.path, self.status = path, path.stat()
        try:
            with zipfile.ZipFile(path) as opened:
                self._listing: ArchiveListing = listing(str(path), _entries(opened), excluded)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
            raise ValueError(f"it is no zip archive, or a damaged one: {error}") from None
        self.problems, self.manifests = self._listing.problems, self._listing.manifests
        self.tables = self._listing.tables

    @cached_property
    def members(self) -> list[Member]:
        """The images in it, as the archive lists them."""
        return [
            Member(self, name, title_of(name), entry.size, entry.position)
            for name, entry in self._listing.images.items()
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


def _entries(archive: zipfile.ZipFile) -> Iterator[ArchiveEntry]:
    for one in archive.infolist():
        if not one.is_dir():
            yield ArchiveEntry(one.filename, one.file_size, one.header_offset, _refusal(one))


def _refusal(one: zipfile.ZipInfo) -> str:
    if one.flag_bits & _ENCRYPTED:
        return "it is encrypted: unpack the archive, and index the folder"
    if one.create_system == _UNIX and stat.S_ISLNK(one.external_attr >> 16):
        return "it is a link, which is not followed in an archive"
    if one.compress_type not in _READ:
        name = _METHODS.get(one.compress_type, "an unknown method")
        return f"it is compressed with {name}, which is not read: unpack the archive, and index the folder"
    return ""


def read_member(path: Path, position: int, size: int) -> bytes:
    """The bytes of a member by where its header is, without the archive's directory: that may have 100,000 entries.

    Raises:
        OSError: the archive cannot be read.
        ValueError: there is no such member there.
    """
    with path.open("rb") as file:
        file.seek(position)
        header = file.read(_LOCAL_HEADER.size)
        if not 0 <= size <= MAX_BYTES or len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise ValueError("it is no longer where it was in the archive")
        _, flags, method, name, extra = _LOCAL_HEADER.unpack(header)
        if flags & _ENCRYPTED or method not in _READ:
            raise ValueError("it is encrypted, or compressed otherwise than it was")
        file.seek(name + extra, 1)
        if method == _STORED:
            data = file.read(size)
        else:
            # One byte more than it may have: a bomb is found without being blown up.
            unpacking, data = zlib.decompressobj(-zlib.MAX_WBITS), b""
            try:
                while len(data) <= size and not unpacking.eof:
                    if not (packed := unpacking.unconsumed_tail or file.read(2**20)):
                        break
                    data += unpacking.decompress(packed, size + 1 - len(data))
            except zlib.error:
                raise ValueError("its compressed bytes are damaged") from None
    if len(data) != size:
        raise ValueError("it has not as many bytes as the archive says")
    return data
