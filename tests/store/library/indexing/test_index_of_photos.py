"""Photos: what the files themselves say becomes columns, people's words come first, and each file is decoded once."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.images import decoding, encoding
from imagerag.agent.ports import Filter, PreparingEmbedder
from imagerag.store.images import image_info
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from tests import metadata_files as made
from tests.store.conftest import ColourEmbedder

TAKEN = datetime(2024, 5, 1, 23, 30, tzinfo=UTC)
EXIF = made.tiff(
    {0x010E: made.ascii_value("a red boat"), 0x0110: made.ascii_value("Field One"), 0x4746: made.short(4)},
    {0x9003: made.ascii_value("2024:05:01 23:30:00"), 0x9011: made.ascii_value("+02:00")},
    {1: made.ascii_value("S"), 2: made.rationals((33, 1)), 3: made.ascii_value("E"), 4: made.rationals((151, 1))},
)
XMP = made.xmp("<dc:title>Boat</dc:title><dc:creator>Ada</dc:creator>", 'photoshop:City="Sydney"')


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "boat.jpg").write_bytes(made.jpeg(EXIF, XMP))
    (folder / "plain.png").write_bytes(made.encoded("PNG"))
    return folder


async def rows_of(library: Library) -> dict[str, Any]:
    return {row.source.rsplit("/", 1)[-1]: row for row in await library.rows()}


async def test_what_a_file_says_of_itself_becomes_columns(photos, library):
    report = await index([photos], library)
    assert (report.added, report.captions) == (2, 1)
    row = (await rows_of(library))["boat.jpg"]
    assert (row.title, row.caption, row.author, row.place) == ("Boat", "a red boat", "Ada", "Sydney")
    assert (row.taken, row.camera, row.latitude, row.longitude) == (TAKEN, "Field One", -33, 151)
    assert row.metadata == {"rating": 4, "taken_offset": "+02:00"}
    plain = (await rows_of(library))["plain.png"]
    assert (plain.title, plain.taken, plain.camera, plain.latitude) == ("plain", None, "", None)


async def test_what_a_person_said_comes_first_and_stays(photos, library):
    sidecar = photos / "boat.json"
    sidecar.write_text(json.dumps({"caption": "the ferry", "camera": "a phone", "metadata": {"rating": 1, "deck": 2}}))
    await index([photos], library)
    row = (await rows_of(library))["boat.jpg"]
    assert (row.caption, row.camera, row.title, row.taken) == ("the ferry", "a phone", "Boat", TAKEN)
    assert row.metadata == {"rating": 1, "deck": 2, "taken_offset": "+02:00"}
    assert (await index([photos], library)).unchanged == 2
    sidecar.unlink()
    assert (await index([photos], library)).unchanged == 2
    assert (await rows_of(library))["boat.jpg"].caption == "the ferry"


async def test_a_library_that_lacks_columns_gets_them_when_indexed_again(photos, library, monkeypatch):
    from imagerag.store.library.indexing import file_reading
    from imagerag.store.library.metadata.image_metadata import ImageMetadata

    monkeypatch.setattr(file_reading, "read_embedded", lambda data: ImageMetadata())
    await index([photos], library)
    assert (await rows_of(library))["boat.jpg"].taken is None
    monkeypatch.undo()
    library.table.lance.update(values_sql={"files": "NULL"})  # as rows of earlier versions, which noted no files, are
    assert (await index([photos], library)).updated == 1
    row = (await rows_of(library))["boat.jpg"]
    assert (row.title, row.taken, row.place) == ("boat", TAKEN, "Sydney")  # the title was there: the file's name


async def test_takeout_says_when_and_where(photos, library):
    (photos / "plain.png.supplemental-metadata.json").write_text(
        json.dumps(
            {"title": "plain.png", "photoTakenTime": {"timestamp": "1714557600", "formatted": "1 May 2024"},
             "geoData": {"latitude": 52.5, "longitude": 13.4, "altitude": 0.0}}
        )
    )  # fmt: skip
    await index([photos], library)
    row = (await rows_of(library))["plain.png"]
    assert (row.taken, row.latitude, row.longitude) == (datetime(2024, 5, 1, 10, tzinfo=UTC), 52.5, 13.4)


@pytest.mark.parametrize(
    "position", [{"latitude": 0.0, "longitude": 0.0}, {"latitude": 99.0, "longitude": 0.0}, 7, None]
)
async def test_takeout_without_a_position_says_none(photos, library, position):
    said = {"photoTakenTime": {"timestamp": "soon"}, "geoData": position, "description": "a card"}
    (photos / "plain.png.json").write_text(json.dumps(said))
    await index([photos], library)
    row = (await rows_of(library))["plain.png"]
    assert (row.caption, row.taken, row.latitude, row.longitude) == ("a card", None, None, None)


# --- RAW and JPEG ---------------------------------------------------------------------------------------------------


async def test_a_raw_and_its_jpeg_are_one_image(photos, library):
    pytest.importorskip("rawpy")
    (photos / "BOAT.DNG").write_bytes(made.dng(made.encoded(size=(600, 400))))
    (photos / "alone.dng").write_bytes(made.dng(made.encoded(size=(600, 400)), model="Field Two"))
    report = await index([photos], library)
    rows = await rows_of(library)
    assert (report.added, report.skipped, set(rows)) == (3, [], {"boat.jpg", "plain.png", "alone.dng"})
    assert rows["boat.jpg"].metadata["raw_file"] == str(photos / "BOAT.DNG")
    alone = rows["alone.dng"]
    assert (alone.image.media_type, alone.camera, alone.lens) == (
        "image/x-dcraw", "Imaginary Field Two", "Imaginary 35mm F2",
    )  # fmt: skip


async def test_a_raw_that_is_named_is_indexed_beside_its_jpeg(photos, library):
    pytest.importorskip("rawpy")
    raw = photos / "boat.dng"
    raw.write_bytes(made.dng(made.encoded(size=(600, 400))))
    await index([photos, raw], library)
    assert set(await rows_of(library)) == {"boat.jpg", "plain.png", "boat.dng"}


# --- one decoding ---------------------------------------------------------------------------------------------------


class PreparingColours(ColourEmbedder):
    """Takes decoded images, and counts."""

    image_side = 32
    prepared = 0

    def prepare(self, image: Image.Image) -> bytes:
        assert image.mode == "RGB"
        return made.encoded("PNG") if min(image.size) < 8 else self._png(image)

    def _png(self, image: Image.Image) -> bytes:
        return encoding.png(image.resize((8, 8)))

    async def embed_prepared(self, images: Sequence[bytes]) -> Any:
        self.prepared += len(images)
        return await super().embed_images(images)

    async def embed_images(self, images: Sequence[bytes]) -> Any:
        raise AssertionError("the images are decoded already")


async def test_each_file_is_decoded_once(photos, home, monkeypatch):
    encoder = PreparingColours()
    assert isinstance(encoder, PreparingEmbedder)
    library = await Library.create_or_open(home, "prepared", encoder)
    decoded: list[int] = []

    def counted(data: bytes, **options: Any) -> Any:
        decoded.append(len(data))
        return decoding.decode(data, **options)

    monkeypatch.setattr(image_info, "decode", counted)
    report = await index([photos], library)
    assert (report.added, encoder.prepared, len(decoded)) == (2, 2, 2)
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-5) for vector in await vectors_of(library))


async def vectors_of(library: Library) -> Any:
    hits = await library.search("red", k=9, filter=Filter())
    return [hit.vector for hit in hits]


async def test_a_raw_may_be_larger_than_other_files(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rawpy")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "large.dng").write_bytes(made.dng(made.encoded(size=(600, 400))) + bytes(2 * 2**20))
    (photos / "vast.dng").write_bytes(made.dng(made.encoded(size=(600, 400))) + bytes(4 * 2**20))
    (photos / "plain.jpg").write_bytes(made.encoded(size=(60, 40)) + bytes(2 * 2**20))
    monkeypatch.setattr(decoding, "MAX_BYTES", 2**20)
    monkeypatch.setattr(decoding, "MAX_RAW_BYTES", 3 * 2**20)
    report = await index([photos], library)
    (row,) = await library.rows()
    assert row.title == "large"
    assert await library.image_bytes(row.id) == (photos / "large.dng").read_bytes()
    assert {Path(path).name: why for path, why in report.skipped} == {
        "vast.dng": "the file has 4 MB; at most 3 MB are read",
        "plain.jpg": "the file has 2 MB; at most 1 MB are read",
    }
