"""Remove images whose files are missing or changed, without mistaking an unmounted disk for an empty one."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from imagerag.agent.errors import BlobError
from imagerag.formatting.interface_terms import python_call
from imagerag.store.library.indexing.folder_walk import is_below
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.scan import Scan, entry_of
from imagerag.store.library.known_files import Entry, KnownFiles
from imagerag.store.library.library import Library
from imagerag.store.library.linked_files import read_linked
from imagerag.store.library.locations import shown_path, split_member, title_of_file
from imagerag.store.library.metadata.text_origins import with_title_of_file
from imagerag.store.library.schema import FileEntry, ImageRecord, int64

SHARE: Final = 0.5
"""Of the images that were indexed below the given paths: when more vanish at once, none is taken out unasked."""

FEW: Final = 10
"""So many may vanish whatever their share."""

_AT_ONCE: Final = 500


@dataclass
class VanishedFiles:
    """File entries that are no longer valid.

    Attributes:
        replaced: entries whose path now has other bytes.
        gone: entries whose file is missing.
        held: entries whose file is missing in an otherwise empty folder, as with an unmounted disk.
        alive: images with an existing file.
        below: number of images with a file below the given paths.
    """

    replaced: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    below: int = 0


def find_vanished(
    known_files: KnownFiles, scan: Scan, ids_by_path: Mapping[str, str | None], *, prune: bool
) -> VanishedFiles:
    """Compare the known files of a library with a scan.

    A file that the scan did not reach counts as missing only if it lies below the given paths and does not exist:
    excluded, unreadable and unlisted files are not deleted ones.

    Args:
        ids_by_path: path → its current image; None where it could not be read.
        prune: also count files outside of the given paths and in empty folders.
    """
    vanished, below = VanishedFiles(alive={now for now in ids_by_path.values() if now is not None}), set[str]()
    empty: dict[str, bool] = {}
    for path, entries in known_files.by_path.items():
        if inside := scan.covers(path):
            below.update(one for one, _ in entries)
        if path in ids_by_path:
            now = ids_by_path[path]
            vanished.replaced += [entry for entry in entries if now is not None and entry[0] != now]
        elif (now := ids_by_path.get(scan.found_path(path))) is not None:
            vanished.replaced += [entry for entry in entries if entry[0] != now]
        elif (inside or prune) and not _is_below(path, scan.unread) and _is_gone(path, entries, scan):
            is_held = not prune and _in_empty_folder(scan.place(path), empty)
            (vanished.held if is_held else vanished.gone).extend(entries)
        else:
            vanished.alive.update(one for one, _ in entries)
    vanished.below = len(below)
    return vanished


async def take_out(
    library: Library,
    vanished: VanishedFiles,
    report: IndexReport,
    replacements: "Replacements",
    *,
    prune: bool,
    paths: Sequence[str | os.PathLike[str]],
    warn: Callable[[str], None] | None = None,
) -> None:
    """Remove vanished files from a library, and images without any file left; warn about those that were kept."""
    lost_ids = {one for one, _ in vanished.gone} - vanished.alive
    if not prune and len(lost_ids) > FEW and len(lost_ids) > SHARE * vanished.below:
        why = f"{len(lost_ids):,} of {vanished.below:,} images that were indexed there are gone, more than half"
        vanished.held, vanished.gone = [*vanished.held, *vanished.gone], []
    else:
        why = "their folders are empty or not there, as where a disk is not mounted"
    await _drop(library, vanished, report, replacements, prune=prune)
    replacements.count_others(report)
    lost_ids = {one for one, _ in vanished.gone}
    for sha256, entry in dict(reversed(vanished.held)).items():
        if sha256 not in vanished.alive | lost_ids:
            report.count("missing", entry.path)
    if report.missing:
        report.warned(
            f"{report.missing:,} images were kept whose files are gone: {why}. "
            f"To take them out: {python_call('libraries.index', *map(str, paths), library=library.name, prune=True)}",
            warn,
        )


@dataclass
class Replacements:
    """New images of changed files: each replaces a removed image or is additional.

    Attributes:
        new: the images, each with an example's path.
        seen: path → the image that it is now.
        relocated: images that have a new path: those that are gone count with it.
    """

    new: dict[str, str]
    seen: Mapping[str, str | None]
    relocated: Collection[str] = frozenset()

    def count(self, paths: Iterable[str], report: IndexReport) -> bool:
        """Count one that stands for the image that went from these paths; False where there is none."""
        replacing = next((one for path in paths if (one := self.seen.get(path)) in self.new), None)
        if replacing is not None:
            report.count("changed", self.new.pop(replacing))
        return replacing is not None

    def count_others(self, report: IndexReport) -> None:
        """Count the additional ones: the old image still has a file, or was replaced by another image."""
        for example in self.new.values():
            report.count("added", example)
        self.new.clear()


async def _drop(
    library: Library, vanished: VanishedFiles, report: IndexReport, replacements: Replacements, *, prune: bool
) -> None:
    """Remove entries from their rows, and rows without any other entry from the library.

    An image with a copy in the library stays without files, unless a file has other bytes now or `prune` removes it.
    """
    by_id: dict[str, set[FileEntry]] = {}
    for sha256, entry in (*vanished.gone, *vanished.replaced):
        by_id.setdefault(sha256, set()).add(entry)
    ids, replaced, gone_entries = sorted(by_id), {one for one, _ in vanished.replaced}, set(vanished.gone)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        async with library.files_lock(dry_run=report.dry_run):
            copied = set() if prune else await library.table.copied(part) - replaced
            rows = await library.rows(part)
            dropped = await asyncio.to_thread(_still_vanished, {one: by_id[one] for one in part})
            remaining = {row.id: _without(row.files, dropped[row.id]) for row in rows}
            out = [
                row.id for row in rows if row.files and not remaining[row.id] and row.id not in vanished.alive | copied
            ]
            # A copy without any file keeps the last paths: they tell its origin, and `prune` uses them to remove it.
            same = {
                row.id for row in rows if remaining[row.id] == row.files or (row.id in copied and not remaining[row.id])
            }
            kept_rows = [row for row in rows if row.id not in same.union(out)]
            if not report.dry_run:
                await library.delete(out)
                await library.update_files({row.id: remaining[row.id] for row in kept_rows})
                await library.update(
                    [new for row in kept_rows for new in follow(row, dropped[row.id], remaining[row.id])]
                )
        for one in out:
            if not replacements.count(sorted(entry.path for entry in by_id[one]), report):
                report.count("removed", min(by_id[one]).path)
        for row in kept_rows:
            if remaining[row.id] and row.id not in replacements.relocated:
                report.paths_removed += sum(
                    (row.id, entry) in gone_entries for entry in {*row.files} - {*remaining[row.id]}
                )


def _still_vanished(entries: Mapping[str, Set[FileEntry]]) -> dict[str, set[FileEntry]]:
    """The entries that are still invalid now: another scan may have found the file again."""
    return {digest: {entry for entry in some if not _is_there(digest, entry)} for digest, some in entries.items()}


def _is_there(digest: str, entry: FileEntry) -> bool:
    file, member = split_member(entry.path)
    try:
        if member or entry_of(Path(file), os.stat(file)) != entry:
            return False
        return bool(read_linked(digest, [entry], ""))
    except (OSError, BlobError):
        return False


def follow(row: ImageRecord, dropped: Iterable[FileEntry], remaining: Sequence[FileEntry]) -> Iterator[ImageRecord]:
    """The row with the source and the title of another file, where they were those of a file that is missing."""
    if not remaining:
        return
    gone, followed = list(dropped), row
    if row.source in {shown_path(one.path) for one in gone} - {shown_path(one.path) for one in remaining}:
        followed = replace(row, source=shown_path(remaining[0].path))
    titles = [title for one in remaining if (title := title_of_file(one.path))]
    if titles and row.title in {title_of_file(one.path) for one in gone} - set(titles):
        followed = with_title_of_file(followed, titles[0])
    if followed is not row:
        yield followed


def _without(files: Iterable[FileEntry], dropped: set[FileEntry]) -> tuple[FileEntry, ...]:
    return tuple(file for file in files if file not in dropped)


def _is_below(path: str, folders: Sequence[Path]) -> bool:
    file = split_member(path)[0]
    return any(is_below(file, folder) for folder in folders)


def _is_gone(path: str, entries: Sequence[Entry], scan: Scan) -> bool:
    """Whether a file is missing, or is no longer in an archive that changed since and was listed to the end."""
    file, member = split_member(path)
    source = scan.sources.get(file) if member else None
    if source is not None:
        return all(entry.mtime_ns != int64(source.status.st_mtime_ns) for _, entry in entries)
    return not os.path.lexists(file) or (not member and os.path.isdir(file))


def is_deleted(path: str) -> bool:
    """Whether a file is certainly missing now; this is unknown for unreadable folders and for members of archives."""
    try:
        os.lstat(split_member(path)[0])
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _in_empty_folder(file: str, empty_by_folder: dict[str, bool]) -> bool:
    """Whether the nearest existing folder above a file is empty; of a link that leads nowhere, above its target."""
    folder = os.path.realpath(os.path.dirname(file))
    if folder not in empty_by_folder:
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                empty_by_folder[folder] = next(entries, None) is None
        else:
            empty_by_folder[folder] = os.path.dirname(folder) == folder or _in_empty_folder(folder, empty_by_folder)
    return empty_by_folder[folder]
