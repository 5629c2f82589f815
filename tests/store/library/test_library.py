"""The library: searching, filters that are only values, library_metadata, several writers, damage."""

import asyncio
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import (
    BlobError,
    EmbeddingMismatchError,
    LibraryDamagedError,
    LibraryError,
    UnknownLibraryError,
    UsageError,
)
from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import parse_filter
from imagerag.store.images.image_info import image_info
from imagerag.store.library import schema, search, table
from imagerag.store.library.database import list_libraries, open_current, remove
from imagerag.store.library.indexing.adding import add_files
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.indexing.uploads import UploadedImage, add_uploads
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import read_library_metadata
from imagerag.store.library.maintenance.changes import ImageChanges
from imagerag.store.library.maintenance.removal import remove_images
from imagerag.store.library.schema import ImageRecord, NewImage
from imagerag.store.unfinished_files import remove_unfinished

NASTY = ["it's", 'say "hi"', "x' OR 1=1 --", "a\\b", "100%_", "line\nend", "naïve 🦊", "", '","b"]', "?"]


@pytest.fixture
def put(library, embedder, picture):
    async def write(colour="red", mark=0, **known):
        data = picture(colour, mark=mark)
        seen = image_info(data)
        vector = (await embedder.embed_images([data]))[0]
        row = ImageRecord(image=seen.image, **known)
        await library.upsert([NewImage(row=row, data=data, thumbnail=seen.thumbnail, vector=vector)])
        return row

    return write


async def test_nearest_first_with_exact_cosines(library, put, embedder):
    for colour in ("red", "blue", "green"):
        await put(colour, title=colour, caption=f"a {colour} card", licence="CC0-1.0", author="Ada", source="here")
    hits = await library.search("blue", k=3, filter=Filter())
    query = (await embedder.embed_texts(["blue"]))[0]
    assert hits[0].title == "blue"
    assert (hits[0].caption, hits[0].licence, hits[0].author, hits[0].source) == (
        "a blue card", "CC0-1.0", "Ada", "here",
    )  # fmt: skip
    for hit in hits:
        assert hit.vector.dtype == np.float32
        assert np.linalg.norm(hit.vector) == pytest.approx(1, abs=1e-5)
        assert hit.similarity == pytest.approx(float(query @ hit.vector), abs=1e-6)
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)


async def test_search_by_image_finds_itself(library, put, picture):
    row = await put("red")
    await put("blue")
    hits = await library.search_by_image(picture("red"), k=1, filter=Filter())
    assert hits[0].image == row.image
    assert hits[0].similarity == pytest.approx(1, abs=1e-5)
    with pytest.raises(UsageError):
        await library.search_by_image(b"no image", k=1, filter=Filter())


async def test_empty_library_k_and_text(library):
    assert list(await library.search("red", k=5, filter=Filter())) == []
    assert list(await library.search("red", k=0, filter=Filter())) == []
    with pytest.raises(UsageError):
        await library.search("  ", k=5, filter=Filter())


@pytest.mark.parametrize("value", NASTY)
async def test_nasty_values_are_values(library, put, value):
    here = await put(
        "red", metadata={"key": value, "n": 3}, tags=(value, "b"), licence=value, caption=value, title=value
    )
    await put("blue", metadata={"key": "other"}, tags=("b",), licence="other")
    for condition in (
        Filter(where=parse_filter({"key": value})), Filter(tags=(value,)), Filter(licences=(value,)),
        Filter(where=parse_filter({"key": value, "n": "3"}), tags=("b", value)),
    ):  # fmt: skip
        hits = await library.search("blue", k=5, filter=condition)
        assert [hit.image for hit in hits] == [here.image]
    assert await library.get(here.id) == here


async def test_filters_come_before_k(library, put):
    for mark in range(12):
        await put("red", mark=mark, metadata={"kind": "near"})
    far = await put("blue", metadata={"kind": "far", "ok": True, "price": 1.5, "none": None})
    for where in ({"kind": "far"}, {"ok": "true"}, {"price": "1.5"}, {"none": "null"}):
        assert [hit.image for hit in await library.search("red", k=1, filter=Filter(where=parse_filter(where)))] == [
            far.image
        ]
    assert not await library.search("red", k=9, filter=Filter(where=parse_filter({"kind": "fa"})))
    assert not await library.search("red", k=9, filter=Filter(where=parse_filter({"far": "kind"})))


