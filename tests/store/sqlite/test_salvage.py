"""Of a damaged SQLite file every row that SQLite can still read is saved, and the lost ones are counted."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langgraph.store.sqlite import SqliteStore

from imagerag.store.sqlite.salvage import Salvaged, salvage

ENTRIES = 300
PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of some hundred answers, every third of which takes several pages."""
    path = tmp_path_factory.mktemp("whole") / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        SqliteStore(connection).setup()
        rows = [
            (f"journal.run-{n % 7}", f"key-{n:03}", json.dumps({"n": n, "text": "x" * (6000 if n % 3 == 0 else 40)}))
            for n in range(ENTRIES)
        ]
        connection.executemany("INSERT INTO store (prefix, key, value) VALUES (?, ?, ?)", rows)
        connection.commit()
    return path


def rows_of(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(connection.execute("SELECT prefix || key, value FROM store"))


def salvaged(damaged: Path, folder: Path) -> tuple[Salvaged, dict[str, str]]:
    """What is saved, which is checked to be what was there."""
    fresh = folder / "fresh" / "store.sqlite"
    fresh.parent.mkdir()
    before = damaged.read_bytes()
    told = salvage(damaged, fresh)
    assert damaged.read_bytes() == before
    rows = rows_of(fresh) if fresh.exists() else {}
    assert len(rows) == told.saved
    shutil.rmtree(folder / "fresh", ignore_errors=True)
    return told, rows


def test_any_page_can_be_damaged(whole: Path, tmp_path: Path) -> None:
    """Each page but the first, which says where the tables are."""
    data, wanted = whole.read_bytes(), rows_of(whole)
    damaged = tmp_path / "store.sqlite"
    lost = []
    for start in range(PAGE, len(data), PAGE * 7):
        damaged.write_bytes(data[:start] + b"\xa5" * PAGE + data[start + PAGE :])
        told, rows = salvaged(damaged, tmp_path)
        assert rows.items() <= wanted.items()
        assert told.saved + told.lost == ENTRIES or not told.all_known
        lost.append(ENTRIES - told.saved)
    assert len(lost) > 20
    assert max(lost) < ENTRIES  # the worst is the page above all leaves
    assert sorted(lost)[len(lost) // 2] <= 4  # a page holds some rows


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_was_cut_off_is_lost_and_the_rest_is_saved(whole: Path, tmp_path: Path, share: float) -> None:
    data, wanted = whole.read_bytes(), rows_of(whole)
    damaged = tmp_path / "store.sqlite"
    damaged.write_bytes(data[: int(len(data) * share)])
    told, rows = salvaged(damaged, tmp_path)
    assert rows.items() <= wanted.items()
    assert told.saved > ENTRIES * share * 0.7
    assert told.saved < ENTRIES


def test_an_undamaged_file_comes_back_whole(whole: Path, tmp_path: Path) -> None:
    told, rows = salvaged(Path(shutil.copy(whole, tmp_path)), tmp_path)
    assert (told, rows) == (Salvaged(saved=ENTRIES), rows_of(whole))
    assert str(told) == "300 rows saved, 0 lost"


@pytest.mark.parametrize("data", [b"", b"\0" * 8192, b"garbage" * 1000], ids=["empty", "zeros", "garbage"])
def test_of_what_is_no_database_nothing_is_made(data: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / "store.sqlite"
    damaged.write_bytes(data)
    told, rows = salvaged(damaged, tmp_path)
    assert (told.saved, rows, told.all_known) == (0, {}, False)


def test_a_row_whose_bytes_were_overwritten_is_not_taken_for_an_answer(whole: Path, tmp_path: Path) -> None:
    """SQLite does not see it: it has no sums over its pages."""
    data = whole.read_bytes().replace(b'{"n": 100,', b'{"n": \xff\xff\xff,', 1).replace(b'{"n": 101,', b'{"n" 1011,', 1)
    damaged = tmp_path / "store.sqlite"
    damaged.write_bytes(data)
    told, _ = salvaged(damaged, tmp_path)
    assert (told.saved, told.lost) == (ENTRIES - 2, 2)


def test_changes_that_lie_in_a_wal_are_saved_too(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.sqlite", tmp_path / "copy" / "store.sqlite"
    copy.parent.mkdir()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        SqliteStore(writer).setup()
        writer.execute("INSERT INTO store (prefix, key, value) VALUES ('a', 'b', '{}')")
        writer.commit()
        for name in ("store.sqlite", "store.sqlite-wal"):  # as a process leaves them that was killed
            shutil.copy(tmp_path / name, copy.with_name(name))
    assert salvaged(copy, tmp_path)[0].saved == 1
