"""Hints for files among images that look like manifests or sources but were not given as such."""

import os
from contextlib import suppress
from pathlib import Path

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.formatting.interface_terms import python_call
from imagerag.store.library.metadata.field_names import PATH, written_fields
from imagerag.store.library.sources.image_table import ColumnarFile, is_of_hugging_face
from imagerag.store.library.sources.manifest_paths import ManifestPaths
from imagerag.store.library.sources.manifest_rows import read_rows
from imagerag.store.library.sources.source_suffixes import MANIFESTS
from imagerag.store.library.sources.source_suffixes import TABLES as TABLE_SUFFIXES
from imagerag.store.library.sources.text_table import holds_images
from imagerag.store.path_policy import PathPolicy
from imagerag.store.text_files import clean


def manifest_hint(file: Path) -> str | None:
    """A hint on a manifest or source among images, with what to type; None for other files."""
    if file.suffix.lower() not in MANIFESTS:
        return None
    name = clean(os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file))
    if holds_images(file):
        return f"it has images in it: {python_call('libraries.index', name)}"
    if not _names_images(file):
        return None
    kind = "looks like a manifest"
    if file.suffix.lower() in TABLE_SUFFIXES and is_of_hugging_face(ColumnarFile(file).schema):
        kind = "is a Hugging Face dataset that names image files and has none in it"
    return f"it {kind}: {python_call('libraries.index', ..., manifest=name)}"


def _names_images(file: Path) -> bool:
    """Whether the first row has a column for the path, and an image's name in it, be it without its ending."""
    beside = ManifestPaths([file.parent], PathPolicy(file.parent))

    def is_image(name: str) -> bool:
        found = None if _is_image_name(name) else beside.find(name.strip())
        return _is_image_name(name if found is None else found.name)

    with suppress(UsageError, OSError, ValueError):
        _, record = next(read_rows(file, is_image), (0, ""))
        if isinstance(record, dict):
            paths = (record[name] for name, field in written_fields(record).items() if field == PATH)
            return any(is_image(str(path)) for path in paths)
    return False


def _is_image_name(text: str) -> bool:
    return os.path.splitext(text.strip())[1].lower() in IMAGE_SUFFIXES
