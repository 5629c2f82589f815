"""Snapshots: the content of a library when it was tagged, opened as `NAME@TAG` and read-only.

A snapshot is a complete library in the folder of its library. Its large files are hard links to files that LanceDB and
`ImageFiles` write once and never change, so it takes disk space only for data that the library drops later. LanceDB's
own tags are not used: removing old versions fails as soon as one of them is tagged. A snapshot has the paths and hashes
of linked image files, not their bytes.
"""

import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import AwareDatetime

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.retrieval.search_queries import AT
from imagerag.agent.types import FrozenModel
from imagerag.formatting.interface_terms import python_call
from imagerag.store.data_dir import DataDir
from imagerag.store.disk_space import check_space
from imagerag.store.disk_usage import file_sizes
from imagerag.store.library.database import current_name, damaged, folder_of, open_table, overwrite_table
from imagerag.store.library.image_copies import copied_images, stray_files
from imagerag.store.library.image_files import FOLDER as COPIES
from imagerag.store.library.index_files import CHECKSUMS
from imagerag.store.library.library_metadata import LibraryMetadata, library_metadata_of
from imagerag.store.library.maintenance.removal import removed_ids, write_removed
from imagerag.store.library.names import SNAPSHOTS, SUFFIX, check_new_name, snapshot_tags, valid_name, valid_tag
from imagerag.store.library.schema import row_columns
from imagerag.store.library.table import LibraryTable
from imagerag.store.storage_errors import storage_errors

if TYPE_CHECKING:
    import pyarrow as pa

RECORD: Final = "snapshot.json"
"""Description of a snapshot, in its folder."""

LINKED: Final = ("data", "_deletions", "_indices", CHECKSUMS, COPIES)
"""Files, and folders of files, that are never changed but replaced. The others are small, and LanceDB writes some of
them again."""

PLACES: Final = ("files", "described")
"""Columns about where images and their descriptions lie, which are not of what a library holds."""

PART: Final = 1_000
"""Rows that are read at a time."""


class Snapshot(FrozenModel):
    """A tagged state of a library.

    Attributes:
        name: to open it by, `NAME@TAG`.
        images: how many it holds; linked: how many of them without a copy, whose bytes are in files outside.
        content: SHA-256 of its rows, its encoder and its thresholds.
        bytes: on the disk that nothing else in the library's folder has.
    """

    name: str
    tag: str
    created: AwareDatetime
    images: int
    linked: int
    content: str
    bytes: int = 0


def create_snapshot(table: LibraryTable, tag: str) -> Snapshot:
    """Tag what a library holds now. Nobody writes meanwhile. Blocks.

    Raises:
        UsageError: the tag is invalid or exists already.
        StorageError: the disk space is too small; nothing is left behind.
    """
    with table.writing_alone():
        if valid_tag(tag) in snapshot_tags(table.folder):
            raise UsageError(
                f"library {table.name!r} has a snapshot {tag!r} already: take another tag, or remove that one: "
                f"{python_call('libraries.snapshots.remove', tag, library=table.name)}"
            )
        check_new_name(tag, snapshot_tags(table.folder), "a snapshot's tag")
        folder = table.folder / SNAPSHOTS
        fresh = folder / f".tmp-{uuid.uuid4().hex}"
        with storage_errors(folder, "cannot write into"):
            try:
                _link_folder(table.folder, fresh, without=set(stray_files(table)))
                snapshot = _described(table, tag)
                (fresh / RECORD).write_text(snapshot.model_dump_json(exclude={"bytes"}))
                fresh.rename(folder / f"{tag}{SUFFIX}")
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
    return snapshot.model_copy(update={"bytes": _own_bytes(table.folder).get(tag, 0)})


def list_snapshots(home: DataDir, name: str) -> list[Snapshot]:
    """The snapshots of a library, oldest first.

    Raises:
        UnknownLibraryError: there is no such library.
        LibraryDamagedError: the description of one cannot be read.
    """
    name = current_name(home, valid_name(name))
    folder = folder_of(home, name)
    own = _own_bytes(folder)
    snapshots = []
    for tag in snapshot_tags(folder):
        full = f"{name}{AT}{tag}"  # the library may have been renamed since
        snapshots.append(_read(folder_of(home, full)).model_copy(update={"name": full, "bytes": own[tag]}))
    return sorted(snapshots, key=lambda one: (one.created, one.tag))


def snapshot_content(folder: Path) -> str:
    """The SHA-256 of the content of the snapshot in a folder.

    Raises:
        UnknownLibraryError: it was removed just now.
        LibraryDamagedError: its description cannot be read.
    """
    return _read(folder).content


def remove_snapshot(table: LibraryTable, tag: str) -> None:
    """Remove a snapshot. Blocks.

    Raises:
        UnknownLibraryError: there is none of that name.
        StorageError: its files cannot be removed.
    """
    with table.writing_alone():
        folder = folder_of(table.home, current_name(table.home, f"{table.name}{AT}{tag}"))
        removed_folder = folder.with_name(f".tmp-{uuid.uuid4().hex}")
        with storage_errors(folder, "cannot remove"):
            folder.rename(removed_folder)  # if this is stopped, the next `optimize` removes the rest
            shutil.rmtree(removed_folder)
            with suppress(OSError):
                removed_folder.parent.rmdir()


