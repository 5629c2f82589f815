"""The index of runs: prompt, time, status and outcome.

A small table beside the checkpoints, so that ten thousand runs are listed without opening one.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.types import FrozenModel, Outcome
from imagerag.formatting.messages import invalid, near
from imagerag.store.favourites import Favourites
from imagerag.store.run_removals import RunRemovals, create_removals, stamp
from imagerag.store.sqlite.connection import BUSY_S, connect
from imagerag.store.sqlite.pool import PerLoopResource
from imagerag.store.sqlite.write_batcher import WriteBatcher, open_grouped
from imagerag.store.storage_errors import damaged_file, storage_errors

RunStatus = Literal["running", "interrupted", "ended"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, created TEXT NOT NULL, updated TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT,
    prompt TEXT NOT NULL, library TEXT, score REAL, folded TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_created ON runs (created DESC);
"""
_LATER = {"cost_usd": "REAL", "calls": "INTEGER", "parent_run": "TEXT"}
"""Columns that files of earlier versions lack."""
_COLUMNS = ", ".join(("run_id, created, updated, status, outcome, prompt, library, score", *_LATER))


_FILTERS = {
    "outcome": "outcome = :outcome",
    "text": "instr(folded, :text) > 0",
    "status": "status = :status",
    "library": "library = :library",
    "since": "created >= :since",
    "until": "created < :until",
    "min_cost": "cost_usd >= :min_cost",
    "max_cost": "cost_usd <= :max_cost",
    "favourites": "run_id IN (SELECT value FROM json_each(:favourites))",
    "others": "run_id NOT IN (SELECT value FROM json_each(:others))",
}


def _now() -> datetime:
    return datetime.now(UTC)


class RunEntry(FrozenModel):
    """One line of the list.

    Attributes:
        created: when the run was first recorded; a later entry for the same run does not change it.
        outcome: None until the run has ended.
        score: of the best attempt, in [0, 1]; None when there is none.
        cost_usd: None when the price of a call is not known, or nobody noted it yet.
        calls: model calls; None when nobody noted them yet.
        parent_run: the run it comes from, as a replay or a continuation; a later entry without it does not unsay it.
        favourite: whether somebody marked it as one.
    """

    run_id: str = Field(min_length=1)
    prompt: str
    status: RunStatus = "running"
    outcome: Outcome | None = None
    library: str | None = None
    score: float | None = None
    cost_usd: float | None = None
    calls: int | None = None
    parent_run: str | None = None
    favourite: bool = False
    created: AwareDatetime = Field(default_factory=_now)
    updated: AwareDatetime = Field(default_factory=_now)


_Entries = list[RunEntry]
"""Named here because inside the class `list` is the method."""


