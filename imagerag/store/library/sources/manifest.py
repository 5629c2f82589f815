"""Manifests: files that describe many images.

CSV with any of the usual separators, JSON lines, a JSON array of objects, a JSON object from file to caption or to an
object, COCO's captions, or Parquet. Of several manifests the later one takes precedence, field by field. Fields that no
manifest has stay unchanged in the library: indexing a folder again without its manifest removes no caption.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from imagerag.agent.errors import UsageError
from imagerag.agent.visible_text import is_blank
from imagerag.store.library.metadata.field_names import PATH, guessed_caption, with_caption, written_fields
from imagerag.store.library.metadata.image_metadata import ImageMetadata, read_metadata
from imagerag.store.library.sources.base64_images import beside_image, image_column
from imagerag.store.library.sources.column_notes import ColumnNotes
from imagerag.store.library.sources.exported_table import open_columnar
from imagerag.store.library.sources.manifest_hint import manifest_hint
from imagerag.store.library.sources.manifest_paths import ManifestPaths
from imagerag.store.library.sources.manifest_rows import URL_COLUMNS, read_rows
from imagerag.store.library.sources.path_patterns import NO_DOWNLOAD
from imagerag.store.library.sources.source_suffixes import TABLES as TABLE_SUFFIXES
from imagerag.store.path_policy import OUTSIDE, PathPolicy
from imagerag.store.text_files import clean, is_windows_1252, plain_name

_GUESSED: Final = "it is not UTF-8 and was read as Windows-1252: if letters are wrong, save it as UTF-8"
_URL: Final = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Manifest:
    """Descriptions by the image file they are about.

    Attributes:
        entries: absolute path → description.
        problems: (row or path, reason) of rows without an image.
        notes: (subject, problem) of images with contradictory rows, and of columns.
        columns: what each column was read as: one of our fields, or "metadata".
        files: the manifests themselves.
        images: manifest → its rows that have an image in them; `image_captions` of them have a caption.
    """

    entries: Mapping[Path, ImageMetadata] = field(default_factory=dict)
    problems: Sequence[tuple[str, str]] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    files: Collection[Path] = ()
    images: Mapping[Path, Sequence[int]] = field(default_factory=dict)
    image_captions: int = 0
    notes: Sequence[tuple[str, str]] = ()

    def overridden_by(self, other: "Manifest") -> "Manifest":
        """Both, the other one's fields first."""
        entries = dict(self.entries)
        for path, entry in other.entries.items():
            entries[path] = entry.or_else(entries[path]) if path in entries else entry
        return Manifest(
            entries,
            [*self.problems, *other.problems],
            {**self.columns, **other.columns},
            {*self.files, *other.files},
            {**self.images, **other.images},
            self.image_captions + other.image_captions,
            [*self.notes, *other.notes],
        )

    @property
    def captions(self) -> int:
        """Number of found images with a caption from the manifest."""
        return self.image_captions + sum(bool(entry.caption) for entry in self.entries.values())


Manifests = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
"""No manifest, one, or several."""


def split_manifests(manifests: Manifests) -> tuple[list[Path], list[Path]]:
    """Manifests that describe files, and tables that have the images in them, in their order."""
    if manifests is None or isinstance(manifests, str | os.PathLike):
        manifests = [] if manifests is None else [manifests]
    files = [Path(one) for one in manifests]
    tables = [one for one in files if one.suffix.lower() in TABLE_SUFFIXES and _has_images(one)]
    return [one for one in files if one not in tables], tables


def read_manifests(
    files: Sequence[Path], roots: Sequence[Path] = (), *, named_paths: Sequence[Path] = (), allow_outside: bool = False
) -> Manifest:
    """Read manifests; later ones take precedence, and earlier ones fill absent fields.

    Raises:
        UsageError: as `read_manifest`.
    """
    whole = Manifest()
    for file in files:
        whole = whole.overridden_by(read_manifest(file, roots, named_paths=named_paths, allow_outside=allow_outside))
    return whole


def read_beside(files: Iterable[Path], named_paths: Sequence[Path] = (), *, allow_outside: bool = False) -> Manifest:
    """Read manifests that lie in folders of images; one that cannot be read, or names no images, is a problem.

    Args:
        named_paths: the files and folders that are indexed: one that is a link leads into them or is left out.
    """
    whole = Manifest()
    for file in sorted(files):
        try:
            if file.is_symlink() and not PathPolicy(file.parent, named_paths, allow_outside).allows(file):
                raise UsageError(f"it is a link to a file outside of what is indexed: {OUTSIDE}")
            manifest = read_manifest(file)
            if manifest.images:
                raise UsageError(manifest_hint(file) or "it has images in it")
        except UsageError as error:
            manifest = Manifest(problems=[(clean(str(file)), str(error))])
        whole = whole.overridden_by(replace(manifest, files={file}))
    return whole


