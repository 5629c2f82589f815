"""Links to folders and files, with what they led to when they were indexed.

Where a link is gone, nothing on the disk says any more that its files lay in a folder that is indexed under another
name, too. Its target is therefore noted when it is indexed, in a file in the library's folder.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from imagerag.store.images.blob_store import write_atomically
from imagerag.store.library.locations import path_text
from imagerag.store.storage_errors import storage_errors

LINKS: Final = "links.json"
"""Path of each link → path without links, in the library's folder."""


def read_links(folder: Path) -> dict[str, str]:
    """The links that were indexed into the library in this folder; none where the file is damaged.

    Raises:
        StorageError: the file cannot be read.
    """
    path = folder / LINKS
    with storage_errors(path, "cannot read"):
        try:
            links = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # without it, `prune` removes the same images
            return {}
    is_whole = isinstance(links, dict) and all(isinstance(one, str) for one in links.values())
    return links if is_whole else {}


def write_links(folder: Path, links: Mapping[str, str]) -> None:
    """Write the links of the library in this folder. The caller holds `writing`."""
    path = folder / LINKS
    with storage_errors(path, "cannot write"):
        write_atomically(path, json.dumps(links, ensure_ascii=False, indent=0, sort_keys=True).encode())


def links_of(paths: Iterable[Path]) -> dict[str, str]:
    """The links among these absolute paths, and among the folders above them, with what they lead to."""
    links: dict[str, str] = {}
    folders: dict[Path, str] = {}
    for path in paths:
        if path.parent not in folders:
            folders[path.parent] = os.path.realpath(path.parent)
            _note(links, path.parent, folders[path.parent])
        if path.is_symlink():
            _note(links, path, os.path.realpath(path))
    return links


def _note(links: dict[str, str], path: Path, target: str) -> None:
    if target != str(path) and _is_text(path) and _is_text(target):
        links[str(path)] = target


def _is_text(path: str | Path) -> bool:
    return path_text(path) == os.fspath(path)


def target_of(path: str, links: Mapping[str, str]) -> str | None:
    """Where a file was found by a link; None where none of the links is on its path."""
    at = path
    while at not in links:
        at, last = os.path.dirname(at), at
        if at == last:
            return None
    return links[at] + path[len(at) :]


def still_used(links: Mapping[str, str], paths: Iterable[str]) -> dict[str, str]:
    """The links below which one of these files is known."""
    used: set[str] = set()
    for path in paths if links else ():
        at, last = path, ""
        while at != last:
            if at in links:
                used.add(at)
            at, last = os.path.dirname(at), at
    return {link: target for link, target in links.items() if link in used}