class RunIndex:
    """The list of runs in one SQLite file; any number of processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.favourites = path, Favourites(path.with_name("favourites"))
        self._writing = PerLoopResource(partial(_open, path))
        self.removals = RunRemovals(path, self._writing)

    def kept_open(self) -> AbstractAsyncContextManager[object]:
        """Keep the file open for the block, so that the entries of many runs share commits."""
        return self._writing.use()

    async def upsert(
        self,
        run_id: str,
        *,
        prompt: str,
        status: RunStatus,
        outcome: Outcome | None = None,
        library: str | None = None,
        score: float | None = None,
        cost_usd: float | None = None,
        calls: int | None = None,
        parent_run: str | None = None,
        created: datetime | None = None,
    ) -> RunEntry:
        """Add a run, or replace its entry, except the time of its creation.

        Args:
            created: start of a new run under the same id, as on a server's thread: nothing of the earlier run is kept
                then.
        """
        if created is not None:
            await self._forget(run_id, before=created)
        since: dict[str, Any] = {} if created is None else {"created": created}
        entry = RunEntry(
            run_id=run_id,
            prompt=prompt,
            status=status,
            outcome=outcome,
            library=library,
            score=score,
            cost_usd=cost_usd,
            calls=calls,
            parent_run=parent_run,
            **since,
        )
        async with self._writing.use() as grouped:
            await grouped.write(partial(_upsert, grouped.connection, entry))
        return entry

    async def _forget(self, run_id: str, *, before: datetime) -> None:
        """Remove an entry, if it is of an earlier run with the same id."""
        statement = ("DELETE FROM runs WHERE run_id = ? AND created < ?", (run_id, stamp(before)))
        async with self._writing.use() as grouped:
            await grouped.write(lambda: grouped.connection.execute(*statement))

    async def get(self, run_id: str) -> RunEntry:
        """Find a run by its id or a unique prefix of it.

        Raises:
            UnknownRunError: no run or several match; names the most recent ones, or the matches.
        """
        return await asyncio.to_thread(self._get, run_id)

    async def list(
        self,
        limit: int | None = 50,
        *,
        outcome: Outcome | str | None = None,
        text: str | None = None,
        status: RunStatus | None = None,
        library: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        min_cost: float | None = None,
        max_cost: float | None = None,
        favourite: bool | None = None,
    ) -> "_Entries":
        """Runs, newest first.

        Args:
            limit: maximum number; None for all.
            outcome: only runs with this outcome.
            text: only runs whose prompt contains this text, ignoring case.
            status: only runs with this status.
            library: only runs with this library.
            since: only runs that began at this time or later; `until`: before this time. A time without a zone is
                local.
            min_cost: only runs that cost at least this much, in US dollars; `max_cost`: at most. Runs with unknown cost
                match neither.
            favourite: only favourites, or only others.
        """
        ids = None if favourite is None else json.dumps(await asyncio.to_thread(self.favourites.ids))
        filters = {
            "outcome": outcome,
            "text": text.casefold() if text else None,
            "status": status,
            "library": library,
            "since": stamp(since) if since else None,
            "until": stamp(until) if until else None,
            "min_cost": min_cost,
            "max_cost": max_cost,
            "favourites": ids if favourite else None,
            "others": None if favourite else ids,
        }
        return await asyncio.to_thread(self._list, limit, filters)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with storage_errors(self.path), closing(connect(self.path, timeout=BUSY_S)) as connection:
            yield connection

    def is_lost(self) -> bool:
        """Whether the file is missing or empty."""
        return not self.path.exists() or not self.path.stat().st_size

    def _get(self, run_id: str) -> RunEntry:
        # substr, not LIKE: % and _ in a prefix are not wildcards.
        entries = self._select(
            "WHERE substr(run_id, 1, length(:id)) = :id ORDER BY run_id = :id DESC, run_id LIMIT 6", {"id": run_id}
        )
        if run_id and entries and (entries[0].run_id == run_id or len(entries) == 1):
            return entries[0]
        if run_id and entries:
            raise UnknownRunError(f"several runs begin with {run_id!r}: {', '.join(run.run_id for run in entries)}")
        recent = [run.run_id for run in self._list(5, {})]
        guess = near(run_id, recent)
        question = f"; did you mean {guess!r}? The" if guess else "; the"
        hint = f"{question} most recent are {', '.join(recent)}; `imagerag runs` lists all"
        raise UnknownRunError(f"no run {run_id[:60]!r}{hint if recent else '; there are none yet'}")

    def _list(self, limit: int | None, filters: Mapping[str, object]) -> "_Entries":
        conditions = {name: value for name, value in filters.items() if value is not None}
        clause = " AND ".join(_FILTERS[name] for name in conditions) or "1"
        return self._select(
            f"WHERE {clause} ORDER BY created DESC, run_id LIMIT :limit",
            {**conditions, "limit": -1 if limit is None else max(limit, 0)},
        )

    def _select(self, clause: str, values: Mapping[str, object]) -> "_Entries":
        if self.is_lost():
            return []
        names = _COLUMNS.split(", ")
        with self._connect() as connection:
            # Reading does not upgrade the file, which may be read-only.
            lacking = set(_LATER) - _present(connection)
            columns = ", ".join(f"NULL AS {name}" if name in lacking else name for name in names)
            rows = connection.execute(f"SELECT {columns} FROM runs {clause}", values).fetchall()
        try:
            marked = set(self.favourites.ids())
            return [
                RunEntry.model_validate({**dict(zip(names, row, strict=True)), "favourite": row[0] in marked})
                for row in rows
            ]
        except ValidationError as error:
            raise damaged_file(self.path, f"a line that cannot be: {invalid(error)}") from error


def _open(path: Path) -> AbstractAsyncContextManager[WriteBatcher]:
    return open_grouped(path, _make, upgrade=_brought_up, patience_s=BUSY_S)


def _make(fresh: sqlite3.Connection) -> None:
    fresh.executescript(_SCHEMA)
    _brought_up(fresh)


def _upsert(connection: sqlite3.Connection, entry: RunEntry) -> None:
    row = (
        entry.run_id,
        stamp(entry.created),
        stamp(entry.updated),
        entry.status,
        entry.outcome,
        entry.prompt,
        entry.library,
        entry.score,
        entry.cost_usd,
        entry.calls,
        entry.parent_run,
        entry.prompt.casefold(),
    )
    connection.execute(
        f"INSERT INTO runs ({_COLUMNS}, folded) VALUES ({', '.join('?' * len(row))}) "
        "ON CONFLICT (run_id) DO UPDATE SET updated = excluded.updated, status = excluded.status, "
        "outcome = excluded.outcome, prompt = excluded.prompt, library = excluded.library, "
        "score = excluded.score, cost_usd = excluded.cost_usd, calls = excluded.calls, "
        "parent_run = COALESCE(excluded.parent_run, parent_run), folded = excluded.folded",
        row,
    )


def _brought_up(connection: sqlite3.Connection) -> None:
    """Add missing columns to a file of an earlier version. Two processes may do so at once."""
    create_removals(connection)
    present = _present(connection)
    for name, kind in _LATER.items():
        if present and name not in present:
            try:
                connection.execute(f"ALTER TABLE runs ADD COLUMN {name} {kind}")
            except sqlite3.OperationalError as error:
                if "duplicate column" not in str(error):
                    raise


def _present(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(runs)")}
