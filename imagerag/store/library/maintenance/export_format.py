"""The format of an export, by the name of its file."""

import os
from pathlib import Path
from typing import Literal

from imagerag.agent.errors import UsageError
from imagerag.store.library.sources.source_suffixes import PARQUET

ExportFormat = Literal["parquet", "folder"]


def format_of(out: str | Path) -> ExportFormat:
    """The export format for the name of a file or a folder.

    Raises:
        UsageError: it is the name of another type of file, which is hardly meant.
    """
    name, suffix = str(out), Path(out).suffix.lower()
    if suffix in PARQUET:
        return "parquet"
    if suffix[1:2].isalpha() and not name.endswith(("/", os.sep)) and not Path(out).is_dir():
        raise UsageError(
            f"an export is a Parquet file or a folder: name one .parquet, or\nadd `format=folder` for {out}"
        )
    return "folder"
