"""Images that a library holds more than once are grouped around the one that is kept."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.types import ImageRef
from imagerag.store.library.arrow_tables import to_table
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance import similar_pairs as pairs
from imagerag.store.library.maintenance.duplicates import (
    RANKED_BY,
    find_duplicates,
    kept_images,
    rank_columns,
    ranked,
)
from imagerag.store.library.maintenance.image_selection import path_of
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage, schema


async def test_similar_images_are_grouped(library: Library, folder: Path, picture: Any) -> None:
    for mark in (1, 2):
        (folder / f"red-{mark}.png").write_bytes(picture("red", mark=mark, size=(24 * (mark + 1), 16)))
    await index([folder], library)
    found = await find_duplicates(library, threshold=0.95)
    (group,) = found.groups
    assert (group.kept.title, {one.title for one in group.others}) == ("red-2", {"red", "red-1"})
    assert all(one.similarity >= 0.95 for one in group.others)
    first = await find_duplicates(library, threshold=0.95, keep="first")
    assert first.groups[0].kept.title == min(("red", "red-1", "red-2"), key=lambda name: f"{name}.png")
    assert (await find_duplicates(library, threshold=0.9999)).groups == ()


async def test_without_a_threshold_one_is_asked_for(library: Library, folder: Path) -> None:
    with pytest.raises(
        UsageError, match=r"not measured yet: `rag\.libraries\.calibrate\('shop'\)`\. Or give .*`threshold="
    ):
        await find_duplicates(library)


async def test_where_none_could_be_measured_nobody_is_sent_to_measure_it_again(library: Library, folder: Path) -> None:
    await index([folder / "red.png"], library)
    assert library.image_threshold is None
    with pytest.raises(UsageError, match=r"too few images .* Or give one: `threshold=") as told:
        await find_duplicates(library)
    assert "calibrate" not in str(told.value)


def record(number: int, width: int = 2, taken: datetime | None = None, paths: Sequence[str] = ()) -> ImageRecord:
    image = ImageRef(sha256=f"{number:064x}", media_type="image/png", width=width, height=2)
    files = tuple(FileEntry(path, 1, 1, 1) for path in paths)
    return ImageRecord(image=image, taken=taken, source=f"/x/{number}.png", files=files)


def columns_of(rows: Sequence[ImageRecord]) -> pa.Table:
    vector = np.zeros(2, dtype=np.float32)
    return to_table([NewImage(row=row, data=None, thumbnail=b"", vector=vector) for row in rows], schema(2))


def test_which_is_kept() -> None:
    early, late = datetime(2001, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    keys = rank_columns(columns_of([record(1, 5, late), record(2, 9), record(3, 5, early)]))
    kept = {keep: ranked(keys, keep)[0].as_py()[-1] for keep in RANKED_BY}
    assert kept == {"largest": "2", "oldest": "3", "first": "1"}


def test_images_are_ranked_by_the_path_that_is_shown() -> None:
    rows = [record(1, paths=["/z.png", "/zz.png"]), record(2), record(3, paths=["/b.png"]), record(4)]
    keys = rank_columns(pa.concat_tables([columns_of(rows[:1]), columns_of(rows[1:])]))
    assert keys["path"].to_pylist() == [path_of(row) for row in rows]
    assert [one[-1] for one in ranked(keys, "first").to_pylist()] == ["3", "2", "4", "1"]
    earlier = rank_columns(columns_of(rows).drop_columns(["files", "size_bytes", "taken"]))
    assert [one[-1] for one in ranked(earlier, "oldest").to_pylist()] == ["1", "2", "3", "4"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=24),
    st.sampled_from([0.9, 0.99]),
    st.booleans(),
)
@example(
    [(0, 0)] * 3 + [(1, 1)] + [(0, 0)] * 3 + [(1, 0), (1, 0), (1, 1), (2, 0), (0, 0), (1, 1), (2, 0), (1, 0), (1, 0)],
    0.9,
    True,
)
def test_groups_are_apart_and_each_is_near_its_kept_image(
    angles: list[tuple[int, int]], limit: float, large: bool
) -> None:
    turned = np.array([quarter * 1.5 + small / 60 for quarter, small in angles])
    vectors = np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "ROWS", 3)
        patch.setattr(pairs, "COLUMNS", 5)
        if large:
            patch.setattr(pairs, "EXACT", 0)
        kept, cosines = kept_images(vectors, limit)
    apart = [one for one in range(len(kept)) if kept[one] == one]
    assert all(float(vectors[a] @ vectors[b]) < limit + 1e-6 for a in apart for b in apart if a != b)
    for one, first in enumerate(kept):
        assert kept[first] == first <= one
        assert float(vectors[one] @ vectors[first]) == pytest.approx(cosines[one], abs=1e-6)
        assert cosines[one] >= limit - 1e-6
        assert all(float(vectors[one] @ vectors[other]) < limit + 1e-6 for other in apart if other < first)


async def test_a_large_library_says_that_not_all_were_compared(
    library: Library, folder: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "red-1.png").write_bytes(picture("red", mark=1))
    await index([folder], library)
    small = await find_duplicates(library, threshold=0.95)
    monkeypatch.setattr(pairs, "EXACT", 2)
    large = await find_duplicates(library, threshold=0.95)
    assert (small.exact, large.exact) == (True, False)
    [(one, other)] = zip(small.groups, large.groups, strict=True)
    assert (one.kept, [image.id for image in one.others]) == (other.kept, [image.id for image in other.others])
    assert one.others[0].similarity == pytest.approx(other.others[0].similarity, abs=5e-4)
