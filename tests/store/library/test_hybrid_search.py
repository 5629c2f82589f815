"""Hybrid search: which list finds an image and why, words of any language, and the weights of the lists."""

import unicodedata
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.agent.ports import Filter
from imagerag.store.library.caption_vectors import use_caption_encoder
from imagerag.store.library.fusion import DEPTH, FALLBACK, Fused, RankedList, effective_weights
from imagerag.store.library.indexing.caption_encoding import encode_captions
from imagerag.store.library.lancedb_import import import_lancedb
from imagerag.store.library.matched_words import matched_words
from imagerag.store.library.word_search import best_matches, needed_word_indexes, stemming_language

lists = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


def ranked(name, ids, scores=None) -> RankedList:
    return RankedList(name, list(ids), scores or [1 - at / 10 for at in range(len(ids))])


@given(lists, lists, st.floats(0, 1))
@settings(max_examples=60)
def test_shares_add_up_and_an_image_ahead_in_all_lists_is_ahead(one, other, weight):
    fused = Fused.of([ranked("image", one), ranked("words", other)], {"image": weight, "words": 1 - weight})
    found = fused.found_by(list(fused.scores))
    assert set(found) == {*one, *other}
    for sha256, by in found.items():
        assert sum(one.share for one in by) == pytest.approx(1)
        assert [one.share for one in by] == sorted((one.share for one in by), reverse=True)
        assert {one.list: one.rank for one in by} == {
            name: ids.index(sha256) + 1 for name, ids in (("image", one), ("words", other)) if sha256 in ids
        }
    both = [sha256 for sha256 in one if sha256 in other]
    for first in both:
        for second in both:
            if one.index(first) < one.index(second) and other.index(first) < other.index(second):
                assert fused.scores[first] > fused.scores[second]


def test_all_weight_on_one_list_keeps_its_order_and_the_others_fill_up():
    image = ranked("image", [f"i{at}" for at in range(DEPTH)], [0.9 - at / 1000 for at in range(DEPTH)])
    fused = Fused.of([image, ranked("words", ["w", "i49", "i7"])], {"image": 1.0, "words": 0.0})
    order = sorted(fused.scores, key=lambda one: -fused.scores[one])
    assert order == [*image.ids, "w"]
    assert fused.best(3) == ["i0", "i1", "i2"]
    assert effective_weights(["image", "words"], {"image": 1.0})["words"] == pytest.approx(FALLBACK, rel=0.01)
    assert effective_weights(["image", "words"], None) == {"image": 0.5, "words": 0.5}


def test_scores_beyond_the_depth_count_nothing_and_equal_ones_alike():
    long = ranked("words", [str(at) for at in range(DEPTH + 5)], [float(100 - at) for at in range(DEPTH + 5)])
    assert long.scaled()[0] == 1
    assert long.scaled()[DEPTH:] == [0.0] * 5
    assert ranked("words", "ab", [2.0, 2.0]).scaled() == [1.0, 1.0]
    assert ranked("words", "").scaled() == []


CAPTIONS = {
    "japanese": "青い傘と赤い自転車が並んでいる", "chinese": "一只黑猫坐在红色沙发上", "thai": "แมวสีดำนอนบนเก้าอี้",
    "german": "Schöne Größe: die Bücher auf der Straße", "decomposed": unicodedata.normalize("NFD", "Ein Käfer"),
    "arabic": "قطة سوداء على الأريكة", "file": "red_umbrella_v2.png",
    "english": "Two bicycles near the café, SKU-12345",
}  # fmt: skip


@pytest.fixture(scope="module")
def texts():
    import pyarrow as pa

    rows = [{"id": name, "caption": text, "title": "", "tags": ["lantern"] if name == "file" else None}
            for name, text in CAPTIONS.items()]  # fmt: skip
    schema = pa.schema([("id", pa.string()), ("caption", pa.string()), ("title", pa.string()),
                        ("tags", pa.list_(pa.string()))])  # fmt: skip
    table = import_lancedb().connect("memory://").create_table("texts", pa.Table.from_pylist(rows, schema=schema))
    for column, config in needed_word_indexes(table).items():
        table.create_index(column, config=config)
    assert not needed_word_indexes(table)
    return table


@pytest.mark.parametrize(("query", "found"), [
    ("自転車", "japanese"), ("傘", "japanese"), ("黑猫", "chinese"), ("แมว", "thai"), ("قطة", "arabic"),
    ("GRÖSSE", "german"), ("grosse", "german"), ("bucher", "german"), ("Käfer", "decomposed"), ("bicycle", "english"),
    (unicodedata.normalize("NFD", "Bücher"), "german"), ("CAFÉ", "english"), ("sku-12345", "english"),
    ("umbrella", "file"), ("lantern", "file"),
])  # fmt: skip
def test_words_of_any_script_are_found(texts, query, found):
    (first,) = best_matches(texts, query, 1, Filter(), ("id", "caption", "tags"))
    assert first["id"] == found
    field, words = matched_words(query, first)
    assert field == ("tags" if query == "lantern" else "caption")
    assert words