def read_manifest(
    file: Path, roots: Sequence[Path] = (), *, named_paths: Sequence[Path] = (), allow_outside: bool = False
) -> Manifest:
    """Read a manifest: a table (`.csv`, `.tsv`), JSON lines, or JSON.

    Each row has `path` (absolute, or relative to the manifest, or to one of `roots`) and any of caption, title, tags,
    metadata, source, author, licence, or what others call these (see `field_names.ALIASES`); what else it has is
    metadata. A row that names a file outside of the manifest's folder, `roots` and `named_paths` is a problem. Of
    several rows about one image the last counts.

    Args:
        roots: folders that paths may be relative to.
        named_paths: further files that the user named himself.
        allow_outside: any file of the machine may be named.

    Raises:
        UsageError: there is no such file, it is in no form that is read, or none of its columns names the images.
    """
    paths = ManifestPaths((file.parent, *roots), PathPolicy(file.parent, (*roots, *named_paths), allow_outside))
    return read_with_paths(file, paths, file.name)


class ImagePaths(Protocol):
    """Finds the images that a manifest names."""

    def find(self, name: str) -> Path | None:
        """The image of that name; None where there is none."""

    def is_outside(self, name: str) -> bool:
        """Whether a name leads nowhere where files may be read."""


def read_with_paths(file: Path, paths: ImagePaths, label: str) -> Manifest:
    """`read_manifest`, with the images found by `paths`.

    Args:
        label: the manifest's name in problems and notes.
    """
    entries: dict[Path, ImageMetadata] = {}
    problems: list[tuple[str, str]] = []
    columns: Counter[tuple[str, str]] = Counter()
    images: list[int] = []
    disputed: dict[str, str] = {}
    column_notes = ColumnNotes()
    captions = 0
    for line, record in read_rows(file, lambda name: paths.find(name) is not None):
        where = f"{label}, line {line}"
        if isinstance(record, str):
            problems.append((where, record))
            continue
        if (column := image_column(record)) is not None:
            record = beside_image(record, column)
            columns[column, "image"] += 1
            images.append(line)
        filled = {name: value for name, value in record.items() if value not in (None, "")}
        fields = written_fields(filled) | guessed_caption(record)
        columns.update((name, fields.get(name, "metadata")) for name in filled)
        column_notes.look_at(filled, fields)
        name = next((record[column] for column, field in fields.items() if field == PATH), None)
        target = None if column else _file_of(name, record, where, paths)
        if isinstance(target, tuple):
            problems.append(target)
            continue
        try:
            metadata = read_metadata(with_caption(record))
        except ValueError as error:
            problems.append((where, str(error)))
            continue
        if target is None:
            captions += bool(metadata.caption)
        else:
            if entries.get(target, metadata) != metadata:
                why = f"several rows of {label} say different things of it: the last counts"
                disputed[clean(str(target))] = why
            entries[target] = metadata
    images_by_file = {Path(os.path.abspath(file)): images} if images else {}
    guessed = [(label, _GUESSED)] if file.suffix.lower() not in TABLE_SUFFIXES and is_windows_1252(file) else []
    notes = [*guessed, *disputed.items(), *column_notes.of(label)]
    return Manifest(entries, problems, _read_as(columns), {file}, images_by_file, captions, notes)


def _file_of(name: Any, record: Mapping[str, Any], where: str, paths: ImagePaths) -> Path | tuple[str, str]:
    """The file of a row, or the row with the reason for having none."""
    if not isinstance(name, str) or is_blank(name):
        return where, _pathless(record)
    if (file := paths.find(name.strip())) is not None:
        return file
    why = "there is no such file"
    if _URL.match(name.strip()):
        why = f"it is a URL. {NO_DOWNLOAD}"
    elif paths.is_outside(name.strip()):
        why = f"it is outside of the folders given: {OUTSIDE}"
    return clean(name)[:300], f"named in {where}, but {why}"


def _pathless(record: Mapping[str, Any]) -> str:
    urls = {name for name in record if plain_name(name) in URL_COLUMNS and record[name]}
    if urls:
        return f"the row has a URL ({min(urls)}) and no path. {NO_DOWNLOAD}"
    return "the row has no path"


def _read_as(columns: "Counter[tuple[str, str]]") -> dict[str, str]:
    """The use of each column in most rows."""
    uses: dict[str, str] = {}
    for (name, use), _ in sorted(columns.items(), key=lambda one: (-one[1], one[0][1] == "metadata")):
        uses.setdefault(name, use)
    return uses


def _has_images(file: Path) -> bool:
    try:
        return open_columnar(file) is not None
    except (OSError, ValueError):
        return False  # reading it as a manifest says why
