"""Regions of images: found, encoded once, searched and calibrated with, and kept by everything that keeps rows."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imagerag.agent.errors import EmbeddingMismatchError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import parse_filter
from imagerag.store.data_dir import DataDir
from imagerag.store.library import region_encoding as stage
from imagerag.store.library import region_search
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.indexing.caption_encoding import use_caption_embedder
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import write_library_metadata
from imagerag.store.library.maintenance.export import export_parquet
from imagerag.store.library.maintenance.migration import drop_other_vectors, migrate, switch_encoder
from imagerag.store.library.maintenance.snapshots import create_snapshot, restore_snapshot
from imagerag.store.library.maintenance.subsets import copy_rows
from imagerag.store.library.region_columns import (
    OTHER_REGIONS,
    REGION_COLUMNS,
    EncodedRegions,
    RegionPart,
    best_cosines,
    count_regions,
)
from imagerag.store.library.region_search import QueryVectors, RegionMatch
from imagerag.store.library.schema import NewImage
from imagerag.store.library.things_metadata import ThingsThreshold
from imagerag.store.library.threshold_update import content_at
from imagerag.store.library.thresholds import content
from imagerag.store.library.thresholds.caption_phrases import things_of
from tests.store.conftest import COLOURS, DIMENSION, ColourEmbedder, direction, picture, unit

PAIRS = (("red", "blue"), ("green", "purple"), ("black", "yellow"))


class MiddleEmbedder(ColourEmbedder):
    """An image is the named colour of its middle, with a little of its own bytes: between two things is nothing."""

    def __init__(self, weights: str = "middle", wider: int = 0) -> None:
        super().__init__(weights)
        self.identity = replace(self.identity, dimension=DIMENSION + wider)
        self.wider = wider

    async def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.pad(await super().embed_texts(texts), ((0, 0), (self.wider, 0)))

    async def embed_images(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        self.images += len(images)
        return np.pad(np.stack([_middle(data) for data in images]), ((0, 0), (self.wider, 0)))


def _middle(data: bytes) -> NDArray[np.float32]:
    image = open_rgb(data)
    middle = np.asarray(image.getpixel((image.width // 2, image.height // 2)))
    name = min(COLOURS, key=lambda colour: float(((middle - COLOURS[colour]) ** 2).sum()))
    return unit(direction(name) + 0.1 * direction(hashlib.sha256(data).hexdigest()))


def drawn(left: str, right: str, side: int = 120) -> bytes:
    """A square of each colour on white, with nothing in the middle."""
    image = Image.new("RGB", (side, side), COLOURS["white"])
    pen = ImageDraw.Draw(image)
    pen.rectangle((side // 10, side // 3, side * 4 // 10, side * 2 // 3), fill=COLOURS[left])
    pen.rectangle((side * 6 // 10, side // 3, side * 9 // 10, side * 2 // 3), fill=COLOURS[right])
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def embedder() -> MiddleEmbedder:
    return MiddleEmbedder()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pictures of two things each, one of a single thing that fills it, and captions beside them."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for left, right in PAIRS:
        (folder / f"{left}-{right}.png").write_bytes(drawn(left, right))
        (folder / f"{left}-{right}.txt").write_text(f"a {left} square and a {right} square")
    Image.new("RGB", (120, 120), COLOURS["orange"]).save(folder / "orange.png")
    return folder


@pytest.fixture
async def filled(library: Library, pairs: Path) -> Library:
    await index([pairs], library, regions=True)
    return library


async def names(library: Library) -> dict[str, str]:
    return {row.id: row.title for row in await library.rows()}


async def stored(library: Library) -> dict[str, Any]:
    records = await library.table.records(["id", *REGION_COLUMNS], None)
    return {record["id"]: (record["regions"], record["region_boxes"]) for record in records}


async def test_a_thing_among_others_is_found_by_its_region(library: Library, pairs: Path) -> None:
    await index([pairs], library)
    assert not set(REGION_COLUMNS) & set(
        library.table.lance.schema.names
    )  # columns that would make every search slower
    before = (await library.search("blue", k=1))[0]
    assert before.similarity < 0.5
    assert before.region is None
    assert count_regions(library.table.lance) == (0, 0)
    report = await index([pairs], library, regions=True)
    assert (report.region_images, report.regions, report.unchanged, report.notes) == (4, 6 + 13, 4, [])
    (pairs / "alone.png").write_bytes(picture())
    assert (await index([pairs], library)).regions == 0  # one thing that fills its image
    assert count_regions(library.table.lance) == (5, 6 + 13)
    hit = (await library.search("blue", k=1))[0]
    assert (await names(library))[hit.image.sha256] == "red-blue"
    assert hit.similarity > 0.9
    assert hit.region is not None
    assert hit.region.pixels((120, 120)) == (72, 40, 109, 81)
    whole = (await library.search("orange", k=1))[0]
    assert (await names(library))[whole.image.sha256] == "orange"


async def test_new_images_get_regions_without_being_told_and_nothing_is_encoded_twice(
    filled: Library, pairs: Path, embedder: MiddleEmbedder
) -> None:
    encoded = embedder.images
    report = await index([pairs], filled)
    assert (report.region_images, report.did_something, embedder.images) == (0, False, encoded)
    (pairs / "new.png").write_bytes(drawn("orange", "green"))
    report = await index([pairs], filled, calibrate=False)
    assert (report.added, report.region_images, report.regions) == (1, 1, 2)
    assert embedder.images == encoded + 3
    assert filled.metadata.regions is not None


async def test_a_text_of_several_things_needs_an_image_that_shows_each(filled: Library) -> None:
    wanted = "a purple square and a green square"
    assert things_of(wanted) == ("a purple square", "a green square")
    assert things_of("a purple square") == things_of("") == ()
    hits = await filled.search(wanted, k=4)
    assert (await names(filled))[hits[0].image.sha256] == "green-purple"
    assert hits[0].region is not None
    assert hits[0].region.left < 0.2 < 0.8 < hits[0].region.right  # both
    single = (await filled.search("a purple square", k=1))[0].similarity
    assert hits[0].similarity == pytest.approx(single, abs=0.1)
    batch = await filled.search_batch([wanted, "blue"], k=2)
    assert batch[0][0].region == hits[0].region
    assert (await names(filled))[batch[1][0].image.sha256] == "red-blue"


async def test_searches_by_image_compare_whole_images(filled: Library) -> None:
    assert all(hit.region is None for hit in await filled.search_by_image(drawn("red", "blue"), k=4))


@pytest.mark.parametrize("indexed", [False, True], ids=["scan", "index"])
async def test_filters_and_words_count_with_regions(
    filled: Library, indexed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if indexed:
        monkeypatch.setattr(region_search, "INDEXED_FROM", 1)
        await filled.optimize()
        assert "regions_idx" in {one.name for one in filled.table.lance.list_indices()}
    only = Filter(where=parse_filter("caption~yellow"))
    assert [hit.title for hit in await filled.search("blue", k=4, filter=only)] == ["black-yellow"]
    excluded = Filter(exclude=frozenset(one for one, name in (await names(filled)).items() if name == "red-blue"))
    assert "red-blue" not in [hit.title for hit in await filled.search("blue", k=4, filter=excluded)]
    found = await filled.search("blue", k=4, hybrid=True)
    assert found[0].title == "red-blue"
    assert found[0].region is not None
    assert (await filled.search_words("blue", k=1))[0].region == found[0].region
    assert [hit.title for hit in await filled.search("blue", k=1)] == ["red-blue"]


async def test_the_threshold_is_measured_with_regions(library: Library, pairs: Path) -> None:
    for at, (left, right) in enumerate((a, b) for a in COLOURS for b in COLOURS if a < b and "white" not in (a, b)):
        (pairs / f"{at}.png").write_bytes(drawn(left, right, 128))
        (pairs / f"{at}.txt").write_text(f"a {left} square and a {right} square")
    without = (await index([pairs], library)) and library.metadata.threshold
    assert await index([pairs], library, regions=True)
    measured = library.metadata.threshold
    assert without
    assert measured
    assert without.accept_rate is not None
    assert measured.accept_rate is not None
    assert max(measured.positive_quantiles) > 0.6 > max(without.positive_quantiles)
    assert measured.measured_on == f"{without.measured_on}+{await library.count()} compared apart"
    assert not await library.is_stale()


class _Regions:
    """A scan that keeps the regions that it is passed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def add(self, places: Any, vectors: Any, regions: Any = None) -> None:
        self.seen.append(regions)


