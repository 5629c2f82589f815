"""The check of a library, on drawings of the sketch world and its encoder."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagerag.agent.caption_language import caption_language
from imagerag.agent.errors import LibraryError
from imagerag.evals.suites.case import LibraryRecipe
from imagerag.evals.suites.sketch_libraries import build_library
from imagerag.store.data_dir import DataDir
from imagerag.store.library.check import ways
from imagerag.store.library.check.library_check import check_library
from imagerag.store.library.check.unrelated_captions import UNRELATED
from imagerag.store.library.check.unrelated_translations import TRANSLATED
from imagerag.store.library.check.ways import FEW, CheckSize
from imagerag.store.library.library import Library
from imagerag.store.library.thresholds.negative_captions import NULL_CAPTIONS
from imagerag.store.library.thresholds.unrelated_captions import TRANSLATED as OF_CALIBRATION
from imagerag.tools.registry import make_embedder
from tests.conftest import made_once

SIZE = CheckSize(captions=30, near=20, images=16)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    async def make(home: Path) -> None:
        await build_library(DataDir(home), "few", LibraryRecipe(kind="rare", size=40), make_embedder("sketch"))

    import asyncio

    return made_once(tmp_path_factory, "few-to-check", lambda home: asyncio.run(make(home)))


@pytest.fixture
async def made(drawn: Path, tmp_path: Path) -> Library:
    shutil.copytree(drawn, tmp_path / "home")
    return await Library.open(DataDir(tmp_path / "home"), "few", make_embedder("sketch"))


async def test_each_way_is_searched_for_what_is_there_and_what_is_not(made: Library) -> None:
    version, own = made.table.lance.version, (await made.rows())[0].caption
    found = await check_library(made, replace(SIZE, unrelated=("a ship in a bottle", own)))
    assert (found.library, found.embedder, found.language) == ("few", "sketch", "en")
    assert (found.images, found.captions) == (40, 40)
    assert made.caption_language == "en"
    text, image = found.ways
    assert (text.way, text.queries, text.held_out, text.threshold) == ("text_to_image", 30, "halves", made.threshold)
    assert set(text.reject_rates) == {"near", "left_out", "unrelated"}
    assert text.reject_rates["unrelated"].n == 1, "the other one is one of the library's"
    assert text.accept_rate is not None
    assert text.accept_rate.n == 30
    assert text.reject_rate is not None
    assert text.reject_rate.n == sum(share.n for share in text.reject_rates.values())
    assert (image.way, image.queries, image.threshold) == ("image_to_image", 32, made.image_threshold)
    assert image.accept_rate is not None
    assert image.accept_rate.n == 32
    assert image.reject_rates["other_images"].n == 40
    for way in found.ways:
        assert way.ranking is not None
        assert 0.5 < way.ranking.ndcg_10 <= 1
        assert way.verdict in ("good", "usable")
    assert made.table.lance.version == version


async def test_own_captions_that_calibration_has_not_seen_decide_on_the_library_s_threshold(
    made: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "OWN_SAMPLE", 10)
    text = (await check_library(made, SIZE)).ways[0]
    assert (text.held_out, text.queries) == ("captions", 30)


async def test_without_captions_images_are_checked_all_the_same(made: Library) -> None:
    await made.update([replace(row, caption="") for row in await made.rows()])
    text, image = (await check_library(made, SIZE)).ways
    assert (text.verdict, text.ranking, text.held_out, text.queries) == ("too_few", None, None, 0)
    assert "manifest=FILE" in text.advice[0]
    assert image.verdict in ("good", "usable")


async def test_a_library_that_is_empty_cannot_be_checked(tmp_path: Path) -> None:
    empty = await Library.create_or_open(DataDir(tmp_path), "empty", make_embedder("sketch"))
    with pytest.raises(LibraryError, match="nothing to check"):
        await check_library(empty, SIZE)


async def test_captions_in_a_language_that_the_encoder_does_not_read_are_named(made: Library) -> None:
    """What the captions say is shuffled too, as an encoder hears an unknown language."""
    kinds = [f"ein {look} {thing} auf dem {place}" for look in ("rundes", "spitzes", "altes", "neues", "buntes")
             for thing in ("Boot", "Haus", "Auto", "Rad") for place in ("Berg", "Feld")]  # fmt: skip
    await made.update([replace(row, caption=kinds[at]) for at, row in enumerate(await made.rows())])
    await made.calibrate()
    found = await check_library(made, SIZE, better_embedder="open_clip:better")
    assert found.language == "de"
    assert made.caption_language == "", "nothing is gained by searching in it"
    assert found.ways[0].verdict in ("not_connected", "cannot_tell_apart")
    assert "the captions are German" in found.ways[0].advice[0]
    assert "embedder='open_clip:better'" in found.ways[0].advice[0]


async def test_the_short_check_is_bounded(made: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = {"texts": 0, "images": 0}
    embed_texts, embed_images = made.embedder.embed_texts, made.embedder.embed_images

    async def texts(given: Any) -> Any:
        encoded["texts"] += len(given)
        return await embed_texts(given)

    async def images(given: Any) -> Any:
        encoded["images"] += len(given)
        return await embed_images(given)

    monkeypatch.setattr(made.embedder, "embed_texts", texts)
    monkeypatch.setattr(made.embedder, "embed_images", images)
    await check_library(made, CheckSize.of(FEW))
    assert 0 < encoded["texts"] <= 156
    assert 0 < encoded["images"] <= 32


def test_the_unrelated_captions_are_not_those_that_calibration_uses() -> None:
    assert not set(UNRELATED) & set(NULL_CAPTIONS)
    assert len(set(UNRELATED)) == len(UNRELATED) <= 60
    assert set(TRANSLATED) == set(OF_CALIBRATION)
    for language, captions in TRANSLATED.items():
        assert not set(captions) & set(OF_CALIBRATION[language])
        assert len(set(captions)) == 40
        assert caption_language(captions) == language


async def test_thresholds_keep_their_error_rates(made: Library) -> None:
    threshold = await made.calibrate()
    between = made.metadata.image_threshold
    assert threshold.reject_rate == pytest.approx(threshold.percentile / 100, abs=0.02)
    assert threshold.near_reject_rate is not None
    assert threshold.near_reject_rate <= threshold.reject_rate or threshold.near_reject_rate == 1
    assert between is not None
    assert between.accept_rate is not None
    assert between.reject_rate is not None
    assert np.all(np.asarray([between.accept_rate, between.reject_rate]) >= 0.75)
