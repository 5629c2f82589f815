"""Where a picture's bytes are: in the file it was found in, or in a copy that is written once."""

import errno
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import BlobError
from imagerag.store.data_dir import DataDir
from imagerag.store.images.image_info import image_info
from imagerag.store.integrity_check import check_library
from imagerag.store.library.library import Library
from imagerag.store.library.linked_files import read_linked
from imagerag.store.library.maintenance.subsets import part_of
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage


def entry(path: Path, member: str = "") -> FileEntry:
    status = path.stat()
    return FileEntry(f"{path}::{member}" if member else str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@pytest.fixture
def put(library: Library, picture: Callable[..., bytes]) -> Any:
    async def write(mark: int = 0, *, files: tuple[FileEntry, ...] = (), copy: bool = False) -> ImageRecord:
        data = picture("red", mark=mark)
        seen = image_info(data)
        (vector,) = await library.embedder.embed_images([data])
        row = ImageRecord(image=seen.image, files=files, size_bytes=len(data))
        kept = data if copy else None
        await library.upsert([NewImage(row=row, data=kept, thumbnail=seen.thumbnail, vector=vector)])
        return row

    return write


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied"),
            r"cannot be read: .* denied\. Let .* be read \(ls -l",
        ),
        (
            FileNotFoundError(),
            r"is gone with all .*Bring the folder back .*libraries.index\(PATH, library='p'\)",
        ),
    ],
)
def test_what_helps_is_said_where_indexing_again_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError, told: str
) -> None:
    def read(*_: object) -> None:
        raise error

    monkeypatch.setattr("imagerag.store.library.linked_files._read", read)
    lost = FileEntry(path=str(tmp_path / "away" / "a.png"), size=1, mtime_ns=0, inode=0)
    with pytest.raises(BlobError, match=told):
        read_linked("0" * 64, [lost], "p")


async def test_a_linked_picture_is_read_from_any_of_its_files(
    library: Library, put: Any, picture: Any, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b '1'.png"
    for file in (first, second):
        file.write_bytes(picture("red"))
    row = await put(files=(entry(first), entry(second)))
    assert await library.get(row.id) == row
    assert await library.image_bytes(row.id) == picture("red")
    first.write_bytes(picture("blue"))
    assert await library.image_bytes(row.id) == picture("red")
    second.unlink()
    with pytest.raises(BlobError) as error:
        await library.image_bytes(row.id)
    for part in (f"{first} was changed", f"{second} is gone", f"`rag.libraries.index('{tmp_path}', library='shop')`"):
        assert part in str(error.value)
    assert await library.encoded(row.id) == await library.thumbnail(row.id)


async def test_other_bytes_of_the_same_length_are_no_picture_of_the_library(
    library: Library, put: Any, picture: Any, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(picture("red"))
    row = await put(files=(entry(file),))
    file.write_bytes(bytes(reversed(picture("red"))))
    with pytest.raises(BlobError, match="was changed"):
        await library.image_bytes(row.id)


@pytest.mark.parametrize("kind", ["folder", "huge", "pipe"])
async def test_what_lies_there_now_is_not_read(
    library: Library, put: Any, picture: Any, tmp_path: Path, kind: str
) -> None:
    import os

    file = tmp_path / "a.png"
    file.write_bytes(picture("red"))
    row = await put(files=(entry(file),))
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.touch()
        os.truncate(file, 2**40)
    with pytest.raises(BlobError, match="was changed"):
        await library.image_bytes(row.id)


async def test_a_member_of_an_archive(library: Library, put: Any, picture: Any, tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("in/red.png", picture("red"))
    row = await put(files=(entry(archive, "in/red.png"),))
    assert await library.image_bytes(row.id) == picture("red")
    archive.write_bytes(b"no archive any more")
    with pytest.raises(BlobError, match=r"all\.zip::in/red\.png cannot be read"):
        await library.image_bytes(row.id)


async def test_a_copy_needs_no_file_and_is_written_once(library: Library, put: Any, picture: Any) -> None:
    rows = [await put(mark, copy=True) for mark in range(4)]
    path = library.table.images.path(rows[0].id)
    before = path.stat()
    for mark in range(4, 8):
        await put(mark)
        await library.optimize()
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert await library.image_bytes(rows[0].id) == picture("red", mark=0)
    with pytest.raises(BlobError, match="in no file and has no copy"):
        await library.image_bytes((await put(9)).id)


async def test_copies_go_with_their_rows(library: Library, put: Any) -> None:
    rows = [await put(mark, copy=True) for mark in range(3)]
    stray = library.table.images.path("0" * 64)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left by somebody who was stopped")
    await library.delete([rows[0].id])
    await library.optimize()
    left = {path.parent.name + path.name for path in library.table.images.root.glob("*/*")}
    assert left == {row.id for row in rows[1:]}


async def test_copies_of_a_tagged_version_stay(library: Library, put: Any) -> None:
    rows = [await put(mark, copy=True) for mark in range(3)]
    library.table.lance.tags.create("before", library.table.lance.version)
    await library.delete([rows[0].id])
    with library.table.writing(alone=True) as alone:
        assert alone
        library.table.remove_strays()
    assert library.table.images.path(rows[0].id).exists()
    library.table.lance.tags.delete("before")
    library.table.remove_strays()
    assert not library.table.images.path(rows[0].id).exists()


async def test_a_damaged_copy_is_found(home: DataDir, library: Library, put: Any) -> None:
    row = await put(copy=True)
    check_library(home, "shop")
    library.table.images.path(row.id).write_bytes(b"other bytes")
    with pytest.raises(BlobError, match="damaged"):
        await library.image_bytes(row.id)
    with pytest.raises(ValueError, match="another SHA-256"):
        check_library(home, "shop")


async def test_a_part_of_a_library_has_its_pictures(
    home: DataDir, library: Library, put: Any, picture: Any, tmp_path: Path, other_embedder: Any
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(picture("red", mark=1))
    linked, copied = await put(1, files=(entry(file),)), await put(2, copy=True)
    await library.update([replace(linked, metadata={"shelf": "A1"})])
    ids = [linked.id, copied.id]
    for embedder in (library.embedder, other_embedder):
        part = await part_of(home, f"part-{embedder.identity.weights}", library, ids, embedder)
        assert await part.image_bytes(copied.id) == picture("red", mark=2)
        assert await part.image_bytes(linked.id) == picture("red", mark=1)
        assert not part.table.images.path(linked.id).exists()
        assert (await part.get(linked.id)).metadata == {"shelf": "A1"}  # type: ignore[union-attr]
