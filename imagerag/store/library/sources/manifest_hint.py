"""Files beside images that look like manifests and were not given as such."""

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.library.metadata.field_names import PATH, written_fields
from imagerag.store.library.sources.image_table import SUFFIXES as TABLE_SUFFIXES
from imagerag.store.library.sources.manifest_rows import JSON, TABLES, read_rows
from imagerag.store.text_files import clean

_SUFFIXES: Final = frozenset((*TABLES, *JSON, *TABLE_SUFFIXES))


def manifest_hint(file: Path) -> str | None:
    """What to type where a file that is no image looks like a manifest; None where it does not."""
    if file.suffix.lower() not in _SUFFIXES or not _names_images(file):
        return None
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    return f"it looks like a manifest: imagerag index … --manifest {shlex.quote(clean(shown))}"


def _names_images(file: Path) -> bool:
    """Whether the first row has a column for the path, and an image's name in it."""
    with suppress(UsageError, OSError, ValueError):
        _, record = next(read_rows(file, _is_image_name), (0, ""))
        if isinstance(record, dict):
            paths = (record[name] for name, field in written_fields(record).items() if field == PATH)
            return any(_is_image_name(str(path)) for path in paths)
    return False


def _is_image_name(text: str) -> bool:
    return os.path.splitext(text.strip())[1].lower() in IMAGE_SUFFIXES
