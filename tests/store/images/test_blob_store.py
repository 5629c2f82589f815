"""The blob store: once, whole, verified."""

import asyncio
import io

import pytest
from PIL import Image

from imagerag.agent.errors import BlobError, UsageError
from imagerag.store.images import blob_store
from imagerag.store.images.blob_store import FileBlobStore


@pytest.fixture
def blobs(tmp_path):
    return FileBlobStore(tmp_path / "blobs")


async def test_round_trip_and_once(blobs, picture):
    first = await blobs.put(picture("red"))
    written = blobs.path(first.sha256).stat().st_mtime_ns
    assert await blobs.put(picture("red")) == first
    assert await blobs.get(first.sha256) == picture("red")
    assert blobs.path(first.sha256).stat().st_mtime_ns == written
    assert blobs.path(first.sha256).parent.name == first.sha256[:2]


async def test_many_writers_of_the_same_bytes(blobs, picture):
    refs = await asyncio.gather(*(blobs.put(picture("red", mark=i % 3)) for i in range(60)))
    assert len(set(refs)) == 3
    assert len([path for path in blobs.root.rglob("*") if path.is_file()]) == 3


async def test_missing_names_hash_and_path(blobs):
    with pytest.raises(BlobError, match="missing") as error:
        await blobs.get("ab" * 32)
    assert "ab" * 32 in str(error.value)
    assert str(blobs.path("ab" * 32)) in str(error.value)


@pytest.mark.parametrize("damage", [b"", b"something else"])
async def test_damage_is_detected_and_put_heals_it(blobs, picture, damage):
    ref = await blobs.put(picture("red"))
    blobs.path(ref.sha256).write_bytes(damage)
    with pytest.raises(BlobError, match="damaged") as error:
        await blobs.get(ref.sha256)
    assert str(blobs.path(ref.sha256)) in str(error.value)
    await blobs.put(picture("red"))
    assert await blobs.get(ref.sha256) == picture("red")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 32, "zz" * 32, "ab" * 31])
async def test_only_a_hash_names_a_blob(blobs, name):
    with pytest.raises(BlobError, match="SHA-256"):
        await blobs.get(name)


async def test_only_images_are_kept(blobs):
    with pytest.raises(UsageError):
        await blobs.put(b"text")
    assert not blobs.root.exists()


async def test_a_written_picture_is_as_readable_as_any_other_file(blobs, picture, tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    ref = await blobs.put(picture("red"))
    assert blobs.path(ref.sha256).stat().st_mode == ordinary.stat().st_mode


async def test_an_image_that_models_take_is_decoded_once_and_verified_each_time(blobs, picture, monkeypatch):
    ref = await blobs.put(picture("red"))
    assert await blobs.encode_for_model(ref.sha256) == (picture("red"), "image/png")
    monkeypatch.setattr(blob_store, "encode_for_model", lambda data: pytest.fail("decoded again"))
    assert await blobs.encode_for_model(ref.sha256) == (picture("red"), "image/png")
    blobs.path(ref.sha256).write_bytes(b"something else")
    with pytest.raises(BlobError, match="damaged"):
        await blobs.encode_for_model(ref.sha256)


async def test_an_image_that_models_do_not_take_is_encoded_each_time(blobs):
    tiff = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(tiff, "TIFF")
    ref = await blobs.put(tiff.getvalue())
    first, second = [await blobs.encode_for_model(ref.sha256) for _ in range(2)]
    assert first == second
    assert first[1] == "image/png"
