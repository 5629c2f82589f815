"""Daily spending of the servers of one home, stored on disk so that a restart does not reset the day.

The maximum is reserved before it is spent, and replaced by the actual amount afterwards. If the process dies in
between, the reserved maximum stays.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imagerag.store.sqlite.connection import BUSY_S, connect, create_tables
from imagerag.store.storage_errors import storage_errors


@dataclass(frozen=True)
class Amount:
    """Model calls, and US dollars."""

    calls: int = 0
    usd: float = 0.0


def today() -> str:
    """The current day in UTC."""
    return datetime.now(UTC).date().isoformat()


@dataclass(frozen=True)
class DailyUsage:
    """Spending by day.

    Attributes:
        path: the SQLite file; created on the first write.
    """

    path: Path

    def spent(self, day: str) -> Amount:
        """The amount spent or reserved on a day."""
        with self._open() as connection:
            return _sum(connection, day)

    def take(self, day: str, amount: Amount, most: Amount) -> int | None:
        """Reserve an amount; None if the total of the day would exceed `most`.

        Returns:
            The number of the entry, to `settle` it.
        """
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            spent = _sum(connection, day)
            if spent.calls + amount.calls > most.calls or spent.usd + amount.usd > most.usd + 1e-9:
                connection.execute("ROLLBACK")
                return None
            entry = connection.execute(
                "INSERT INTO spending (day, calls, usd) VALUES (?, ?, ?)", (day, amount.calls, amount.usd)
            ).lastrowid
            connection.execute("COMMIT")
            return entry

    def settle(self, entry: int, amount: Amount) -> None:
        """Replace a reserved amount by the actual one."""
        with self._open() as connection:
            connection.execute("UPDATE spending SET calls = ?, usd = ? WHERE id = ?", (amount.calls, amount.usd, entry))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        create_tables(self.path, _make)
        with storage_errors(self.path), closing(connect(self.path, timeout=BUSY_S, isolation_level=None)) as connection:
            yield connection


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE spending (id INTEGER PRIMARY KEY, day TEXT, calls INTEGER, usd REAL)")
    connection.execute("CREATE INDEX by_day ON spending (day)")


def _sum(connection: sqlite3.Connection, day: str) -> Amount:
    calls, usd = connection.execute(
        "SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(usd), 0) FROM spending WHERE day = ?", (day,)
    ).fetchone()
    return Amount(calls, usd)
