"""Images that a library holds more than once are grouped around the one that is kept."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.types import ImageRef
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.duplicates import ORDERS, _grouped, _neighbours, find_duplicates
from imagerag.store.library.schema import ImageRecord


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
    with pytest.raises(UsageError, match=r"not measured yet: imagerag library calibrate shop\. Or give .*--threshold"):
        await find_duplicates(library)


async def test_where_none_could_be_measured_nobody_is_sent_to_measure_it_again(library: Library, folder: Path) -> None:
    await index([folder / "red.png"], library)
    assert library.image_threshold is None
    with pytest.raises(UsageError, match=r"too few images .* Or give one: --threshold") as told:
        await find_duplicates(library)
    assert "calibrate" not in str(told.value)


def record(number: int, width: int = 2, taken: datetime | None = None) -> ImageRecord:
    image = ImageRef(sha256=f"{number:064x}", media_type="image/png", width=width, height=2)
    return ImageRecord(image=image, taken=taken, source=f"/x/{number}.png")


def test_which_is_kept() -> None:
    early, late = datetime(2001, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    rows = [record(1, 5, late), record(2, 9), record(3, 5, early)]
    kept = {keep: min(rows, key=order).id[-1] for keep, order in ORDERS.items()}
    assert kept == {"largest": "2", "oldest": "3", "first": "1"}


ANGLES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=24)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=24), st.sampled_from([0.9, 0.99])
)
def test_groups_are_apart_and_each_is_near_its_kept_image(angles: list[tuple[int, int]], limit: float) -> None:
    turned = np.array([quarter * 1.5 + small / 60 for quarter, small in angles])
    vectors = np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
    rows = {row.id: row for row in (record(number) for number in range(len(angles)))}
    ids = sorted(rows)
    groups = _grouped(ids, rows, range(len(ids)), _neighbours(vectors, limit))
    members = [one.id for group in groups for one in (group.kept, *group.others)]
    assert len(members) == len(set(members))
    kept = [ids.index(one) for one in ids if one not in {other.id for group in groups for other in group.others}]
    assert all(float(vectors[a] @ vectors[b]) < limit + 1e-6 for a in kept for b in kept if a != b)
    for group in groups:
        for one in group.others:
            assert float(vectors[ids.index(one.id)] @ vectors[ids.index(group.kept.id)]) >= limit - 1e-6