@pytest.mark.parametrize("part", [None, 1])
async def test_captions_are_calibrated_without_regions(
    library: Library, pairs: Path, part: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if part:  # larger than one part: read in parts
        monkeypatch.setattr(content, "PART", part)
        monkeypatch.setattr(content, "PART_WITH_REGIONS", part)
    for file in pairs.glob("*.png"):
        file.with_suffix(".txt").write_text(f"a square named {file.stem}")
    await use_caption_embedder(library, library.embedder)
    await index([pairs], library)
    without = await content_at(library.table, CAPTION_VECTOR)
    assert set((await without.scan(_Regions)).seen) == {None}
    await index([pairs], library, regions=True)
    assert set((await (await content_at(library.table, CAPTION_VECTOR)).scan(_Regions)).seen) == {None}
    assert None not in (await (await content_at(library.table)).scan(_Regions)).seen


async def test_rows_that_are_written_again_keep_their_regions(filled: Library, embedder: MiddleEmbedder) -> None:
    before = await stored(filled)
    row = (await filled.rows())[0]
    vector = (await embedder.embed_images([await filled.image_bytes(row.id)]))[0]
    await filled.upsert([NewImage(row=row, data=None, thumbnail=b"", vector=vector)])
    await filled.update([replace(row, caption="other")])
    assert await stored(filled) == before
    await filled.delete([row.id])
    assert (await stored(filled)).keys() == before.keys() - {row.id}


async def test_a_stop_leaves_regions_of_whole_batches_and_the_next_run_does_the_rest(
    library: Library, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "AT_ONCE", 1)
    calls = 0

    def stop(done: int, of: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await index([pairs], library, regions=True, regions_progress=stop)
    half = await stored(library)
    assert sum(boxes is not None for _, boxes in half.values()) == 2
    assert all((vectors is None) == (boxes is None) for vectors, boxes in half.values())
    assert (await library.search("blue", k=4))[0].similarity > 0  # images without regions are found as a whole
    report = await index([pairs], library)
    assert report.region_images == 2
    assert all(len(vectors) == len(boxes) for vectors, boxes in (await stored(library)).values())


async def test_an_image_that_cannot_be_read_is_noted_and_tried_again(library: Library, pairs: Path) -> None:
    await index([pairs], library)
    kept = (pairs / "orange.png").read_bytes()
    status = (pairs / "orange.png").stat()
    (pairs / "orange.png").unlink()
    ids = list(await names(library))
    report = await index([pairs / "red-blue.png"], library, regions=True)
    assert report.region_images == 1
    again = await stage.encode_regions(library, ids)
    assert [problem for _, problem in again.notes if "its regions could not be encoded" in problem]
    (pairs / "orange.png").write_bytes(kept)
    del status
    assert (await index([pairs], library)).region_images == 1


async def test_a_migration_encodes_the_regions_and_switches_them_with_the_vectors(
    filled: Library, home: DataDir
) -> None:
    before = await stored(filled)
    wider = MiddleEmbedder("wider", wider=2)
    await migrate(filled, wider)
    assert await stored(filled) == before
    assert OTHER_REGIONS in filled.table.lance.schema.names
    await switch_encoder(filled, wider)
    one = next(iter(before))
    with pytest.raises(EmbeddingMismatchError):
        await filled.update_regions({one: EncodedRegions((), [])})
    opened = await Library.open(home, "shop", wider)
    assert opened.metadata.regions is not None
    after = await stored(opened)
    assert {one: boxes for one, (_, boxes) in after.items()} == {one: boxes for one, (_, boxes) in before.items()}
    assert all(len(vector) == DIMENSION + 2 for vectors, _ in after.values() for vector in vectors)
    hit = (await opened.search("blue", k=1))[0]
    assert hit.region is not None
    assert hit.similarity > 0.9
    await drop_other_vectors(opened)
    assert OTHER_REGIONS not in opened.table.lance.schema.names
    assert (await opened.search("blue", k=1))[0].region == hit.region


async def test_snapshots_copies_and_exports_have_the_same_regions(
    filled: Library, home: DataDir, embedder: MiddleEmbedder, tmp_path: Path, pairs: Path
) -> None:
    before = await stored(filled)
    create_snapshot(filled.table, "v1")
    await filled.delete(list(before)[:2])
    kept = await Library.open(home, "shop@v1", embedder)
    assert await stored(kept) == before
    assert (await kept.search("blue", k=1))[0].region is not None
    restore_snapshot(filled.table, "v1")
    restored = await Library.open(home, "shop", embedder)
    assert await stored(restored) == before
    part = await Library.create_or_open(home, "part", embedder)
    await copy_rows(restored, part, list(before))
    assert await stored(part) == before
    for with_bytes in (True, False):
        out = tmp_path / f"shop-{with_bytes}.parquet"
        await export_parquet(restored, out, with_bytes=with_bytes)
        again = await Library.create_or_open(home, f"again-{with_bytes}", embedder)
        report = await index([out], again)
        assert report.region_images == len(before)
        assert await stored(again) == before


BASIS = np.eye(4, dtype=np.float32)
TWO = {"vector": BASIS[0], "regions": [BASIS[1], BASIS[2]], "region_boxes": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]}
TILED = {**TWO, "regions": [BASIS[1]] * 13, "region_boxes": [[0, 0, 0.5, 0.5]] * 13}
ONE = {**TWO, "regions": [BASIS[1]], "region_boxes": [[0, 0, 0.5, 0.5]]}


def test_a_match_is_the_best_of_the_whole_its_regions_and_things_that_have_one_each() -> None:
    nearest = QueryVectors(BASIS[2]).match(TWO)
    assert nearest.similarity == 1
    assert nearest.region is not None
    assert nearest.region.shares == (0.5, 0.5, 1, 1)
    assert QueryVectors(BASIS[2], regions=False).match(TWO) == RegionMatch(0)
    of_things = QueryVectors(BASIS[3], (BASIS[1], BASIS[2])).match(TWO)
    assert of_things.similarity == 1
    assert of_things.region is not None
    assert of_things.region.shares == (0, 0, 1, 1)
    # One region does not stand for two things.
    assert QueryVectors(BASIS[3], (BASIS[1], BASIS[1])).match(TWO).similarity == pytest.approx(0.5)
    assert QueryVectors(BASIS[3], (BASIS[1],) * 3).match(TWO).similarity == 0
    assert QueryVectors(BASIS[1]).match({"vector": BASIS[0], "regions": None, "region_boxes": None}) == RegionMatch(0)


@pytest.mark.parametrize(("record", "similarity"), [(TWO, 0.5), (TILED, 1), (ONE, 1)])
def test_the_whole_of_separate_things_counts_as_far_as_a_region_confirms_it(
    record: dict[str, Any], similarity: float
) -> None:
    assert QueryVectors(BASIS[0]).match(record) == RegionMatch(similarity)
    column = pa.array([record["regions"], None], pa.list_(pa.list_(pa.float32(), 4)))
    found = best_cosines(np.stack([BASIS[0], BASIS[0]]), RegionPart.of(column), BASIS[:1])
    assert found.tolist() == [[similarity], [1.0]]  # calibration compares as a search does


def test_a_text_of_several_things_has_a_threshold_of_its_own_for_images_of_separate_things() -> None:
    query = QueryVectors(BASIS[0], (BASIS[1], BASIS[2]), thresholds=(0.6, 0.3))
    apart = query.match(TWO)
    assert (apart.similarity, apart.threshold) == (1.0, 0.3)
    # Nothing but the things counts there: without a region for each, the whole of a mixture proves nothing.
    assert QueryVectors(BASIS[0], (BASIS[1], BASIS[3]), thresholds=(0.6, 0.3)).match(TWO).similarity == 0.5
    assert (query.match(TILED).similarity, query.match(TILED).threshold) == (1.0, 0.6)
    assert (query.match(ONE).similarity, query.match(ONE).threshold) == (1.0, 0.6)


async def test_hits_of_several_things_are_ranked_by_their_distance_from_their_thresholds(filled: Library) -> None:
    measured = filled.metadata.threshold
    assert measured is not None
    assert measured.things is None  # three lists say nothing about the tails
    things = ThingsThreshold(cosine=0.1, accept_rate=1, reject_rate=1, n_own=8, n_near=8)
    threshold = measured.model_copy(update={"cosine": 0.9, "things": things})
    write_library_metadata(filled.table.lance, filled.metadata.model_copy(update={"threshold": threshold}))
    await filled.read_metadata()
    hits = await filled.search("a red square and a purple square", k=4)
    limits = {(await names(filled))[hit.image.sha256]: hit.threshold for hit in hits}
    assert limits == {"red-blue": 0.1, "green-purple": 0.1, "black-yellow": 0.1, "orange": 0.9}
    distances = [hit.similarity - (hit.threshold or 0) for hit in hits]
    assert distances == sorted(distances, reverse=True)
    assert all(hit.threshold is None for hit in await filled.search("a red square", k=4))
