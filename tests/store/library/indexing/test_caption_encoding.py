"""Vectors of captions: made once, searched, made anew where a caption changes, and gone with their encoder."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from imagerag.agent.errors import BackendError, EmbeddingMismatchError, LibraryError, UsageError
from imagerag.agent.ports import Filter
from imagerag.store.data_dir import DataDir
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_search import nearest_captions
from imagerag.store.library.caption_vectors import captions_without_vector, write_caption_vectors
from imagerag.store.library.indexing import caption_encoding
from imagerag.store.library.indexing.adding import add_files
from imagerag.store.library.indexing.caption_encoding import use_caption_embedder
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.indexing.uploads import UploadedImage, add_uploads
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.changes import ImageChanges, changed
from imagerag.store.library.maintenance.export import export_parquet
from imagerag.store.library.maintenance.migration import migrate, switch_encoder
from imagerag.store.library.maintenance.snapshots import create_snapshot, restore_snapshot
from imagerag.store.library.maintenance.statistics import library_statistics
from imagerag.store.library.maintenance.subsets import copy_encoded, copy_rows
from tests.store.conftest import DIMENSION, ColourEmbedder, picture


class TextEncoder(ColourEmbedder):
    """Texts by their words, in more dimensions than images have; passages are counted apart from queries."""

    def __init__(self, weights: str = "text", *, fails_on: str = "") -> None:
        super().__init__(weights)
        self.identity = replace(self.identity, spec=f"texts:{weights}", dimension=DIMENSION + 3)
        self.fails_on, self.passages = fails_on, list[str]()

    async def embed_texts(self, texts: Any) -> Any:
        return np.pad(await super().embed_texts(texts), ((0, 0), (0, 3)))

    async def embed_passages(self, texts: Any) -> Any:
        if self.fails_on and self.fails_on in texts:
            raise ValueError("too long")
        self.passages += texts
        return await self.embed_texts(texts)


@pytest.fixture
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture
async def shop(home: DataDir, embedder: ColourEmbedder, encoder: TextEncoder, folder: Path) -> Library:
    """A library whose captions are encoded."""
    shop = await Library.create_or_open(home, "shop", embedder, lambda _: encoder)
    await use_caption_embedder(shop, encoder)
    await index([folder], shop)
    return shop


def encoded(library: Library) -> dict[str, Any]:
    """Stem → vector of its caption."""
    rows = library.table.lance.search().select(["source", CAPTION_VECTOR]).to_arrow().to_pylist()
    return {Path(row["source"]).stem: row[CAPTION_VECTOR] for row in rows}


async def found(library: Library, text: str, k: int = 1) -> list[str]:
    return [hit.caption for hit in await library.search_captions(text, k=k)]


async def test_the_caption_of_an_upload_is_encoded_with_it(shop: Library, picture: Any) -> None:
    await add_uploads(shop, [UploadedImage(data=picture("orange"), caption="a zebra at noon")])
    assert await found(shop, "a zebra at noon") == ["a zebra at noon"]


async def test_captions_are_encoded_once_and_searched(shop: Library, folder: Path, encoder: TextEncoder) -> None:
    assert len(encoder.passages) == 8
    (hit,) = await shop.search_captions("red", k=1)
    assert hit.caption == "a red card"
    assert hit.caption_similarity == pytest.approx(
        float(np.dot(*(await encoder.embed_texts(["red", "a red card"])))), abs=1e-6
    )
    (same,) = await shop.search("red", k=1)
    assert hit.similarity == pytest.approx(same.similarity)  # that of the image, as in every search
    report = await index([folder], shop)
    assert (report.captions_encoded, report.did_something, len(encoder.passages)) == (0, False, 8)
    (folder / "new.png").write_bytes(picture("red", mark=9))
    (folder / "new.txt").write_text("something else")
    (folder / "plain.png").write_bytes(picture("red", mark=10))
    assert (await index([folder], shop)).captions_encoded == 1  # without being told again; one has no caption
    assert await found(shop, "else") == ["something else"]
    assert encoded(shop)["plain"] is None
    assert len(await shop.search_captions("red", k=99)) == 9


async def test_an_image_that_is_added_with_a_caption_is_found_by_it(shop: Library, tmp_path: Path) -> None:
    (tmp_path / "added.png").write_bytes(picture("red", mark=11))
    await add_files(shop, [tmp_path / "added.png"], ImageChanges(caption="a wooden spoon"))
    assert await found(shop, "spoon") == ["a wooden spoon"]


async def test_a_filter_holds_and_order_is_that_of_the_captions(shop: Library) -> None:
    ids = {row.title: row.id for row in await shop.rows()}
    only = Filter(only=frozenset({ids["blue"], ids["green"]}))
    hits = await shop.search_captions("a green card", k=9, filter=only)
    assert [hit.title for hit in hits] == ["green", "blue"]
    cosines = [hit.caption_similarity or 0 for hit in await shop.search_captions("a green card", k=9)]
    assert cosines == sorted(cosines, reverse=True)
    assert await shop.search_captions("a green card", k=0) == []


async def test_a_library_without_them_says_how_to_make_them(library: Library, folder: Path) -> None:
    await index([folder], library)
    assert CAPTION_VECTOR not in library.table.lance.schema.names  # a column more would make every search slower
    with pytest.raises(LibraryError, match="caption_embedder='own'"):
        await library.search_captions("red", k=1)
    assert nearest_captions(library.table.lance, np.zeros(3, np.float32), 3, Filter()) == []
    await use_own(library)
    with pytest.raises(UsageError):
        await library.search_captions(" ", k=1)


async def use_own(library: Library) -> None:
    await use_caption_embedder(library, library.embedder)


async def test_the_own_encoder_serves_for_captions_too(library: Library, folder: Path, embedder: Any) -> None:
    await use_own(library)
    await index([folder], library)
    assert await found(library, "a blue card") == ["a blue card"]
    assert library.metadata.caption_encoder is not None
    assert library.metadata.caption_encoder.embedder == embedder.identity


async def test_a_changed_caption_is_not_found_by_its_former_words(shop: Library, folder: Path) -> None:
    before = encoded(shop)
    red = [row for row in await shop.rows() if row.title == "red"]
    await shop.update(changed(red, ImageChanges(caption="a velvet armchair")))
    now = encoded(shop)
    assert now.pop("red") is None
    assert now == {name: vector for name, vector in before.items() if name != "red"}
    assert "a velvet armchair" not in await found(shop, "a red card", 9)
    await shop.update(changed(await shop.rows(), ImageChanges(title="T", add_tags=["x"])))
    assert {name for name, vector in encoded(shop).items() if vector is None} == {"red"}
    (folder / "blue.txt").write_text("an oak door")
    report = await index([folder], shop)
    assert (report.updated, report.captions_encoded) == (1, 2)
    assert await found(shop, "velvet") == ["a velvet armchair"]
    assert await found(shop, "oak") == ["an oak door"]
    await shop.update(changed(await shop.rows(), ImageChanges(unset=("caption",))))
    assert set(encoded(shop).values()) == {None}
    assert (await index([folder], shop)).captions_encoded == 0


async def test_a_vector_is_written_only_beside_the_caption_it_is_of(shop: Library, encoder: TextEncoder) -> None:
    ids = {row.title: row.id for row in await shop.rows()}
    await shop.update(changed(await shop.rows(), ImageChanges(caption="changed meanwhile")))
    vectors = await encoder.embed_passages(["a red card", "changed meanwhile"])
    texts = {ids["red"]: "a red card", ids["blue"]: "changed meanwhile", "gone": "x"}
    vectors = np.vstack([vectors, vectors[:1]])
    lance = shop.table.lance
    assert write_caption_vectors(lance, encoder.identity, texts, vectors) == 1
    assert {name for name, vector in encoded(shop).items() if vector} == {"blue"}
    with pytest.raises(LibraryError, match="changed meanwhile"):
        write_caption_vectors(lance, replace(encoder.identity, weights="other"), texts, vectors)


async def test_writers_at_once_leave_no_vector_of_another_caption(shop: Library, folder: Path) -> None:
    rows = await shop.rows()

    async def rename(round_: int) -> None:
        await shop.update([replace(row, caption=f"{row.title} number{round_}") for row in rows])

    await asyncio.gather(index([folder], shop), rename(1), index([folder], shop), rename(2))
    columns = ["caption", CAPTION_VECTOR]
    left = [row for row in shop.table.lance.search().select(columns).to_arrow().to_pylist() if row[CAPTION_VECTOR]]
    right = await shop.caption_embedder().embed_texts([row["caption"] for row in left]) if left else []
    for row, vector in zip(left, right, strict=True):
        assert np.dot(row[CAPTION_VECTOR], vector) == pytest.approx(1, abs=1e-5)


async def test_a_stopped_pass_goes_on(
    home: DataDir, embedder: Any, encoder: TextEncoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_encoding, "AT_ONCE", 3)
    shop = await Library.create_or_open(home, "shop", embedder, lambda _: encoder)
    await use_caption_embedder(shop, encoder)
    steps: list[tuple[int, int]] = []

    def stop(done: int, of: int) -> None:
        steps.append((done, of))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await index([folder], shop, caption_progress=stop)
    assert steps == [(3, 8)]
    assert (await index([folder], shop)).captions_encoded == 5
    assert len(encoder.passages) == 8


async def test_a_caption_that_fails_is_listed_and_the_others_are_encoded(
    home: DataDir, embedder: Any, folder: Path
) -> None:
    encoder = TextEncoder(fails_on="a red card")
    shop = await Library.create_or_open(home, "shop", embedder, lambda _: encoder)
    await use_caption_embedder(shop, encoder)
    report = await index([folder], shop)
    assert (report.added, report.captions_encoded) == (8, 7)
    ((path, why),) = report.notes
    assert (Path(path).name, "too long" in why) == ("red.png", True)


async def test_an_encoder_that_is_not_there_stops_no_image(
    shop: Library, home: DataDir, embedder: Any, folder: Path
) -> None:
    other = await Library.open(home, "shop", embedder)  # knows no encoder but its own
    (folder / "new.png").write_bytes(picture("red", mark=9))
    (folder / "new.txt").write_text("new")
    report = await index([folder], other)
    assert (report.added, report.captions_encoded) == (1, 0)
    assert "texts:text" in report.warnings[0]
    with pytest.raises(EmbeddingMismatchError, match="caption_embedder="):
        await other.search_captions("red", k=1)

    async def down(_: Any) -> Any:
        raise BackendError("no route")

    shop.caption_embedder().embed_passages = down  # type: ignore[attr-defined]
    with pytest.raises(BackendError):
        await index([folder], shop)
    assert (await other.count(), sum(vector is None for vector in encoded(shop).values())) == (9, 1)


async def test_another_encoder_replaces_the_vectors_and_none_drops_them(
    shop: Library, home: DataDir, embedder: Any, folder: Path
) -> None:
    other = TextEncoder("other")
    shop = await Library.open(home, "shop", embedder, lambda spec: {"texts:other": other}[spec])
    await use_caption_embedder(shop, other)
    assert set(encoded(shop).values()) == {None}
    assert (await index([folder], shop)).captions_encoded == 8
    await use_caption_embedder(shop, other)  # the same: nothing is done
    assert None not in encoded(shop).values()
    assert await found(shop, "red") == ["a red card"]
    await use_caption_embedder(shop, None)
    assert (CAPTION_VECTOR in shop.table.lance.schema.names, shop.metadata.caption_encoder) == (False, None)
    assert (await index([folder], shop)).captions_encoded == 0


async def test_they_are_counted_exported_copied_and_kept_in_snapshots(
    shop: Library, home: DataDir, embedder: Any, encoder: TextEncoder, tmp_path: Path, folder: Path
) -> None:
    counted = await library_statistics(shop)
    assert (counted.caption_vectors, counted.caption_embedder) == (8, "texts:text")
    await export_parquet(shop, tmp_path / "out.parquet", with_bytes=True)
    assert pq.read_table(tmp_path / "out.parquet")[CAPTION_VECTOR].null_count == 0
    again = await Library.create_or_open(home, "again", embedder)
    await index([tmp_path / "out.parquet"], again)
    assert CAPTION_VECTOR not in again.table.lance.schema.names  # it was not asked to have them
    ids = [row.id for row in await shop.rows()]
    part = await Library.create_or_open(home, "part", embedder, lambda _: encoder)
    await copy_rows(shop, part, ids[:3])
    assert None not in encoded(part).values()
    await part.read_metadata()
    assert len(await part.search_captions("red", k=9)) == 3
    own = await Library.create_or_open(home, "own", embedder, lambda _: encoder)
    await use_own(own)
    await copy_rows(shop, own, ids[:3])  # encoded by another encoder than its own
    assert set(encoded(own).values()) == {None}
    fresh = await Library.create_or_open(home, "fresh", embedder)
    await copy_encoded(shop, fresh, ids[:3])
    before = encoded(shop)
    create_snapshot(shop.table, "then")
    await use_caption_embedder(shop, None)
    restore_snapshot(shop.table, "then")
    restored = await Library.open(home, "shop", embedder, lambda _: encoder)
    assert encoded(restored) == before
    assert await found(restored, "red") == ["a red card"]


async def test_a_migration_makes_own_vectors_anew_and_leaves_others(
    shop: Library, home: DataDir, other_embedder: ColourEmbedder, embedder: Any, encoder: TextEncoder
) -> None:
    before = encoded(shop)
    await migrate(shop, other_embedder)
    await switch_encoder(shop, other_embedder)
    migrated = await Library.open(home, "shop", other_embedder, lambda _: encoder)
    assert encoded(migrated) == before
    assert await found(migrated, "red") == ["a red card"]
    await use_own(migrated)
    await index([Path(row.source) for row in await migrated.rows()], migrated)
    assert None not in encoded(migrated).values()
    await migrate(migrated, embedder)
    await switch_encoder(migrated, embedder)
    back = await Library.open(home, "shop", embedder)
    assert set(encoded(back).values()) == {None}
    assert back.metadata.caption_encoder is not None
    assert back.metadata.caption_encoder.embedder == embedder.identity
    assert len(captions_without_vector(back.table.lance)) == 8
