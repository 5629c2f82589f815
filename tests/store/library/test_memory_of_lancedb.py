"""What LanceDB holds in memory is bounded, however often a library is written and however slowly a scan is used."""

import os
from typing import Any

import pyarrow as pa
import pytest

from imagerag.store.data_dir import DataDir
from imagerag.store.library import database, lancedb_import
from imagerag.store.library.lancedb_import import import_lancedb
from imagerag.store.library.schema import id_filter

ROWS = 10_000
"""An index of their ids takes 0.7 MB."""

CACHE = 2**20


def test_old_indexes_do_not_stay_in_memory(home: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    lancedb, sessions = import_lancedb(), list[Any]()

    def session(*limits: int) -> Any:
        sessions.append(made(*limits))
        return sessions[-1]

    made = lancedb.Session
    monkeypatch.setattr(lancedb, "Session", session)
    for limit in ("INDEX_CACHE", "METADATA_CACHE"):
        monkeypatch.setattr(database, limit, CACHE)
    ids = [f"{at:064}" for at in range(ROWS)]
    rows = pa.table({"id": ids})
    database.create_table(home, "ids", rows.schema)
    table = database.open_table(home, "ids")
    table.add(rows)
    for _ in range(6):
        table.create_index("id", config=lancedb.index.BTree(), replace=True)
        assert table.search().where(id_filter("id", ids[::100])).to_arrow().num_rows == ROWS / 100
    assert CACHE / 2 < sessions[-1].size_bytes < 2 * CACHE


@pytest.mark.parametrize("name", lancedb_import.SETTINGS)
@pytest.mark.parametrize("own", [None, "1000"])
def test_settings_of_lance_unless_told(monkeypatch: pytest.MonkeyPatch, name: str, own: str | None) -> None:
    monkeypatch.setenv(name, own) if own else monkeypatch.delenv(name, raising=False)
    import_lancedb.__wrapped__()
    assert os.environ[name] == (own or lancedb_import.SETTINGS[name])
