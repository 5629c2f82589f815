"""Manifests that lie in archives, beside the images that they describe: as in the folders that were packed."""

import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from imagerag.agent.errors import UsageError
from imagerag.store.library.locations import member_path
from imagerag.store.library.metadata.sidecars import name_key
from imagerag.store.library.sources.archive_listing import plain_member
from imagerag.store.library.sources.manifest import Manifest, read_with_paths
from imagerag.store.library.sources.tar_archive import TarArchive
from imagerag.store.library.sources.zip_archive import ZipArchive
from imagerag.store.text_files import clean

Archive = ZipArchive | TarArchive


def read_in_archive(archive: Archive) -> Manifest:
    """Read the manifests in an archive; one that cannot be read, or names no images, is a problem."""
    whole = Manifest()
    images = [member.name for member in archive.members] if archive.manifests else ()
    for name, entry in sorted(archive.manifests.items()):
        label = clean(str(member_path(archive.path, name)))
        try:
            paths = MemberPaths(archive.path, posixpath.dirname(name), images)
            manifest = _read(archive.read_entry(entry), posixpath.basename(name), paths, label)
        except (OSError, ValueError, UsageError) as error:
            manifest = Manifest(problems=[(label, f"cannot be read: {error}")])
        whole = whole.overridden_by(manifest)
    return whole


def _read(data: bytes, name: str, paths: "MemberPaths", label: str) -> Manifest:
    """Read a manifest. Parquet and long tables are read from files, so it is one for that time."""
    with TemporaryDirectory() as folder:
        file = Path(folder, name)
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

    Names are compared as `ManifestPaths` does: with their accents composed, without the ending as kohya writes them,
    and in another case where only one image has that name.

    Attributes:
        folder: of the manifest; empty for the root.
    """

    archive: Path
    folder: str
    images: Sequence[str]

    def find(self, name: str) -> Path | None:
        """The path of the image of that name, as a library stores it; None where there is none."""
        for one in dict.fromkeys((name, name.replace("\\", "/"), unquote(name))):
            for folder in dict.fromkeys((self.folder, "")):
                if image := self._image(posixpath.normpath(posixpath.join(folder, one))):
                    return member_path(self.archive, image)
        return None

    def is_outside(self, name: str) -> bool:
        """Whether a name leads out of the archive."""
        return plain_member(posixpath.normpath(posixpath.join(self.folder, name.replace("\\", "/")))) is None

    def _image(self, name: str) -> str | None:
        composed = unicodedata.normalize("NFC", name)
        alike = self._by_key.get(name_key(name), ())
        return self._by_name.get(composed) or self._by_stem.get(composed) or (alike[0] if len(alike) == 1 else None)

    @cached_property
    def _by_name(self) -> Mapping[str, str]:
        return {unicodedata.normalize("NFC", image): image for image in self.images}

    @cached_property
    def _by_stem(self) -> Mapping[str, str]:
        return {posixpath.splitext(name)[0]: image for name, image in sorted(self._by_name.items(), reverse=True)}

    @cached_property
    def _by_key(self) -> Mapping[str, Sequence[str]]:
        alike: dict[str, list[str]] = {}
        for image in self.images:
            alike.setdefault(name_key(image), []).append(image)
        return alike