def restore_snapshot(table: LibraryTable, tag: str) -> int:
    """Restore a library to a snapshot in one commit; returns its number of images. Blocks.

    Requires that no other process writes; the caller holds `files_lock`. If it is stopped before the commit, the
    library is unchanged. Ids removed before or after the snapshot stay listed as removed until the commit. Existing
    rows do not count as removed, so the list is right before and after the commit.

    Raises:
        UnknownLibraryError: there is none of that name.
        StorageError: the disk space is too small; the library stays as it was.
    """
    home = table.home
    with table.writing_alone():
        name = current_name(home, f"{table.name}{AT}{tag}")
        folder, source = folder_of(home, name), open_table(home, name)
        check_space(table.folder, sum(path.stat().st_size for path in (folder / "data").iterdir()))
        removed = removed_ids(folder)
        with storage_errors(table.folder, "cannot write into"):
            _link_copies(folder, table.folder)
            _note_removed(table.folder, removed_ids(table.folder) | removed)
            overwrite_table(home, table.name, _batches(source))
            _note_removed(table.folder, removed)
        return int(source.count_rows())


def _batches(source: Any) -> "pa.RecordBatchReader":
    """Every column of every row, with the schema that holds the library's metadata, including thresholds."""
    import pyarrow as pa

    source_batches = source.search().to_batches(PART)
    batches = (pa.RecordBatch.from_arrays(batch.columns, schema=source.schema) for batch in source_batches)
    return pa.RecordBatchReader.from_batches(source.schema, batches)


def _note_removed(folder: Path, ids: frozenset[str]) -> None:
    if ids != removed_ids(folder):
        write_removed(folder, ids)


def _described(table: LibraryTable, tag: str) -> Snapshot:
    metadata = library_metadata_of(table.lance, table.name)
    ids = table.lance.search().select(["id"]).to_arrow()["id"].to_pylist()
    return Snapshot(
        name=f"{table.name}{AT}{tag}",
        tag=tag,
        created=datetime.now(UTC),
        images=len(ids),
        linked=len(ids) - len(copied_images(table, ids)),
        content=content_of_snapshot(table.lance, metadata),
    )


def content_of_snapshot(lance: Any, metadata: LibraryMetadata) -> str:
    """SHA-256 of everything that a search depends on: the rows without file paths, encoders, thresholds and weights."""
    limits = [one.cosine if one else None for one in (metadata.threshold, metadata.image_threshold)]
    encoder = [metadata.spec, metadata.model, metadata.weights, metadata.preprocess, metadata.dimension]
    hashed = sha256(json.dumps([encoder, limits, *_of_other_searches(metadata)]).encode())
    columns = [name for name in row_columns(lance) if name not in PLACES]
    rows = lance.search().select(columns).to_arrow().sort_by("id")
    for start in range(0, rows.num_rows, PART):
        for row in rows.slice(start, PART).to_pylist():
            hashed.update(json.dumps(row, sort_keys=True, default=str).encode())
    return hashed.hexdigest()


def _of_other_searches(metadata: LibraryMetadata) -> list[dict[str, Any]]:
    """What searches by captions and regions, and hybrid ones, depend on; empty where the library has none of it, so
    that its hash is that of earlier versions."""
    fusion, limit = metadata.fusion, metadata.caption_threshold
    settings = {
        "caption_encoder": metadata.caption_encoder.model_dump() if metadata.caption_encoder else None,
        "caption_threshold": limit.cosine if limit else None,
        "regions": metadata.regions,
        "weights": fusion.weights if fusion and fusion.method != "equal" else None,
        "fused_threshold": fusion.threshold.model_dump() if fusion and fusion.threshold else None,
    }
    known = {name: value for name, value in settings.items() if value is not None}
    return [known] if known else []


def _read(folder: Path) -> Snapshot:
    try:
        return Snapshot.model_validate_json((folder / RECORD).read_bytes())
    except FileNotFoundError as error:
        raise UnknownLibraryError(f"the snapshot in {folder} was removed just now") from error
    except (OSError, ValueError) as error:
        raise damaged(folder.name, error, folder) from error


def _link_folder(source: Path, target: Path, *, without: Collection[Path]) -> None:
    """Copy a folder: immutable files as hard links, others as copies.

    Args:
        without: files to leave out.
    """
    for root, folders, names in os.walk(source):
        below = Path(root).relative_to(source)
        if not below.parts:
            folders[:] = [name for name in folders if name != SNAPSHOTS]
        (target / below).mkdir(parents=True)
        for name in names:
            if not name.startswith(".tmp-") and (path := Path(root, name)) not in without:
                keep = _link if (below / name).parts[0] in LINKED else _copy
                keep(path, target / below / name)


def _link_copies(source: Path, target: Path) -> None:
    """Restore copies of images that the library has dropped since."""
    for path in (source / COPIES).glob("*/*"):
        there = target / path.relative_to(source)
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            _link(path, there)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    shutil.copy2(source, target)


def _own_bytes(library: Path) -> dict[str, int]:
    """Bytes of each snapshot that neither the library nor another snapshot shares."""
    folders = {tag: library / SNAPSHOTS / f"{tag}{SUFFIX}" for tag in snapshot_tags(library)}
    files = {tag: file_sizes(folder) for tag, folder in folders.items()}
    names = Counter(file_sizes(library, without=[SNAPSHOTS]).keys())
    for sizes in files.values():
        names.update(sizes.keys())
    return {tag: sum(size for file, size in sizes.items() if names[file] == 1) for tag, sizes in files.items()}
