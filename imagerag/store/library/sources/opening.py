"""Opening archives and tables by their names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from imagerag.store.library.schema import FileEntry
from imagerag.store.library.sources import tar_archive, zip_archive
from imagerag.store.library.sources.exported_table import open_columnar
from imagerag.store.library.sources.members import Source
from imagerag.store.library.sources.source_suffixes import COMPRESSED_TAR, TABLES, TAR, ZIP


def is_source(path: Path) -> bool:
    """Whether a file may hold images, going by its name."""
    return path.name.lower().endswith((*ZIP, *TAR, *COMPRESSED_TAR, *TABLES))


def open_source(
    path: Path, excluded: Callable[[str], bool] = lambda name: False, named_paths: Sequence[Path] = ()
) -> Source | None:
    """An archive, or a table with images in it; None for a table without.

    Args:
        path: absolute.
        excluded: whether a member of an archive is left out, by its name.
        named_paths: what the user named: below it, an export's files may be on another machine.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what its name says; the message says so.
    """
    name = path.name.lower()
    if name.endswith(ZIP):
        return zip_archive.ZipArchive(path, excluded)
    if name.endswith(TABLES):
        return open_columnar(path, named_paths)
    return tar_archive.open_tar(path, excluded)


def read_member(path: Path, name: str, entry: FileEntry) -> Iterator[bytes]:
    """Bytes that may be a member's: those where it began, then those of a member of its name. The hash decides.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no archive or table any more, or the member is damaged.
    """
    for reader in (zip_archive.read_member, tar_archive.read_member):
        with suppress(ValueError):
            yield reader(path, entry.inode, entry.size)
    source = open_source(path)
    for member in source.members if source else ():
        if member.name == name:
            yield source.read(member)  # type: ignore[union-attr]
