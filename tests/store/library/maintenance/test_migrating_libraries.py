"""Migration of a library to another encoder: beside the present vectors, compared, switched at once, and undone."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagerag.agent.errors import EmbeddingMismatchError, LibraryError, UsageError
from imagerag.store.data_dir import DataDir
from imagerag.store.library import compaction, write_buffer
from imagerag.store.library.check.last_check import last_check_of, store_check
from imagerag.store.library.check.library_check import check_library
from imagerag.store.library.check.ways import CheckSize
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import other_metadata_of
from imagerag.store.library.maintenance import migration, other_vectors
from imagerag.store.library.maintenance.export import export_parquet
from imagerag.store.library.maintenance.migration import drop_other_vectors, migrate, switch_encoder
from imagerag.store.library.maintenance.snapshots import create_snapshot, restore_snapshot
from imagerag.store.library.maintenance.verification import verify_table
from imagerag.store.library.schema import OTHER_VECTOR
from imagerag.store.library.table_columns import merge_rows
from tests.store.conftest import DIMENSION, ColourEmbedder

NEVER = 1e12
"""Times as long as a commit."""


class Wider(ColourEmbedder):
    """The colours, with two dimensions more."""

    def __init__(self, weights: str = "wide", *, fails_on: bytes = b"") -> None:
        super().__init__(weights)
        self.identity = replace(self.identity, dimension=DIMENSION + 2)
        self.fails_on = fails_on

    async def embed_texts(self, texts: Any) -> Any:
        return np.pad(await super().embed_texts(texts), ((0, 0), (2, 0)))

    async def embed_images(self, images: Any) -> Any:
        if self.fails_on in images:
            raise ValueError("too dark")
        return np.pad(await super().embed_images(images), ((0, 0), (2, 0)))


class Blind(ColourEmbedder):
    """Of the same dimension, but its images have nothing to do with its texts."""

    def __init__(self) -> None:
        super().__init__("blind")

    async def embed_images(self, images: Any) -> Any:
        return np.roll(await super().embed_images(images), 7, axis=1)


@pytest.fixture
async def filled(library: Library, folder: Path) -> Library:
    await index([folder], library)
    return library


async def reopened(home: DataDir, encoder: Any) -> Library:
    return await Library.open(home, "shop", encoder)


async def test_searches_use_the_new_encoder_after_the_switch(filled: Library, home: DataDir) -> None:
    wider, before = Wider(), await filled.rows()
    done = await migrate(filled, wider)
    assert (done.images, done.encoded, done.from_thumbnails, done.switched) == (8, 8, 0, False)
    assert (await filled.search("red", k=1))[0].title == "red", "the library is searched as before"
    await switch_encoder(filled, wider)
    migrated = await reopened(home, wider)
    (hit,) = await migrated.search("red", k=1)
    assert (hit.title, hit.vector.shape) == ("red", (DIMENSION + 2,))
    assert await migrated.rows() == before
    assert migrated.metadata.created == filled.metadata.created
    assert migrated.threshold == pytest.approx(done.after.threshold)
    assert not await migrated.is_stale()
    assert not verify_table(migrated.table).problems
    assert done.before.recall.captions == done.after.recall.captions > 0
    assert done.after.recall.recall_at_1 == 1
    assert not done.is_worse


async def test_the_last_check_stays_with_the_vectors_that_it_was_measured_on(filled: Library, home: DataDir) -> None:
    check = await check_library(filled, CheckSize.of(16))
    await store_check(filled.table, check, 16)
    await migrate(filled, Wider())
    last = last_check_of(filled.table.lance)
    assert last is not None
    assert (last.check, last.is_current) == (check, True)
    await switch_encoder(filled, Wider())
    migrated = await reopened(home, Wider())
    assert last_check_of(migrated.table.lance) is None
    await migrate(migrated, ColourEmbedder())
    await switch_encoder(migrated, ColourEmbedder())
    assert last_check_of((await reopened(home, ColourEmbedder())).table.lance) == last


@pytest.mark.parametrize("encoder", [Wider(), Blind()])
async def test_whoever_has_it_open_with_the_old_encoder_is_told(
    filled: Library, home: DataDir, picture: Any, folder: Path, encoder: Any
) -> None:
    reading, writing = await reopened(home, ColourEmbedder()), await reopened(home, ColourEmbedder())
    await migrate(filled, encoder)
    await switch_encoder(filled, encoder)
    for hybrid in (False, True):
        with pytest.raises(EmbeddingMismatchError, match="open it again"):
            await reading.search("red", k=1, hybrid=hybrid)
    (folder / "dark.png").write_bytes(picture("black", mark=5))
    with pytest.raises(EmbeddingMismatchError, match="open it again"):
        await index([folder], writing)
    assert await (await reopened(home, encoder)).count() == 8


async def test_a_worse_encoder_is_said_to_be_worse(filled: Library) -> None:
    # A caption's text is asked without the title, so that a title of the colour would leave "a card" of each.
    await filled.update([replace(row, title="") for row in await filled.rows()])
    done = await migrate(filled, Blind())
    assert done.before.recall.captions == 8
    assert done.is_worse
    assert done.before.recall.mrr == 1
    assert done.after.recall.mrr is not None
    assert done.after.recall.mrr < 0.9


async def test_what_was_encoded_before_it_was_stopped_is_not_encoded_again(
    filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "BATCH", 3)
    monkeypatch.setattr(write_buffer, "PATIENCE", NEVER)
    wider, seen = Wider(), list[tuple[int, int]]()

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 6:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        await migrate(filled, wider, progress=stop)
    assert seen == [(3, 8), (6, 8)]
    assert (await migrate(filled, wider)).encoded == 2


@pytest.mark.parametrize(
    ("patience", "most", "commits"),
    [
        pytest.param(0, 2**20, [1] * 8, id="a commit that takes no time"),
        pytest.param(NEVER, 2**20, [1, 7], id="a commit that takes long"),
        pytest.param(NEVER, 3 * 4 * (DIMENSION + 2), [1, 3, 3, 1], id="many bytes"),
    ],
)
async def test_vectors_are_collected_before_they_are_written(
    filled: Library, monkeypatch: pytest.MonkeyPatch, patience: float, most: int, commits: list[int]
) -> None:
    monkeypatch.setattr(migration, "BATCH", 1)
    monkeypatch.setattr(write_buffer, "PATIENCE", patience)
    monkeypatch.setattr(write_buffer, "LARGEST", most)
    written = list[int]()

    def noted(lance: Any, rows: Any) -> None:
        written.append(rows.num_rows)
        merge_rows(lance, rows)

    monkeypatch.setattr(other_vectors, "merge_rows", noted)
    assert (await migrate(filled, Wider())).encoded == 8
    assert written == commits


async def test_what_commits_write_anew_is_removed_while_it_goes_on(
    filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "BATCH", 1)
    monkeypatch.setattr(write_buffer, "PATIENCE", 0)
    monkeypatch.setattr(compaction, "SLACK", 0)
    versions = list[int]()
    await migrate(
        filled, Wider(), progress=lambda done, total: versions.append(len(filled.table.lance.list_versions()))
    )
    assert len(versions) == 8
    assert max(versions) < 4
    assert not verify_table(filled.table).problems


async def test_images_that_are_added_meanwhile_have_vectors_of_both(
    filled: Library, home: DataDir, folder: Path, picture: Any
) -> None:
    wider, old = Wider(), ColourEmbedder()
    await migrate(filled, wider)
    (folder / "late.png").write_bytes(picture("green", mark=77))
    await index([folder], filled)
    await switch_encoder(filled, wider)
    migrated = await reopened(home, wider)
    assert await migrated.count() == 9
    assert not verify_table(migrated.table).problems
    (folder / "later.png").write_bytes(picture("green", mark=78))
    await index([folder], migrated)
    assert (await migrate(migrated, old)).encoded == 1
    await switch_encoder(migrated, old)
    assert not verify_table((await reopened(home, old)).table).problems


async def test_going_back_encodes_nothing(filled: Library, home: DataDir) -> None:
    rows, vectors = await filled.captioned_vectors()
    wider, old = Wider(), ColourEmbedder()
    await migrate(filled, wider)
    await switch_encoder(filled, wider)
    migrated = await reopened(home, wider)
    assert (await migrate(migrated, old)).encoded == 0
    await switch_encoder(migrated, old)
    again = await reopened(home, old)
    assert np.array_equal((await again.captioned_vectors())[1], vectors)
    assert await again.rows() == rows


async def test_other_vectors_are_in_the_way_until_they_are_dropped(filled: Library) -> None:
    wider = Wider()
    with pytest.raises(UsageError, match="already"):
        await migrate(filled, ColourEmbedder())
    with pytest.raises(UsageError, match="no vectors"):
        await switch_encoder(filled, wider)
    await migrate(filled, wider)
    with pytest.raises(UsageError, match=r"libraries\.drop_other_vectors"):
        await migrate(filled, Blind())
    assert await drop_other_vectors(filled) == wider.identity
    assert await drop_other_vectors(filled) is None
    assert OTHER_VECTOR not in filled.table.lance.schema.names
    assert (await migrate(filled, Blind())).encoded == 8


async def test_an_image_that_the_encoder_fails_on_stops_the_migration_by_name(filled: Library, picture: Any) -> None:
    red = next(row for row in await filled.rows() if row.title == "red")
    failing = Wider(fails_on=picture("red"))
    with pytest.raises(LibraryError, match=f"{red.id[:12]}.*too dark"):
        await migrate(filled, failing)
    assert (await filled.search("red", k=1))[0].title == "red"
    await filled.delete([red.id])
    assert (await migrate(filled, failing)).images == 7


async def test_an_image_whose_file_is_gone_is_encoded_from_its_thumbnail(filled: Library, folder: Path) -> None:
    (folder / "red.png").unlink()
    done = await migrate(filled, Wider())
    assert (done.encoded, done.from_thumbnails) == (8, 1)


async def test_snapshots_keep_their_encoder(filled: Library, home: DataDir) -> None:
    old, wider = ColourEmbedder(), Wider()
    create_snapshot(filled.table, "before")
    await migrate(filled, wider)
    await switch_encoder(filled, wider)
    migrated = await reopened(home, wider)
    await migrated.optimize()
    tagged = await Library.open(home, "shop@before", old)
    assert (await tagged.search("red", k=1))[0].title == "red"
    await migrated.table.read(lambda: restore_snapshot(migrated.table, "before"))
    assert (await (await reopened(home, old)).search("red", k=1))[0].title == "red"
    with pytest.raises(EmbeddingMismatchError):
        await migrated.search("red", k=1)


async def test_an_export_has_the_vectors_that_searches_use(filled: Library, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    await migrate(filled, Wider())
    await export_parquet(filled, tmp_path / "all.parquet")
    assert OTHER_VECTOR not in pq.read_schema(tmp_path / "all.parquet").names


async def test_searches_go_on_during_the_switch(filled: Library, home: DataDir) -> None:
    wider = Wider()
    await migrate(filled, wider)
    reading = await reopened(home, ColourEmbedder())
    found = [(await reading.search("red", k=1))[0].title]

    async def read() -> None:
        while "migrated" not in found:
            try:
                found.append((await reading.search("red", k=1))[0].title)
            except EmbeddingMismatchError:
                found.append("migrated")

    await asyncio.gather(read(), switch_encoder(filled, wider))
    assert set(found) == {"red", "migrated"}
    other = other_metadata_of(filled.table.lance, "shop")
    assert other is not None
    assert other.spec == "colours:one"