async def test_exclude_and_licences(library, put):
    rows = [await put("red", mark=mark, licence=licence) for mark, licence in enumerate(("A", "B", "C"))]
    hits = await library.search("red", k=9, filter=Filter(licences=("A", "B"), exclude=frozenset({rows[0].id})))
    assert [hit.image for hit in hits] == [rows[1].image]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(key=st.text(max_size=12), value=st.text(max_size=12), other=st.text(max_size=12))
async def test_any_text_filters_exactly(library, put, key, value, other):
    row = await put("red", metadata={key: value})
    hits = await library.search("red", k=2, filter=Filter(where=parse_filter({key: value})))
    assert [hit.image for hit in hits] == [row.image]
    assert bool(await library.search("red", k=2, filter=Filter(where=parse_filter({key: other})))) == (other == value)


async def test_hybrid_finds_what_only_words_say(library, put):
    for mark in range(8):
        await put("red", mark=mark, title=f"card {mark}", caption="a plain thing")
    named = await put("blue", title="Luna Lamp", caption="blue")
    await library.optimize()
    hits = await library.search("luna", k=2, filter=Filter(), hybrid=True)
    assert named.image in [hit.image for hit in hits]
    assert not await library.search("luna", k=2, filter=Filter(where=parse_filter({"no": "such"})), hybrid=True)


async def test_image_bytes_are_verified(library, put, picture):
    row = await put("red")
    assert await library.image_bytes(row.id) == picture("red")
    with pytest.raises(BlobError, match="not in library"):
        await library.image_bytes("ab" * 32)
    image = NewImage(
        row=replace(row), data=b"tampered", thumbnail=b"", vector=(await library.captioned_vectors())[1][0]
    )
    await library.upsert([image])
    with pytest.raises(BlobError, match="damaged"):
        await library.image_bytes(row.id)


async def test_several_images_are_read_in_one_query(library, put, picture, monkeypatch):
    red, blue, green = [await put(name) for name in ("red", "blue", "green")]
    library.table.images.path(blue.id).write_bytes(b"tampered")
    queries, search = [], type(library.table.lance).search
    monkeypatch.setattr(type(library.table.lance), "search", lambda *asked: queries.append(asked) or search(*asked))
    found = await library.read_images([red.id, blue.id, "ab" * 32, green.id])
    assert len(queries) == 1
    assert [found[red.id], found[green.id]] == [picture("red"), picture("green")]
    assert "damaged" in str(found[blue.id])
    assert "not in library" in str(found["ab" * 32])
    assert await library.read_images([]) == {}


@pytest.mark.parametrize("hybrid", [False, True])
async def test_images_that_a_search_found_are_read_without_a_query(
    library, tmp_path, picture, embedder, monkeypatch, hybrid
):
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "red.png").write_bytes(picture("red"))
    (folder / "blue.png").write_bytes(picture("blue"))
    await index([folder], library)
    (found, *_) = await library.search("red", k=1, hybrid=hybrid)
    queries, search = [], type(library.table.lance).search
    monkeypatch.setattr(type(library.table.lance), "search", lambda *asked: queries.append(asked) or search(*asked))
    assert await library.image_bytes(found.image.sha256) == picture("red")
    assert not queries
    (folder / "red.png").rename(folder / "moved.png")
    other = await Library.open(library.table.home, library.name, embedder)
    await index([folder], other)
    assert await library.image_bytes(found.image.sha256) == picture("red"), "another process has followed the file"
    assert queries
    await other.delete([found.image.sha256])
    with pytest.raises(BlobError, match="not in library"):
        await library.image_bytes(found.image.sha256)


async def test_update_delete_count(library, put, embedder):
    row = await put("red", caption="old", metadata={"a": 1})
    await put("blue")
    asked = embedder.images
    await library.update([replace(row, caption="new", metadata={"a": 2}, tags=("t",))])
    assert (await library.get(row.id)).caption == "new"
    assert len(await library.search("red", k=5, filter=Filter(where=parse_filter({"a": "2"}), tags=("t",)))) == 1
    assert embedder.images == asked
    assert await library.delete([row.id, "ab" * 32]) == 1
    assert await library.count() == 1
    assert await library.get(row.id) is None
    assert await library.delete([]) == 0


async def test_a_library_that_is_deleted_while_it_is_open_is_said_to_be(home, library, put, picture):
    row = await put("red")
    remove(home, library.name)
    for reading in (library.rows(), library.delete([row.id]), library.count()):
        with pytest.raises(UnknownLibraryError, match="was deleted meanwhile"):
            await reading


