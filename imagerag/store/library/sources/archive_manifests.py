"""Manifests that lie in archives, beside the images that they describe: as in the folders that were packed."""

import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from imagerag.agent.errors import UsageError
from imagerag.store.library.locations import member_path
from imagerag.store.library.sources.archive_listing import NESTED, ArchiveEntry, plain_member
from imagerag.store.library.sources.image_names import ImageNames
from imagerag.store.library.sources.manifest import Manifest, read_with_paths
from imagerag.store.library.sources.source_suffixes import JSON
from imagerag.store.library.sources.source_suffixes import TABLES as TABLE_SUFFIXES
from imagerag.store.library.sources.tar_archive import TarArchive
from imagerag.store.library.sources.zip_archive import ZipArchive
from imagerag.store.text_files import clean

Archive = ZipArchive | TarArchive


def read_in_archive(archive: Archive) -> Manifest:
    """Read the manifests in an archive; one under a usual name that cannot be read, or names no images, is a problem.

    Nobody can name a manifest within an archive. So every table there that names its images is one; those under a usual
    name come first.
    """
    images = [member.name for member in archive.members] if archive.manifests or archive.tables else ()
    files = ImageNames.of_members(images)
    whole = Manifest()
    for name, entry in sorted(archive.tables.items()):
        whole = whole.overridden_by(_of_table(archive, name, entry, files))
    for name, entry in sorted(archive.manifests.items()):
        try:
            manifest = _read(archive, name, entry, files)
        except (OSError, ValueError, UsageError) as error:
            manifest = Manifest(problems=[(_label(archive, name), f"cannot be read: {error}")])
        whole = whole.overridden_by(manifest)
    return whole


def _of_table(archive: Archive, name: str, entry: ArchiveEntry, files: ImageNames) -> Manifest:
    """A table that names images of the archive; a problem for another one, unless it may be of another program."""
    try:
        manifest, why = _read(archive, name, entry, files), "it names no image of the archive"
    except (OSError, ValueError, UsageError) as error:
        manifest, why = Manifest(), str(error)
    if manifest.entries:
        return manifest
    if name.lower().endswith(TABLE_SUFFIXES):
        why = NESTED
    return Manifest(problems=[] if name.lower().endswith(JSON) else [(_label(archive, name), why)])


def _label(archive: Archive, name: str) -> str:
    return clean(str(member_path(archive.path, name)))


def _read(archive: Archive, name: str, entry: ArchiveEntry, files: ImageNames) -> Manifest:
    """Read a manifest. Parquet and long tables are read from files, so it is one for that time."""
    label, paths = _label(archive, name), MemberPaths(archive.path, posixpath.dirname(name), files)
    data = archive.read_entry(entry)
    with TemporaryDirectory() as folder:
        file = Path(folder, posixpath.basename(name))
        file.write_bytes(data)
        try:
            manifest = read_with_paths(file, paths, label)
        except UsageError as error:
            raise UsageError(str(error).replace(str(file), label)) from None
    if manifest.images:
        raise UsageError("it has images in it: take it out, and index it")
    return replace(manifest, files=())


@dataclass(frozen=True)
class MemberPaths:
    """Images of an archive by the names that a manifest in it gives them, from its own folder or the archive's root.

    Attributes:
        folder: of the manifest; empty for the root.
        files: the images. Names are compared as `ImageNames` says.
    """

    archive: Path
    folder: str
    files: ImageNames

    def find(self, name: str) -> Path | None:
        """The path of the image of that name, as a library stores it; None where there is none."""
        for one in dict.fromkeys((name, name.replace("\\", "/"), unquote(name))):
            for folder in dict.fromkeys((self.folder, "")):
                path = posixpath.normpath(posixpath.join(folder, one))
                if plain_member(path) and (image := self.files.find(Path(path))):
                    return member_path(self.archive, image.as_posix())
        return None

    def is_outside(self, name: str) -> bool:
        """Whether a name leads out of the archive."""
        return plain_member(posixpath.normpath(posixpath.join(self.folder, name.replace("\\", "/")))) is None
