"""Disk space of the checkpoints of a run of three rounds, beside those of LangGraph's own checkpointer."""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imagerag.agent.nodes import Nodes
from imagerag.evals.bench.graph_overhead import instant, invoke
from imagerag.evals.bench.timing import TimingRow
from imagerag.graphs.generation import build_workflow
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.store.sqlite.checkpoint_types import open_checkpointer

WARM = 2
"""Runs that are made first: an empty file has pages that are not full."""


async def storage(repeats: int) -> list[TimingRow]:
    """Bytes that each run adds to the checkpoint file."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    with TemporaryDirectory(prefix="imagerag-bench-") as folder:
        plain, ours = Path(folder) / "plain.sqlite", Path(folder) / "runs.sqlite"
        theirs = await _bytes_per_run(AsyncSqliteSaver.from_conn_string(str(plain)), plain, repeats)
        own_size = await _bytes_per_run(open_checkpointer(ours), ours, repeats)
    return [
        TimingRow(section="storage", name="LangGraph's SqliteSaver", value=theirs / 1000, unit="kB", n=repeats),
        TimingRow(
            section="storage", name="checkpoints", value=own_size / 1000, unit="kB", n=repeats,
            ratio=own_size / theirs, against="LangGraph's SqliteSaver",
        ),
    ]  # fmt: skip


async def _bytes_per_run(opening: AbstractAsyncContextManager[Any], path: Path, repeats: int) -> float:
    parts, blobs = instant(), FileBlobStore(path.parent / "blobs")
    before = 0
    async with opening as saver:
        nodes = Nodes(generator=parts.generator, judge=parts.judge, library=parts.library, blobs=blobs, journal=None)
        graph = build_workflow(nodes).compile(checkpointer=saver)
        for number in range(WARM + repeats):
            if number == WARM:
                before = _bytes_of(path)
            await invoke(graph)
        return (_bytes_of(path) - before) / repeats


def _bytes_of(path: Path) -> int:
    """The size of a database, including its WAL."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path.stat().st_size