async def test_a_library_that_is_deleted_while_it_is_written_is_said_to_be_and_stays_deleted(
    home, library, put, picture, tmp_path
):
    row = await put("red")
    (tmp_path / "blue.png").write_bytes(picture("blue"))
    files = [tmp_path / "blue.png"]
    remove(home, library.name)
    for writing in (
        library.update([replace(row, caption="new")]),
        library.update_ocr({row.id: ("words", 0.9)}),
        index(files, library),
        index(files, library, copy=True),
        add_files(library, files, ImageChanges(caption="blue")),
        add_uploads(library, [UploadedImage(data=picture("blue"), name="blue.png")]),
        remove_images(library, [row.id]),
        library.table.copy_files({row.id: lambda: picture("red")}),
        library.calibrate(),
        library.optimize(),
    ):
        with pytest.raises(UnknownLibraryError, match="was deleted meanwhile"):
            await writing
        assert library.name not in list_libraries(home), "a folder that is left would be a damaged library"


async def test_a_library_is_gone_at_once_though_a_write_is_under_way(home, library, put):
    await put("red")
    with library.table.writing():
        removing = asyncio.create_task(asyncio.to_thread(remove, home, library.name))
        while library.folder.exists():
            await asyncio.sleep(0.01)
        (library.folder / "images").mkdir(parents=True)  # what that write may make again
        assert not removing.done()
    await removing
    assert [*home.libraries.iterdir()] == []


