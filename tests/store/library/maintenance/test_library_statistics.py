"""What `library stats` counts and measures."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.library_disk_usage import DiskUse, disk_use
from imagerag.store.library.maintenance.statistics import library_statistics


async def test_an_empty_library_has_statistics(library: Library) -> None:
    found = await library_statistics(library)
    assert (found.images, found.captions, found.megapixels, found.caption_similarity) == (0, 0, None, None)
    assert found.disk.total > 0


async def test_all_of_it_is_counted(library: Library, folder: Path, picture: Any) -> None:
    (folder / "large.jpg").write_bytes(picture("red", size=(2000, 1000), form="JPEG"))
    await index([folder], library)
    rows = await library.rows()
    dates = [datetime(2023, 5, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)]
    cameras = ["X100", "X100", "M6"]
    changed = [replace(row, taken=dates[n], camera=cameras[n], licence="CC0-1.0") for n, row in enumerate(rows[:3])]
    await library.update(changed)
    found = await library_statistics(library)
    assert (found.images, found.captions, found.titles, found.tagged) == (9, 8, 9, 0)
    assert found.formats == {"image/png": 8, "image/jpeg": 1}
    assert found.cameras == {"": 6, "X100": 2, "M6": 1}
    assert found.licences == {"": 6, "CC0-1.0": 3}
    assert found.years == {"": 6, "2023": 1, "2024": 2}
    assert (found.first_taken, found.last_taken) == (dates[0], dates[2])
    assert found.megapixels == (24 * 16 / 1e6, 24 * 16 / 1e6, 2.0)


async def test_captions_that_lie_far_from_their_images_are_named(library: Library, folder: Path) -> None:
    (folder / "blue.txt").write_text("a red card")
    await index([folder], library)
    near = (await library_statistics(library)).caption_similarity
    assert near is not None
    assert near.measured == 8
    assert near.worst[0].caption == "a red card"
    assert [one.similarity for one in near.worst] == sorted(one.similarity for one in near.worst)
    blue = next(row for row in await library.rows() if row.title == "blue")
    assert near.worst[0].id == blue.id
    assert near.threshold == library.threshold
    assert 0 < near.accept_rate <= 1


async def test_disk_use_is_all_that_is_in_the_folder(library: Library, folder: Path) -> None:
    await index([folder], library)
    library.table.images.write("ab" * 32, b"x" * 1000)
    found = disk_use(library.folder)
    files = [path for path in library.folder.rglob("*") if path.is_file()]
    assert found.total == sum(path.stat().st_size for path in files)
    assert found.copies == sum(path.stat().st_size for path in files if path.parent.parent.name == "images")
    assert found.rows > 0
    assert disk_use(library.folder / "nowhere") == DiskUse()
