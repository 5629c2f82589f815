"""References to blobs in the files of a home, and the disk space of each run.

Any sequence of 64 hexadecimal digits in a checkpoint, a pending write, a journal entry or a conversation counts as a
reference. So a new image field of the state needs no change here.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import sha256s_in
from imagerag.store.sqlite.connection import BUSY_S, connect
from imagerag.store.storage_errors import storage_errors

OTHERS: Final = ""
"""Stands for everything that belongs to no run: conversations, answers of evaluations."""


@dataclass
class RunFootprint:
    """Disk space of a run.

    Attributes:
        checkpoints: bytes in the checkpoint file.
        journal: bytes in the journal.
        blobs: SHA-256 of the images it refers to.
    """

    checkpoints: int = 0
    journal: int = 0
    blobs: set[str] = field(default_factory=set)


def footprints(home: DataDir, run_id: str | None = None) -> dict[str, RunFootprint]:
    """Run id → footprint, for all runs and `OTHERS`, or for one run.

    Raises:
        DamagedFileError, StorageError: a file cannot be read, so the blobs in use are unknown.
    """
    found = run_footprints(home, run_id)
    if run_id is None:
        others = found.setdefault(OTHERS, RunFootprint())
        for one in thread_footprints(home).values():
            others.blobs |= one.blobs
    return found


def run_footprints(home: DataDir, run_id: str | None = None) -> dict[str, RunFootprint]:
    """As `footprints`, without conversations; the calls of their questions are here, under names of their own."""
    by_owner: defaultdict[str, RunFootprint] = defaultdict(RunFootprint)
    for thread_id, size, data in _checkpoint_rows(home.checkpoints, run_id):
        by_owner[thread_id].checkpoints += size
        by_owner[thread_id].blobs |= sha256s_in(data)
    for owner, size, data in _journal_rows(home.store, run_id):
        by_owner[owner].journal += size
        by_owner[owner].blobs |= sha256s_in(data)
    return dict(by_owner)


def thread_footprints(home: DataDir, thread_id: str | None = None) -> dict[str, RunFootprint]:
    """Thread id → footprint of the checkpoints of a conversation, for all of them or for one."""
    by_thread: defaultdict[str, RunFootprint] = defaultdict(RunFootprint)
    for owner, size, data in _checkpoint_rows(home.conversations, thread_id):
        by_thread[owner].checkpoints += size
        by_thread[owner].blobs |= sha256s_in(data)
    return dict(by_thread)


def _checkpoint_rows(path: Path, thread_id: str | None) -> Iterator[tuple[str, int, bytes]]:
    from imagerag.store.sqlite.compact_serializer import VALUE, decompressed

    one, parameters = ("WHERE thread_id = ?", (thread_id,)) if thread_id is not None else ("", ())
    queries = {
        "checkpoints": f"SELECT thread_id, length(metadata), type, checkpoint FROM checkpoints {one}",
        "writes": f"SELECT thread_id, 0, type, value FROM writes {one}",
        "checkpoint_values": f"SELECT thread_id, 0, type, value FROM checkpoint_values {one}",
    }
    if _missing(path):
        return
    with storage_errors(path, "cannot read"), closing(connect(path, timeout=BUSY_S)) as connection:
        there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for name in queries.keys() & there:
            for thread, more, kind, data in connection.execute(queries[name], parameters):
                packed = data or b""
                yield thread, (more or 0) + len(packed), b"" if kind == VALUE else decompressed(kind or "", packed)[1]


def _journal_rows(path: Path, run_id: str | None) -> Iterator[tuple[str, int, bytes]]:
    from imagerag.store.journal import ANSWERS, LOST, RUNS

    names: tuple[str, ...] = ()
    query = "SELECT prefix, value FROM store"
    if run_id is not None:  # entries shared by all runs have the same key as the run's own entry
        names = (own := f"{RUNS}.{run_id}", f"{LOST}.{run_id}", *ANSWERS, own)
        query = f"""{query} WHERE prefix IN (?, ?)
            UNION ALL {query} WHERE prefix = ? AND key IN (SELECT key FROM store WHERE prefix = ?)"""
    if _missing(path):
        return
    with storage_errors(path, "cannot read"), closing(connect(path, timeout=BUSY_S)) as connection:
        for prefix, value in connection.execute(query, names):
            kind, _, owner = prefix.partition(".")
            if prefix in ANSWERS:
                owner = str(json.loads(value).get("run_id", OTHERS))
            elif kind not in (RUNS, LOST):
                owner = OTHERS
            data = value.encode() if isinstance(value, str) else value
            if run_id is None or owner == run_id:
                yield owner, len(data), data


def _missing(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size
