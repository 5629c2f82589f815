"""Images that were found by a link leave the library when the link and what it led to are gone, and no earlier."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.indexing.known_links import LINKS, read_links
from imagerag.store.library.library import Library


@pytest.fixture
def disk(tmp_path: Path, picture: Any) -> Path:
    """A folder with an image, and one below it with two."""
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    for mark, name in enumerate(("a.png", "deep/b.png", "deep/c.png")):
        (tmp_path / "disk" / name).write_bytes(picture("red", mark=mark))
    return tmp_path / "disk"


async def names(library: Library) -> set[str]:
    return {Path(file.path).name for row in await library.rows() for file in row.files}


@pytest.mark.parametrize("inside", [False, True])
async def test_a_link_that_is_gone_with_its_folder(disk: Path, library: Library, *, inside: bool) -> None:
    """Also one that was found in another folder that is indexed."""
    link = disk.with_name("links") / "link"
    link.parent.mkdir()
    link.symlink_to(disk / "deep")
    await index([link.parent if inside else link], library)
    await index([disk], library)
    assert {str(file.path) for row in await library.rows() for file in row.files if row.title != "a"} == {
        str(link / "b.png"), str(link / "c.png"),
    }  # fmt: skip
    shutil.rmtree(disk / "deep")
    shutil.rmtree(link.parent)
    report = await index([disk], library, dry_run=True)
    assert (report.removed, report.unchanged) == (2, 1)
    report = await index([disk], library)
    assert (report.removed, report.missing, await names(library)) == (2, 0, {"a.png"})
    await index([disk], library)
    assert read_links(library.folder) == {}, "a link that no image needs is forgotten"


async def test_a_link_to_a_file_that_is_gone_with_it(disk: Path, library: Library) -> None:
    link = disk.with_name("link.png")
    link.symlink_to(disk / "a.png")
    await index([link], library)
    await index([disk], library)
    (disk / "a.png").unlink()
    link.unlink()
    assert (await index([disk], library)).removed == 1
    assert await names(library) == {"b.png", "c.png"}


async def test_a_link_that_is_gone_alone_takes_out_nothing_elsewhere(disk: Path, library: Library) -> None:
    link = disk.with_name("link")
    link.symlink_to(disk / "deep")
    await index([link], library)
    link.unlink()
    report = await index([disk], library, exclude=["deep"])
    assert (report.added, report.removed, report.missing) == (1, 0, 0)
    report = await index([disk], library)
    assert (report.moved, report.unchanged) == (2, 1)


async def test_a_disk_that_is_not_mounted_below_a_link(disk: Path, library: Library, picture: Any) -> None:
    """The link leads nowhere, or is gone itself: the folder of the disk is empty."""
    root = disk.with_name("root")
    root.mkdir()
    (root / "own.png").write_bytes(picture("blue"))
    (root / "link").symlink_to(disk / "deep")
    await index([root], library)
    shutil.rmtree(disk)
    disk.mkdir()
    report = await index([root], library)
    assert (report.removed, report.missing, report.unchanged) == (0, 2, 1)
    assert "not mounted" in report.warnings[-1]
    (root / "link").unlink()
    assert (await index([disk], library)).missing == 2
    assert (await index([root], library)).removed == 2, "who removes the link removes its images"


async def test_damaged_notes_of_links_are_none(disk: Path, library: Library) -> None:
    await index([disk], library)
    for text in ("{", "[1]", '{"a": 1}'):
        (library.folder / LINKS).write_text(text)
        assert (await index([disk], library)).unchanged == 3
        assert read_links(library.folder) == {}
