"""Every kind of index that a library has is read."""

from pathlib import Path
from typing import Any

import pytest

from imagerag.store.data_dir import DataDir
from imagerag.store.integrity_check import integrity_problems
from imagerag.store.library import search
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library


@pytest.mark.parametrize("with_values", [True, False])
async def test_indexes_of_filters_are_read(
    home: DataDir, library: Library, folder: Path, with_values: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FILTERED_FROM", 1)
    values: dict[str, Any] = {"price": 2.5, "sold": True, "maker": "O'Neill"} if with_values else {}
    await index([folder], library)
    rows = await library.rows()
    await library.update([row.__class__(image=row.image, files=row.files, metadata=values) for row in rows])
    await library.optimize()
    kinds = {one.index_type for one in library.table.lance.list_indices()}
    assert {"BTree", "Bitmap"} <= kinds
    assert list(integrity_problems(home)) == []
