"""What a library's pictures can be told apart by, counted by Arrow part by part, is what counting row by row gives."""

from collections import Counter
from typing import Any

import pytest

from imagerag.agent.types import ImageRef
from imagerag.store.data_dir import DataDir
from imagerag.store.library.filters import facets as module
from imagerag.store.library.filters.facets import facets
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord, NewImage, as_text
from imagerag.store.library.thresholds import content

ROWS: list[dict[str, Any]] = [
    {"tags": ("a", "b"), "licence": "MIT", "metadata": {"price": 7, "maker": "Ann", "sold": True}},
    {"tags": ("a", "a"), "licence": "MIT", "metadata": {"price": 7.5, "maker": "Ann"}, "caption": "a cup"},
    {"tags": (), "licence": "", "metadata": {"price": "7", "none": None}, "caption": ""},
    {"caption": "ä"},
    {"tags": ("ü",), "licence": "CC0-1.0", "metadata": {"price": 7, "maker": "Ann", "sold": True}},
    {"metadata": {"weight": 3.0, "size": 1e-7, "big": 2**60, "when": "2024-05", "sold": "true", "empty": ""}},
    {"metadata": {"weight": 3, "size": -0.0, "big": 1e300, "when": "2024-05-01", "sold": False, "empty": "null"}},
]


@pytest.fixture
async def filled(library: Library, planted: Any) -> Library:
    rows = [ImageRecord(image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=1, height=1), **row)
            for at, row in enumerate(ROWS)]  # fmt: skip
    await library.upsert([NewImage(row=row, data=None, thumbnail=b"", vector=planted("red")) for row in rows])
    return library


@pytest.mark.parametrize(("read", "typed"), [(1, 200), (2, 200), (5, 200), (10_000, 200), (5, 0)])
async def test_counts(filled: Library, home: DataDir, read: int, typed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PART", read)
    monkeypatch.setattr(module, "MAX_COLUMNS", typed)
    found = facets(home, filled.name)
    assert (found.images, found.captioned) == (7, 2)
    assert found.tags == dict(Counter(tag for row in ROWS for tag in row.get("tags", ())))
    assert found.licences == {"": 4, "MIT": 2, "CC0-1.0": 1}
    keys: dict[str, Counter[str]] = {}
    for row in ROWS:
        for key, value in row.get("metadata", {}).items():
            keys.setdefault(key, Counter())[as_text(value)] += 1
    assert found.metadata == keys
    assert list(found.metadata) == sorted(keys)
    assert list(found.metadata["price"]) == ["7", "7.5"]


async def test_a_key_with_many_values_is_counted_for_those_that_came_first(
    filled: Library, home: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VALUES", 1)
    assert all(len(values) == 1 for values in facets(home, filled.name).metadata.values())


async def test_an_empty_library(library: Library, home: DataDir) -> None:
    found = facets(home, library.name)
    assert (found.images, found.captioned, found.tags, found.licences, found.metadata) == (0, 0, {}, {}, {})
