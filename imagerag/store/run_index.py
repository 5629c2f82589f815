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
from imagerag.formatting.interface_terms import python_call
from imagerag.formatting.messages import invalid, near
from imagerag.store.favourites import Favourites
from imagerag.store.run_removals import RunRemovals, stamp
from imagerag.store.run_table import COLUMNS, LATER, open_table, present_columns, upsert_row
from imagerag.store.sqlite.connection import BUSY_S, connect
from imagerag.store.sqlite.pool import PerLoopResource
from imagerag.store.storage_errors import damaged_file, storage_errors

RunStatus = Literal["running", "interrupted", "ended"]

_FILTERS = {
    "outcome": "outcome = :outcome",
    "text": "instr(folded, :text) > 0",
    "status": "status = :status",
    "library": "library = :library",
    "since": "created >= :since",
    "until": "created < :until",
    "min_cost": "cost_usd >= :min_cost",
    "max_cost": "cost_usd <= :max_cost",
    "parent_run": "parent_run = :parent_run",
    "after": "(created, run_id) < (:after_created, :after)",
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
        image: SHA-256 of the best attempt's image; None when there is none, or nobody noted it yet.
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
    image: str | None = None
    favourite: bool = False
    created: AwareDatetime = Field(default_factory=_now)
    updated: AwareDatetime = Field(default_factory=_now)


_Entries = list[RunEntry]
_Rows = list[tuple[Any, ...]]
"""Named here because inside the class `list` is the method."""


class RunIndex:
    """The list of runs in one SQLite file; any number of processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.favourites = path, Favourites(path.with_name("favourites"))
        self._writing = PerLoopResource(partial(open_table, path))
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
        image: str | None = None,
        created: datetime | None = None,
    ) -> RunEntry:
        """Add a run, or replace its entry, except the time of its creation.

        Args:
            created: start of a new run under the same id, as on a server's thread: nothing of the earlier run is kept
                then.
        """
        if created is not None:
            await self._forget(run_id, before=created)
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
            image=image,
            created=created or _now(),
        )
        async with self._writing.use() as grouped:
            await grouped.write(partial(upsert_row, grouped.connection, entry))
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
        parent_run: str | None = None,
        after: tuple[datetime, str] | None = None,
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
            parent_run: only runs that come from this one.
            after: only runs that are listed after the one of this time of creation and this id, which may be gone: the
                next page of a list.
            favourite: only favourites, or only others.
        """
        filters = {
            "outcome": outcome,
            "text": text,
            "status": status,
            "library": library,
            "since": since,
            "until": until,
            "min_cost": min_cost,
            "max_cost": max_cost,
            "parent_run": parent_run,
            "after": after,
            "favourite": favourite,
        }
        return await asyncio.to_thread(self._list, limit, filters)

    async def count(self, **filters: Any) -> int:
        """Number of runs that `list` gives with these filters."""
        return await asyncio.to_thread(self._count, filters)

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
        hint = f"{question} most recent are {', '.join(recent)}; {python_call('runs.list')} lists all"
        raise UnknownRunError(f"no run {run_id[:60]!r}{hint if recent else '; there are none yet'}")

    def _list(self, limit: int | None, filters: Mapping[str, object]) -> "_Entries":
        clause, values = self._where(filters)
        return self._select(
            f"WHERE {clause} ORDER BY created DESC, run_id DESC LIMIT :limit",
            {**values, "limit": -1 if limit is None else max(limit, 0)},
        )

    def _count(self, filters: Mapping[str, object]) -> int:
        clause, values = self._where(filters)
        rows = self._rows("COUNT(*)", f"WHERE {clause}", values)
        return int(rows[0][0]) if rows else 0

    def _where(self, filters: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """The condition of a query, and its values."""
        values = {name: value for name, value in filters.items() if value is not None and value != ""}
        if "favourite" in values:
            values["favourites" if values.pop("favourite") else "others"] = json.dumps(self.favourites.ids())
        for name, value in values.items():
            if isinstance(value, datetime):
                values[name] = stamp(value)
            elif name == "text":
                values[name] = str(value).casefold()
        clause = " AND ".join(_FILTERS[name] for name in values) or "1"
        if isinstance(place := values.get("after"), tuple):
            values |= {"after_created": stamp(place[0]), "after": place[1]}
        return clause, values

    def _rows(self, columns: str, clause: str, values: Mapping[str, object]) -> "_Rows":
        if self.is_lost():
            return []
        with self._connect() as connection:
            # Reading does not upgrade the file, which may be read-only.
            empty = "".join(f", NULL AS {name}" for name in sorted(set(LATER) - present_columns(connection)))
            return connection.execute(f"SELECT {columns} FROM (SELECT *{empty} FROM runs) {clause}", values).fetchall()

    def _select(self, clause: str, values: Mapping[str, object]) -> "_Entries":
        rows = self._rows(", ".join(COLUMNS), clause, values)
        try:
            marked = set(self.favourites.ids())
            return [
                RunEntry.model_validate({**dict(zip(COLUMNS, row, strict=True)), "favourite": row[0] in marked})
                for row in rows
            ]
        except ValidationError as error:
            raise damaged_file(self.path, f"a line that cannot be: {invalid(error)}") from error
