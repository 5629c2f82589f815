"""Whatever is wrong with one file or folder, the others are indexed, and its name is told."""

import io
import os
import socket
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag.agent.errors import BackendError, UsageError
from imagerag.store.library.indexing.ingest import index


def broken_exif(colour: str) -> bytes:
    """A PNG whose EXIF is junk."""
    out = io.BytesIO()
    Image.new("RGB", (24, 16), colour).save(out, "PNG")
    junk = b"junk that is no EXIF"
    chunk = struct.pack(">I", len(junk)) + b"eXIf" + junk + struct.pack(">I", zlib.crc32(b"eXIf" + junk))
    return out.getvalue()[:33] + chunk + out.getvalue()[33:]


async def test_an_image_with_a_broken_exif_chunk_is_indexed_like_any_other(folder: Path, library: Any) -> None:
    (folder / "odd.png").write_bytes(broken_exif("navy"))
    report = await index([folder], library)
    assert (report.added, report.skipped) == (9, [])


async def test_what_imagerag_made_itself_is_passed_over(folder: Path, library: Any) -> None:
    home = library.table.home.root
    (home / "blobs").mkdir()
    (home / "blobs" / "result.png").write_bytes(broken_exif("navy"))
    (folder / "to-home").symlink_to(home)
    report = await index([folder], library)
    assert report.added == 8
    assert report.skipped == [(str(folder / "to-home"), "it is the home of imagerag, which holds what it made itself")]
    (folder / "to-home").unlink()
    assert (await index([home], library)).added == 0
    assert (await index([home / "blobs"], library)).added == 1  # where somebody names it


async def test_what_is_no_file_is_named_and_passed_over(
    folder: Path, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe.png")
    monkeypatch.chdir(folder)  # a socket's path must be short
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(folder / "nothing")
    (folder / "around").symlink_to(folder)
    (folder / "null.png").symlink_to("/dev/null")
    report = await index([folder], library)
    listener.close()
    assert report.added == 8
    assert {Path(name).name for name, _ in report.skipped} == {
        "pipe.png", "socket.png", "loop.png", "gone.png", "null.png",
    }  # fmt: skip


async def test_names_that_are_not_utf8_and_names_as_long_as_can_be(folder: Path, library: Any, picture: Any) -> None:
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(picture("red", mark=3))
    (folder / ("x" * 251 + ".png")).write_bytes(picture("red", mark=4))
    report = await index([folder], library)
    assert (report.added, report.skipped) == (10, [])


async def test_a_folder_that_may_be_listed_but_not_entered_and_one_that_vanishes(
    folder: Path, library: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "locked").mkdir()
    (folder / "locked" / "inside.png").write_bytes(picture("red", mark=5))
    (folder / "vanishing").mkdir()
    stat, listing = Path.stat, os.scandir

    def refused(self: Path, **options: Any) -> os.stat_result:
        if self.parent.name == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **options)

    def gone(path: Any) -> Any:
        if Path(path).name == "vanishing":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return listing(path)

    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(os, "scandir", gone)
    report = await index([folder], library)
    assert report.added == 8
    assert {Path(name).name for name, _ in report.skipped} == {"inside.png", "vanishing"}
    assert ("Permission denied" in str(report.skipped), "folder" in str(report.skipped)) == (True, True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UsageError("not this one"), "not this one"),
        (KeyError("pHYs"), "the encoder failed at it: KeyError: 'pHYs'"),  # a fault of an encoder of one's own
    ],
)
async def test_an_image_that_the_encoder_fails_at_takes_no_other_along(
    folder: Path, library: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    bad, embed = (folder / "blue.png").read_bytes(), library.embedder.embed_images

    async def picky(images: Sequence[bytes]) -> Any:
        if bad in images:
            raise error
        return await embed(images)

    monkeypatch.setattr(library.embedder, "embed_images", picky)
    report = await index([folder], library)
    assert report.added == 7
    assert [(Path(name).name, why) for name, why in report.skipped] == [("blue.png", reason)]


async def test_an_encoder_that_fails_at_all_images_ends_the_indexing(
    folder: Path, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(images: Sequence[bytes]) -> Any:
        raise KeyError("weights")

    monkeypatch.setattr(library.embedder, "embed_images", broken)
    with pytest.raises(KeyError, match="weights"):
        await index([folder], library)


async def test_a_service_that_is_down_is_down_for_all(
    folder: Path, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    async def down(images: Sequence[bytes]) -> Any:
        calls.append(len(images))
        raise BackendError("no connection")

    monkeypatch.setattr(library.embedder, "embed_images", down)
    with pytest.raises(BackendError, match="no connection"):
        await index([folder], library)
    assert len(calls) == 1
