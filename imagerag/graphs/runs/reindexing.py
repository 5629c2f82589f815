"""The list of runs, made anew from their checkpoints: it says nothing that they do not."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from imagerag.agent.errors import DamagedFileError, ImageRAGError, UnknownRunError
from imagerag.agent.run_record import RunRecord
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.records import read_record, relist_left, relist_run
from imagerag.store.file_lock import held_alone
from imagerag.store.sqlite.connection import can_write, connect
from imagerag.store.storage_errors import damaged_file, storage_errors

_RUNS: Final = """
SELECT DISTINCT thread_id FROM checkpoints
WHERE checkpoint_ns = '' AND coalesce(json_extract(CAST(metadata AS TEXT), '$.graph_id'), '') NOT IN ('ask', 'chat')
"""
"""Threads that the server keeps of questions to a library and of chats are no runs; a chat's runs have their own."""


def kept_runs(checkpoints: Path) -> list[str]:
    """The ids of the runs that have checkpoints; none where there is no such file.

    Raises:
        DamagedFileError, StorageError: the file cannot be read.
    """
    if not checkpoints.exists() or not checkpoints.stat().st_size:
        return []
    with storage_errors(checkpoints, "cannot read"), closing(connect(checkpoints, timeout=5.0)) as connection:
        rows = connection.execute(_RUNS).fetchall()
    return [row[0] for row in rows]


async def reindex(dependencies: Dependencies, run_ids: list[str]) -> tuple[int, list[str]]:
    """Put runs on the list, as their checkpoints tell of them.

    Returns:
        How many, and the ids of those whose checkpoints cannot be read.
    """
    unreadable = []
    async with dependencies.checkpoints(), dependencies.runs.kept_open():
        for run_id in run_ids:
            try:
                await relist_run(dependencies, run_id)
            except ImageRAGError:
                unreadable.append(run_id)
    return len(run_ids) - len(unreadable), unreadable


async def ensure_indexed(dependencies: Dependencies) -> None:
    """Make the list of runs anew where it was deleted or emptied, though runs are kept.

    Raises:
        DamagedFileError: it was, and the home is read-only.
    """
    if not await asyncio.to_thread(dependencies.runs.is_lost):
        return
    run_ids = await asyncio.to_thread(kept_runs, dependencies.home.checkpoints)
    path = dependencies.home.run_list
    if _is_empty(path):
        if not can_write(path):
            raise damaged_file(path, "it is empty")
        await asyncio.to_thread(_remove_empty, path)
    if run_ids and not can_write(dependencies.home.checkpoints):
        raise damaged_file(path, f"it is gone, though {len(run_ids)} runs are kept")
    if run_ids:
        await reindex(dependencies, run_ids)


async def find_record(dependencies: Dependencies, run_id: str) -> RunRecord:
    """The record of the run with that id, or with the only id that starts with it.

    Raises:
        UnknownRunError: no such run, or several.
    """
    await ensure_indexed(dependencies)
    try:
        entry = await dependencies.runs.get(run_id)
    except DamagedFileError:
        with suppress(UnknownRunError):  # a whole id needs no list
            return await read_record(dependencies, run_id)
        raise
    try:
        record = await read_record(dependencies, entry.run_id)
    except UnknownRunError:
        await relist_left(dependencies, entry.run_id)
        raise
    if record.status != entry.status:
        await relist_left(dependencies, entry.run_id)
    return record


def _is_empty(path: Path) -> bool:
    """Whether there is a file without a byte in it."""
    try:
        return not path.stat().st_size
    except FileNotFoundError:
        return False


def _remove_empty(path: Path) -> None:
    """Take away a file without a byte in it, and the WAL of what it was.

    Another run may make the file anew at any moment: its WAL, whose commits would be lost, is not to be touched. Nobody
    makes a file where an empty one lies, so that one goes last, and whoever waited for the lock looks again.
    """
    from imagerag.store.sqlite.connection import companion_files

    with storage_errors(path, "cannot write"), held_alone(path.with_name(f".{path.name}.lock")):
        if not _is_empty(path):
            return
        for each in (*companion_files(path), path):
            each.unlink(missing_ok=True)


def missing_from_index(dependencies: Dependencies) -> list[str]:
    """The runs that are kept and not on the list."""
    run_ids = kept_runs(dependencies.home.checkpoints)
    if dependencies.runs.is_lost():
        return run_ids
    path = dependencies.home.run_list
    with storage_errors(path, "cannot read"), closing(connect(path, timeout=5.0)) as connection:
        try:
            listed = {row[0] for row in connection.execute("SELECT run_id FROM runs")}
        except sqlite3.OperationalError:
            return run_ids
    listed |= {run.run_id for run in dependencies.runs.removals.read()}  # the next removal goes on with those
    return [run_id for run_id in run_ids if run_id not in listed]
