"""What a search keeps of the rows it found: only of the same version of the table, and not without end."""

import pytest

from imagerag.store.library import recent_records
from imagerag.store.library.recent_records import RecentRecords


def record(id: str) -> dict[str, object]:
    return {"id": id, "files": [f"{id}.png"], "caption": "a long text"}


def test_records_are_of_one_version() -> None:
    recent = RecentRecords()
    recent.keep(3, [record("a"), record("b")])
    recent.keep(3, [record("c")])
    assert recent.of(3, ["c", "a"]) == {"c": {"files": ["c.png"]}, "a": {"files": ["a.png"]}}
    assert recent.of(4, ["a"]) is recent.of(3, ["a", "x"]) is None
    recent.keep(4, [record("d")])
    assert recent.of(4, ["a"]) is recent.of(3, ["a"]) is None


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_records, "MOST", 2)
    recent = RecentRecords()
    recent.keep(1, [record("a"), record("b")])
    recent.keep(1, [record("a"), record("c")])
    assert recent.of(1, ["b"]) is None
    assert recent.of(1, ["a", "c"]) is not None


def test_records_without_files_are_not_kept() -> None:
    recent = RecentRecords()
    recent.keep(1, [{"id": "a"}])
    assert recent.of(1, ["a"]) is None
