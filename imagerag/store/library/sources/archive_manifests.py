"""Manifests in archives: of Hugging Face's image folders, which name images by their paths from there."""

import posixpath
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.store.library.metadata.field_names import PATH, with_caption, written_fields
from imagerag.store.library.metadata.image_metadata import ImageMetadata, read_metadata
from imagerag.store.library.metadata.sidecars import name_key
from imagerag.store.library.sources.manifest_rows import text_rows
from imagerag.store.text_files import clean

ARCHIVED_MANIFESTS: Final = ("metadata.csv", "metadata.jsonl")
"""Names of manifests that are read in an archive."""


def archived_manifest(name: str, text: str, images: Collection[str]) -> tuple[Mapping[str, ImageMetadata], list[str]]:
    """Read a manifest in an archive.

    Args:
        name: of the manifest, as the archive lists it.
        images: names of the images in the archive.

    Returns:
        Image → what the manifest says of it, and a note on the rows that say nothing.
    """
    by_key = {name_key(one): one for one in images}
    entries: dict[str, ImageMetadata] = {}
    lost: list[int] = []
    try:
        for line, record in text_rows(posixpath.basename(name), text):
            path = None if isinstance(record, str) else _path_in(record)
            image = by_key.get(name_key(posixpath.normpath(posixpath.join(posixpath.dirname(name), path or ""))))
            if isinstance(record, str) or image is None:
                lost.append(line)
                continue
            with suppress(ValueError):  # nested too deeply
                entries[image] = read_metadata(with_caption(record))
    except (UsageError, ValueError) as error:
        return entries, [f"{clean(name)} was read no further: {error}"]
    if not lost:
        return entries, []
    rows = "1 row names" if len(lost) == 1 else f"{len(lost):,} rows name"
    return entries, [f"{rows} no image of the archive in {clean(name)}, the first in line {lost[0]}"]


def _path_in(record: Mapping[str, object]) -> str:
    name = next((record[column] for column, field in written_fields(record).items() if field == PATH), "")
    return name.strip().replace("\\", "/") if isinstance(name, str) else ""
