"""Few rows of a large library are updated one by one, with the same result as a merge of columns, and stay indexed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from imagerag.agent.types import ImageRef
from imagerag.store.library import table_columns
from imagerag.store.library.library import Library
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage

HOSTILE = (
    "x' OR '1'='1", '"; DROP TABLE t; --', "a\\", "`a`", "%", "'", "''", "\\'", "[a, b]", "\n\t\r", "\u2028", "NULL",
    "ÉCOLE", "𝔘", "$1", "?", ":x", "/*", "{}", "",
)  # fmt: skip
TIMES = (None, *(datetime(year, 5, 3, 1, 2, 3, 456789, tzinfo=UTC) for year in (1, 2024, 9999)))
NUMBERS = (1, -0.5, 1e300, 2**53, "7", True, None)
COORDINATES = (None, -12.345678901234567, 1e-300)
FILES = (FileEntry("/it's", 2**40, 2**63 - 1, -5), FileEntry("/b", 0, -(2**63), 0))


def edited(row: ImageRecord, at: int) -> ImageRecord:
    """A row with other values of every kind."""
    text, other = HOSTILE[at], HOSTILE[at - 1]
    return replace(
        row, title=text, caption=other, licence=text, camera=other, language="de", source=text, described=text,
        tags=tuple(filter(None, (text, other)[: at % 3])), taken=TIMES[at % len(TIMES)],
        latitude=COORDINATES[at % 3], longitude=COORDINATES[at % 2],
        metadata={"kind": text, "it's": NUMBERS[at % len(NUMBERS)]},
    )  # fmt: skip


async def fill(library: Library) -> list[ImageRecord]:
    """One image for each text, with all indexes."""
    records = [
        ImageRecord(image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=1, height=1), title=f"Item {at}")
        for at in range(len(HOSTILE))
    ]
    vectors = np.eye(library.metadata.dimension, dtype=np.float32)
    await library.upsert(
        [NewImage(row=row, data=None, thumbnail=b"t", vector=vectors[at]) for at, row in enumerate(records)]
    )
    await library.optimize()
    return records


def unindexed(lance: Any) -> dict[str, int]:
    """Rows that are missing from each index."""
    return {one.columns[0]: lance.index_stats(one.name).num_unindexed_rows for one in lance.list_indices()}


@pytest.mark.parametrize("few", [0, 1])
async def test_values_of_every_kind_are_written_as_they_are(
    few: float, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_columns, "FEW", few)
    merged = list[Any]()
    monkeypatch.setattr(table_columns, "index_ids", merged.append)
    wanted = [edited(row, at) for at, row in enumerate(await fill(library))]
    merged.clear()
    for at, row in enumerate(wanted):
        await library.update([row])
        await library.update_files({row.id: FILES[: at % 3]})
    assert bool(merged) is not bool(few)
    assert await library.rows() == [replace(row, files=FILES[: at % 3]) for at, row in enumerate(wanted)]
    thumbnails = library.table.lance.search().select(["thumbnail", "vector"]).to_arrow().to_pylist()
    assert all(row["thumbnail"] == b"t" and sum(row["vector"]) == 1 for row in thumbnails)


async def test_rows_that_do_not_change_stay_in_all_indexes(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_columns, "FEW", 0.1)
    monkeypatch.setattr("imagerag.store.library.search.INDEX_FROM", 1)
    monkeypatch.setattr("imagerag.store.library.search.FILTERED_FROM", 1)
    records, lance = await fill(library), library.table.lance
    assert {"id", "vector", "caption", "title"} <= unindexed(lance).keys()
    await library.update([replace(row, caption=f"zebra {row.title}") for row in records[:2]], {"caption"})
    assert {name: count for name, count in unindexed(lance).items() if count} == {"caption": 2}
    found = await library.search_words("zebra", k=3)
    assert {hit.image.sha256 for hit in found} == {row.id for row in records[:2]}
    await library.update([replace(row, caption="zebra") for row in records[:3]], {"caption"})  # too many
    assert unindexed(lance)["caption"] == len(records)
    assert len(await library.search_words("zebra", k=5)) == 3
    assert len(await library.search("anything", k=len(records))) == len(records)