def test_an_index_of_another_language_or_version_is_built_anew(texts):
    import pyarrow as pa
    from lancedb.index import FTS

    german = pa.table({"id": ["1"], "caption": ["Die Strasse und das Haus mit der Katze"], "title": ["x"]})
    table = import_lancedb().connect("memory://").create_table("german", german)
    table.create_index("caption", config=FTS())
    needed = needed_word_indexes(table)
    assert {name: (config.language, config.base_tokenizer) for name, config in needed.items()} == {
        "caption": ("German", "icu/split"), "title": ("German", "icu/split"),
    }  # fmt: skip
    for column, config in needed.items():
        table.create_index(column, config=config)
    assert [one["id"] for one in best_matches(table, "Straßen", 3, Filter(), ("id",))] == ["1"]


@pytest.mark.parametrize(("captions", "language"), [
    (["a cat on the sofa", "two dogs with a ball"], "English"), (["Eine Katze auf dem Sofa mit der Maus"], "German"),
    (["un chat sur le canapé avec une souris"], "French"), ([], "English"), (["青い傘"], "English"),
    (["Кошка на диване и собака под столом"], "Russian"), ([None, ""], "English"),
])  # fmt: skip
def test_the_stemming_language_captions(captions, language):
    assert stemming_language(captions) == language


@pytest.mark.parametrize(("query", "record", "expected"), [
    ("the hiking boots", {"caption": "Boots for hikes", "title": "Boots"}, ("caption", ("hiking", "boots"))),
    ("red umbrella", {"caption": "a red car", "tags": ["Red", "umbrella"]}, ("tags", ("red", "umbrella"))),
    ("redo", {"caption": "a red car"}, ("caption", ("redo",))),
    ("青い空", {"caption": "青い傘"}, ("caption", ("青い",))),
    ("summer", {"caption": "winter", "ocr": "SUMMER\nSALE"}, ("ocr", ("summer",))),
    ("of the", {"caption": "of the"}, ("", ())),
])  # fmt: skip
def test_matched_words(query, record, expected):
    assert matched_words(query, record) == expected


@pytest.fixture
async def lamps(library, put_row):
    for mark in range(6):
        await put_row("red", mark=mark, title=f"card {mark}", caption="a plain thing")
    await put_row("blue", title="Luna Lamp", caption="a blue lamp", tags=("bedroom",))
    await library.optimize()
    return library


@pytest.fixture
def put_row(library, embedder, picture):
    from imagerag.store.images.image_info import image_info
    from imagerag.store.library.schema import ImageRecord, NewImage

    async def write(colour, mark=0, **known):
        data = picture(colour, mark=mark)
        seen = image_info(data)
        row = ImageRecord(image=seen.image, **known)
        vector = (await embedder.embed_images([data]))[0]
        await library.upsert([NewImage(row=row, data=data, thumbnail=seen.thumbnail, vector=vector)])

    return write


async def test_each_hit_names_its_lists(lamps):
    first, *rest = await lamps.search("luna", k=3, hybrid=True)
    by = {one.list: one for one in first.found_by}
    assert (first.title, by["words"].rank, by["words"].field, by["words"].words) == ("Luna Lamp", 1, "title", ("luna",))
    assert by["image"].score == pytest.approx(first.similarity, abs=1e-5)
    assert [[one.list for one in hit.found_by] for hit in rest] == [["image"], ["image"]]
    assert [hit.title for hit in await lamps.search("bedroom", k=1, hybrid=True)] == ["Luna Lamp"]
    assert all(not hit.found_by for hit in await lamps.search("luna", k=3))


async def test_captions_are_a_list_of_their_own(lamps, embedder):
    use_caption_encoder(lamps.table, embedder.identity)
    await encode_captions(lamps, embedder)
    await lamps.read_metadata()
    first = (await lamps.search("a blue lamp", k=1, hybrid=True))[0]
    by = {one.list: one for one in first.found_by}
    assert set(by) == {"image", "caption", "words"}
    assert first.caption_similarity == pytest.approx(by["caption"].score) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("weights", [{"image": 1.0, "words": 0.0}, {"image": 0.0, "words": 1.0}])
async def test_weights_decide_whose_order_it_is(lamps, monkeypatch, weights: Mapping[str, float]):
    from datetime import UTC, datetime

    from imagerag.store.library.library_metadata import Fusion, library_metadata_of, write_library_metadata

    fusion = Fusion(weights=weights, method="single", images=7, calibrated=datetime.now(UTC))
    metadata = library_metadata_of(lamps.table.lance, lamps.name).model_copy(update={"fusion": fusion})
    write_library_metadata(lamps.table.lance, metadata)
    await lamps.read_metadata()
    query = "red luna" if weights["words"] else "red luna luna"
    near = [hit.image for hit in await lamps.search(query, k=7)]
    found = await lamps.search(query, k=7, hybrid=True)
    assert len(found) == 7  # the other list fills up
    if weights["words"]:
        assert found[0].title == "Luna Lamp"
    else:
        assert [hit.image for hit in found] == near
    assert np.isclose(sum(one.share for one in found[0].found_by), 1)
