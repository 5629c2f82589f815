"""Pairs of a camera RAW and the JPEG or HEIC that the camera wrote with it: one image in two files.

The developed file is indexed, and its metadata name the RAW.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from imagerag.agent.images.formats import RAW_SUFFIXES

__all__ = ["RAW_FILE", "paired_raws"]

DEVELOPED: Final = (".jpg", ".jpeg", ".jpe", ".heic", ".heif", ".hif")
"""Endings of what a camera writes beside a RAW, the likeliest first."""

RAW_FILE: Final = "raw_file"
"""The metadata key under which an image names its RAW."""


def paired_raws(files: Iterable[str | os.PathLike[str]]) -> Mapping[Path, Path]:
    """The developed file by its RAW, of every pair: the same folder, the same name but for the ending, in any case.

    Two RAWs of one name (a camera's and the DNG made of it) are both paired with the developed file.
    """
    paths = [(path, path.suffix.lower()) for path in map(Path, files)]
    raws = [path for path, suffix in paths if suffix in RAW_SUFFIXES]
    developed: dict[tuple[Path, str], Path] = {}
    for path, suffix in paths if raws else ():
        if suffix in DEVELOPED:
            key = (path.parent, path.stem.casefold())
            earlier = developed.get(key)
            if earlier is None or DEVELOPED.index(suffix) < DEVELOPED.index(earlier.suffix.lower()):
                developed[key] = path
    keys = ((raw, (raw.parent, raw.stem.casefold())) for raw in raws)
    return {raw: developed[key] for raw, key in keys if key in developed}
