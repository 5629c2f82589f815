"""Companion files: they belong to indexed data without being images, and are skipped without a report."""

import json
import re
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final
from unicodedata import normalize

from imagerag.store.text_files import parsed, read_text

FOLDER_METADATA: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "meta_cap.json", "meta_clean.json",
                          "meta_lat.json")  # fmt: skip
"""Manifests that are read where they lie: of Hugging Face's image folders, and kohya's."""

_HUGGING_FACE: Final = ("dataset_dict.json", "dataset_info.json", "state.json")
_TAKEOUT: Final = ("print-subscriptions.json", "shared_album_comments.json", "user-generated-memory-titles.json")
_ALBUM: Final = ("metadat", "métadonn")
"""How Takeout's names of an album's own file begin, whatever the language."""
_BESIDE: Final = (".mov", ".mp4", ".mp", ".aae", ".pp3", ".dop", ".thm", ".lrv")
"""Films of live photos, edits of Apple, RawTherapee and DxO, and cameras' small copies of an image of the same name."""
_SIDECAR_OF_FILM: Final = re.compile(
    r"^(?P<film>.+\.(?:mp4|mov|m4v|avi|mkv|webm|3gp|mts|mpg|mpeg))(?:\..*)?\.(?:json|txt|xmp)$", re.IGNORECASE
)
_DUPLICATE: Final = re.compile(r"^(?P<stem>.+)_\d\d(?P<suffix>\.[^.]+)\.xmp$", re.IGNORECASE)
"""What darktable writes of a duplicate, which has no file of its own."""
_STATS: Final = re.compile(r"^(?P<shard>.+)_stats\.json$")


def is_companion(path: Path, files: Collection[Path]) -> bool:
    """Whether a file found in a folder is a companion of others.

    Args:
        files: all files found.
    """
    name, suffix = path.name, path.suffix.lower()
    if suffix in _BESIDE:
        stem = path.with_suffix("")
        names = (stem.with_suffix(one) for ending in (".heic", ".jpg", ".jpeg") for one in (ending, ending.upper()))
        return stem in files or any(one in files for one in names)
    if film := _SIDECAR_OF_FILM.match(name):
        return path.with_name(film["film"]) in files
    if duplicate := _DUPLICATE.match(name):
        return path.with_name(duplicate["stem"] + duplicate["suffix"]) in files
    if stats := _STATS.match(name):
        return _has_shard(path.with_name(stats["shard"]))
    if suffix == ".parquet":
        return _has_shard(path.with_suffix(""))
    if suffix == ".arrow":
        return _is_left_over(path)
    hugging = name in _HUGGING_FACE and (name == "dataset_dict.json" or _data_files(path.parent) is not None)
    return hugging or name in _TAKEOUT or _is_album(path)


def _is_album(path: Path) -> bool:
    """Whether a file says of a Takeout album what it is called."""
    if path.suffix.lower() != ".json" or not normalize("NFC", path.name).lower().startswith(_ALBUM):
        return False
    with suppress(OSError, ValueError):
        rules = parsed(read_text(path))
        return isinstance(rules, dict) and ("albumData" in rules or rules.keys() >= {"title", "date", "access"})
    return False


def _has_shard(stem: Path) -> bool:
    """Whether it names a shard of img2dataset's: a folder, or an archive."""
    return stem.is_dir() or stem.with_name(f"{stem.name}.tar").is_file()


def _is_left_over(path: Path) -> bool:
    """Whether an Arrow file lies beside a saved dataset without being of it: what `map` and `filter` kept."""
    names = _data_files(path.parent)
    return names is not None and path.name not in names


def _data_files(folder: Path) -> frozenset[str] | None:
    with suppress(OSError):
        state = folder / "state.json"
        return _named_in(state, state.stat().st_mtime_ns)
    return None


@lru_cache(maxsize=256)
def _named_in(file: Path, mtime_ns: int) -> frozenset[str] | None:
    """The data files that a dataset's state names: it is asked about each of them."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = json.loads(file.read_text("utf-8"))
        return frozenset(one["filename"] for one in state["_data_files"])
    return None
