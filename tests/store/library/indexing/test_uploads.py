"""Images by their bytes: kept inside, without a path, and one that cannot be read ends nothing."""

from collections.abc import Callable
from pathlib import Path

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.indexing.uploads import UploadedImage, add_uploads
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.removal import remove_images
from imagerag.store.library.maintenance.verification import verify_table

Picture = Callable[..., bytes]


async def test_bytes_are_kept_and_no_path_is(library: Library, picture: Picture) -> None:
    sent = UploadedImage(data=picture("red"), name="holiday/red <b>.png", caption="a red card")
    uploads = await add_uploads(library, [sent])
    (row,) = uploads.records
    assert (row.title, row.caption, row.source, row.files) == ("red <b>", "a red card", "", ())
    assert uploads.new == 1
    assert await library.image_bytes(row.id) == sent.data
    assert verify_table(library.table).problems == ()
    assert library.metadata.threshold is not None


async def test_one_that_cannot_be_read_is_listed_and_the_others_are_taken(library: Library, picture: Picture) -> None:
    sent = [
        UploadedImage(data=picture("red"), name="a.png"),
        UploadedImage(data=b"no image at all", name="b.jpg"),
        UploadedImage(data=picture("blue")[:60], name="c.png"),
        UploadedImage(data=picture("green"), name="d.txt"),
        UploadedImage(data=b"", name=""),
    ]
    uploads = await add_uploads(library, sent)
    assert {row.title for row in uploads.records} == {"a", "d"}
    assert [name for name, _ in uploads.skipped][:2] == ["b.jpg", "c.png"]
    assert all(reason and "/tmp" not in reason for _, reason in uploads.skipped)
    assert uploads.new == 2


async def test_twice_changes_nothing_but_a_caption(library: Library, picture: Picture) -> None:
    first = await add_uploads(library, [UploadedImage(data=picture("red"), name="a.png")])
    sent = [UploadedImage(data=picture("red"), name="b.png", caption=text) for text in ("one", "two")]
    again = await add_uploads(library, sent)
    assert (again.new, await library.count()) == (0, 1)
    assert (again.records[0].title, again.records[0].caption) == (first.records[0].title, "two")


async def test_a_linked_image_keeps_its_file_and_its_source(library: Library, folder: Path) -> None:
    await index([folder], library)
    before = next(row for row in await library.rows() if row.title == "red")
    data = Path(before.files[0].path).read_bytes()
    uploads = await add_uploads(library, [UploadedImage(data=data, name="other.png")])
    (after,) = uploads.records
    assert (after.files, after.source, after.title, after.caption) == (
        before.files, before.source, "red", before.caption,
    )  # fmt: skip
    Path(before.files[0].path).unlink()
    assert await library.image_bytes(after.id) == data


async def test_a_removed_image_comes_back(library: Library, picture: Picture) -> None:
    sent = [UploadedImage(data=picture("red"), name="a.png")]
    (row,) = (await add_uploads(library, sent)).records
    await remove_images(library, [row.id])
    assert (await add_uploads(library, sent)).new == 1


async def test_nothing_settles_what_came_before(library: Library, picture: Picture) -> None:
    await add_uploads(library, [UploadedImage(data=picture("red"), name="a.png")], settled=False)
    assert library.metadata.threshold is None
    uploads = await add_uploads(library, [])
    assert (uploads.records, uploads.new, library.metadata.threshold is not None) == ([], 0, True)