async def test_a_library_whose_deletion_was_stopped_is_gone_and_its_files_go_later(
    home, library, embedder, put, monkeypatch
):
    await put("red")

    def stopped(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            remove(home, library.name)
    assert list_libraries(home) == []
    assert await (await Library.create_or_open(home, library.name, embedder)).count() == 0
    assert remove_unfinished(home) == 0, "its process may still run"
    assert remove_unfinished(home, age_s=-1) > 0
    assert [path.name for path in home.libraries.iterdir()] == [f"{library.name}.lance"]


async def test_a_library_that_is_deleted_while_it_is_opened_is_unknown(home, library):
    remove(home, library.name)
    with pytest.raises(UnknownLibraryError, match="no library 'shop'"):
        open_current(home, library.name)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
async def test_vectors_that_mean_nothing_are_refused(library, put, embedder, picture, value, monkeypatch):
    await put("red")
    row = (await library.rows())[0]
    bad = np.full(library.metadata.dimension, value, dtype=np.float32)
    with pytest.raises(LibraryError, match="unit vector"):
        await library.upsert([NewImage(row=row, data=picture("red"), thumbnail=b"", vector=bad)])

    async def nothing(texts):
        return np.stack([bad for _ in texts])

    monkeypatch.setattr(embedder, "embed_texts", nothing)
    with pytest.raises(LibraryError, match="unit vector"):
        await library.search("red", k=1, filter=Filter())


async def test_another_encoder_is_named_with_the_command(home, library, other_embedder, put):
    with pytest.raises(EmbeddingMismatchError) as error:
        await Library.open(home, "shop", other_embedder)
    for part in ("colours:one", "colours:two", "`rag.libraries.migrate('shop', embedder='colours:two')`"):
        assert part in str(error.value)
    with pytest.raises(EmbeddingMismatchError):
        await Library.create_or_open(home, "shop", other_embedder)


async def test_unknown_lists_what_exists(home, embedder):
    with pytest.raises(UnknownLibraryError, match="there are none"):
        await Library.open(home, "shop", embedder)
    assert not home.root.exists()
    for name in ("b-2", "a_1.x"):
        await Library.create_or_open(home, name, embedder)
    with pytest.raises(UnknownLibraryError, match=r"a_1\.x, b-2"):
        read_library_metadata(home, "shop")
    with pytest.raises(UnknownLibraryError):
        remove(home, "shop")
    remove(home, "b-2")
    assert list_libraries(home) == ["a_1.x"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a b", "-x", "é", "a" * 101, "a\n", "CON:"])
async def test_names_that_are_paths_or_worse(home, embedder, name):
    with pytest.raises(UsageError, match="library"):
        await Library.create_or_open(home, name, embedder)
    assert not home.root.exists()


async def test_passport_survives_and_is_seen_by_others(home, library, put, embedder):
    reader = await Library.open(home, "shop", embedder)
    with pytest.raises(LibraryError, match=r"libraries\.index"):
        _ = library.threshold
    await put("red", caption="it's a red card")
    threshold = await library.calibrate()
    assert read_library_metadata(home, "shop").threshold == threshold
    assert read_library_metadata(home, "shop").embedder == embedder.identity
    await reader.search("red", k=1, filter=Filter())
    assert reader.threshold == threshold.cosine
    await put("blue")
    assert (await Library.open(home, "shop", embedder)).metadata.threshold == threshold


async def test_empty_cannot_be_calibrated(library):
    with pytest.raises(LibraryError, match="empty"):
        await library.calibrate()


async def test_damaged_files_are_said_to_be_damaged(home, library, put, embedder):
    await put("red")
    for file in (home.libraries / "shop.lance" / "data").rglob("*.lance"):
        file.write_bytes(file.read_bytes()[:20])
    fresh = await Library.open(home, "shop", embedder)
    with pytest.raises(LibraryDamagedError, match="imagerag doctor --repair"):
        await fresh.search("red", k=1, filter=Filter())


@pytest.mark.parametrize("where", [{}, {"half": "1"}])
async def test_with_an_index_as_without(library, put, planted, monkeypatch, where):
    monkeypatch.setattr(search, "INDEX_FROM", 900)
    row = await put("red")
    rows = [replace(row, image=row.image.model_copy(update={"sha256": f"{at:064x}"}), metadata={"half": at % 2})
            for at in range(1000)]  # fmt: skip
    vectors = np.stack([planted(f"vector {at}") for at in range(1000)])
    images = [
        NewImage(row=row, data=b"", thumbnail=b"", vector=vector) for row, vector in zip(rows, vectors, strict=True)
    ]
    await library.delete([row.id])
    await library.upsert(images[:990])
    exact = await library.search("red", k=5, filter=Filter(where=parse_filter(where)))
    await library.optimize()
    indexed = await library.search("red", k=5, filter=Filter(where=parse_filter(where)))
    assert [hit.image for hit in indexed] == [hit.image for hit in exact]
    assert [hit.similarity for hit in indexed] == pytest.approx([hit.similarity for hit in exact], abs=1e-6)
    await library.upsert([replace(images[995], vector=planted("red"))])  # not in the index yet
    assert (await library.search("red", k=1, filter=Filter(where=parse_filter(where))))[0].similarity == pytest.approx(
        1, abs=1e-5
    )
    await library.optimize()
    assert (await library.search("red", k=1, filter=Filter(where=parse_filter(where))))[0].similarity == pytest.approx(
        1, abs=1e-5
    )


async def test_writes_leave_other_columns_in_their_indexes(library, put, monkeypatch):
    monkeypatch.setattr(search, "INDEX_FROM", 40)
    monkeypatch.setattr(search, "FILTERED_FROM", 1)
    rows = [await put(colour, mark=mark) for mark, colour in enumerate(("red", "blue", "green", "white"))]
    await library.optimize()
    for title in ("one", "two", "three"):  # each takes the ids out of their index
        await library.update([replace(row, title=title) for row in rows[:2]])
        assert library.table.lance.index_stats("width_idx").num_unindexed_rows == 0
    assert sorted(row.title for row in await library.rows())[-2:] == ["three", "three"]


async def test_a_photograph_lying_on_its_side_goes_to_models_upright_and_keeps_its_own_bytes(library, tmp_path):
    import io

    from PIL import Image

    from imagerag.store.library.indexing.ingest import index

    lying = Image.new("RGB", (40, 20), "red")
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "phone.jpg", exif=exif)
    Image.new("P", (12, 8), 3).save(tmp_path / "old.gif")
    await index([tmp_path], library)
    rows = {row.title: row for row in await library.rows()}
    data, media_type = await library.encode_for_model(rows["phone"].id)
    assert (media_type, Image.open(io.BytesIO(data)).size) == ("image/png", (20, 40))
    assert await library.image_bytes(rows["phone"].id) == (tmp_path / "phone.jpg").read_bytes()
    assert (await library.encode_for_model(rows["old"].id))[1] == "image/png"


async def test_rows_are_the_same_however_few_are_asked_for_at_a_time(library, put, monkeypatch):
    rows = sorted([await put(mark=mark, title=f"{mark}") for mark in range(5)], key=lambda row: row.id)
    ids = [row.id for row in reversed(rows)]
    monkeypatch.setattr(table, "IDS", 2)
    monkeypatch.setattr(schema, "AT_A_TIME", 2)
    assert await library.rows() == await library.rows([*ids, ids[0], "0" * 64]) == rows
    assert await library.rows([]) == await library.table.records(["id"], []) == []
    found = await library.table.records(["id", "title"], ids[:3])
    assert {one["id"]: one["title"] for one in found} == {row.id: row.title for row in rows[-3:]}
    assert (await library.listed(filter=Filter(), limit=5))[0] == rows
