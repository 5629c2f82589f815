"""The list of runs: what was asked, when, and how it ended.

A small table beside the checkpoints, so that ten thousand runs are listed without opening one.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.types import Outcome, Value
from imagerag.store.sqlite import BUSY_S, appearing

RunStatus = Literal["running", "interrupted", "ended"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, created TEXT NOT NULL, updated TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT,
    prompt TEXT NOT NULL, library TEXT, score REAL, folded TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_created ON runs (created DESC);
"""
_COLUMNS = "run_id, created, updated, status, outcome, prompt, library, score"


def _now() -> datetime:
    return datetime.now(UTC)


class RunEntry(Value):
    """One line of the list.

    Attributes:
        created: when the run was first recorded; a later entry for the same run does not change it.
        outcome: None until the run has ended.
        score: of the best attempt, in [0, 1]; None when there is none.
    """

    run_id: str = Field(min_length=1)
    prompt: str
    status: RunStatus = "running"
    outcome: Outcome | None = None
    library: str | None = None
    score: float | None = None
    created: AwareDatetime = Field(default_factory=_now)
    updated: AwareDatetime = Field(default_factory=_now)


_Entries = list[RunEntry]
"""Named here because inside the class `list` is the method."""


class RunList:
    """The list of runs in one SQLite file; any number of processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def upsert(
        self,
        run_id: str,
        *,
        prompt: str,
        status: RunStatus,
        outcome: Outcome | None = None,
        library: str | None = None,
        score: float | None = None,
    ) -> RunEntry:
        """Add a run, or replace what is known of it: all but when it was created."""
        entry = RunEntry(run_id=run_id, prompt=prompt, status=status, outcome=outcome, library=library, score=score)
        await asyncio.to_thread(self._upsert, entry)
        return entry

    async def get(self, run_id: str) -> RunEntry:
        """The run of that id, or of the only id that begins with it.

        Raises:
            UnknownRunError: none, or several; names the most recent ones, or those that fit.
        """
        return await asyncio.to_thread(self._get, run_id)

    async def list(
        self, limit: int | None = 50, *, outcome: Outcome | str | None = None, text: str | None = None
    ) -> "_Entries":
        """Runs, newest first.

        Args:
            limit: at most so many; None for all.
            outcome: only runs that ended so.
            text: only runs whose prompt contains it, whatever the case.
        """
        return await asyncio.to_thread(self._list, limit, outcome, text)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with appearing(self.path) as fresh:
            if fresh is not None:
                with closing(sqlite3.connect(fresh)) as connection:
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.executescript(_SCHEMA)
        with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as connection, connection:
            yield connection

    def _upsert(self, entry: RunEntry) -> None:
        row = (
            entry.run_id,
            entry.created.astimezone(UTC).isoformat(timespec="microseconds"),
            entry.updated.astimezone(UTC).isoformat(timespec="microseconds"),
            entry.status,
            entry.outcome,
            entry.prompt,
            entry.library,
            entry.score,
            entry.prompt.casefold(),
        )
        with self._connect() as connection:
            connection.execute(
                f"INSERT INTO runs ({_COLUMNS}, folded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET updated = excluded.updated, status = excluded.status, "
                "outcome = excluded.outcome, prompt = excluded.prompt, library = excluded.library, "
                "score = excluded.score, folded = excluded.folded",
                row,
            )

    def _get(self, run_id: str) -> RunEntry:
        # substr, not LIKE: a prefix with % or _ in it is still only a prefix.
        found = self._select(
            "WHERE substr(run_id, 1, length(:id)) = :id ORDER BY run_id = :id DESC, run_id LIMIT 6", {"id": run_id}
        )
        if run_id and found and (found[0].run_id == run_id or len(found) == 1):
            return found[0]
        if run_id and found:
            raise UnknownRunError(f"several runs begin with {run_id!r}: {', '.join(run.run_id for run in found)}")
        recent = ", ".join(run.run_id for run in self._list(5, None, None))
        known = f"the most recent are {recent}; `imagerag runs` lists all" if recent else "there are none yet"
        raise UnknownRunError(f"no run {run_id!r}: {known}")

    def _list(self, limit: int | None, outcome: str | None, text: str | None) -> "_Entries":
        return self._select(
            "WHERE (:outcome IS NULL OR outcome = :outcome) AND (:text IS NULL OR instr(folded, :text) > 0) "
            "ORDER BY created DESC, run_id LIMIT :limit",
            {
                "outcome": outcome,
                "text": text.casefold() if text else None,
                "limit": -1 if limit is None else max(limit, 0),
            },
        )

    def _select(self, clause: str, values: Mapping[str, object]) -> "_Entries":
        if not self.path.exists():
            return []
        with self._connect() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM runs {clause}", values).fetchall()
        names = _COLUMNS.split(", ")
        return [RunEntry.model_validate(dict(zip(names, row, strict=True))) for row in rows]
