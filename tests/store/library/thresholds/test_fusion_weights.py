"""Weights of a hybrid search's lists: held-out queries, the rules that choose, and the joint threshold."""

from datetime import UTC, datetime

import numpy as np
import pytest

from imagerag.store.library.fusion import RankedList
from imagerag.store.library.fusion_calibration import judge, sample_of
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library_metadata import read_library_metadata
from imagerag.store.library.thresholds.fused_calibration import FusedCosines, embedded_by_each
from imagerag.store.library.thresholds.fusion_weights import ENOUGH, Judged, WeightChoice, choose_weights
from imagerag.store.library.thresholds.held_out_queries import HeldOut, sentences
from imagerag.tools.testing.fakes import HashEmbedder


def columns(rows):
    import pyarrow as pa

    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(("title", "caption"))})


def test_a_sentence_is_taken_out_of_every_caption_that_has_it():
    shoe = "Blue shoes. They are made for long summer walks."
    held = HeldOut.of(columns([("Shoes", shoe), ("Shoes", f"{shoe} Sold in pairs by us."), ("Mug", "A mug")]))
    names = [query for query in held.queries if query.kind == "name"]
    (described,) = [query for query in held.queries if query.kind == "description"]
    assert (described.text, described.rows) == ("They are made for long summer walks.", (0, 1))
    assert all(described.text not in held.changed[row] for row in described.rows)
    assert [(query.text, query.rows) for query in names] == [("Shoes", (0, 1))]  # as many names as descriptions


def test_a_name_is_no_part_of_the_description_that_is_searched_for():
    caption = "The Luna Lamp is a lamp called Luna. Its brass foot carries a globe of glass."
    (query,) = [one for one in HeldOut.of(columns([("Luna Lamp", caption)])).queries if one.kind == "description"]
    assert query.text == "Its brass foot carries a globe of glass."


@pytest.mark.parametrize(("text", "found"), [
    ("One red mug stands here. Two blue cups hang there!", 2), ("no end at all", 1), ("", 0), ("a. b. c.", 0),
    ("青い傘と赤い自転車が並んでいる。 黒い猫が白い椅子で寝ている。", 2),
])  # fmt: skip
def test_sentences(text, found):
    assert len(sentences(text)) == found


def judged(ranks: dict[str, list[int]]) -> list[Judged]:
    """Queries whose image is at a rank of each list, from 0; -1 is not found."""
    queries = len(next(iter(ranks.values())))
    return [Judged([_list(name, places[at]) for name, places in ranks.items()], ["wanted"]) for at in range(queries)]


def _list(name, rank: int) -> RankedList:
    ids = [f"{name}{at}" for at in range(20)]
    if rank >= 0:
        ids[rank] = "wanted"
    return RankedList(name, ids, [1 - at / 50 for at in range(20)])


def test_lists_that_find_different_images_are_mixed():
    ranks = {"image": [0, 12] * 20, "words": [12, 0] * 20}
    fusion = choose_weights(judged(ranks), ["image", "words"], 40)
    assert (fusion.method, fusion.n_queries) == ("mixed", 40)
    assert fusion.gain[0] > 0
    assert fusion.fused_ndcg > max(fusion.ndcg.values())
    assert sum(fusion.weights.values()) == pytest.approx(1)


def test_a_list_that_is_right_alone_has_all_weight():
    ids = [f"x{at}" for at in range(20)]
    right, wrong = (
        RankedList("image", ["wanted", *ids], np.linspace(1, 0, 21).tolist()),
        RankedList("words", ids, list(range(20, 0, -1))),
    )
    fusion = choose_weights([Judged([right, wrong], ["wanted"])] * 40, ["image", "words"], 40)
    assert (fusion.method, fusion.weights) == ("single", {"image": 1.0, "words": 0.0})


@pytest.mark.parametrize("queries", [0, ENOUGH - 1])
def test_too_few_queries_say_nothing(queries):
    ranks = {"image": [0] * queries, "words": [-1] * queries}
    fusion = choose_weights(judged(ranks), ["image", "words"], 7)
    assert (fusion.method, fusion.weights, fusion.gain) == ("equal", {"image": 0.5, "words": 0.5}, None)


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_never_surely_worse_than_the_best_list(seed):
    chance = np.random.default_rng(seed)
    ranks = {name: chance.integers(-1, 20, 60).tolist() for name in ("image", "caption", "words")}
    choice = WeightChoice.of(judged(ranks))
    fusion = choice.fusion(images=1)
    assert fusion.gain[1] >= 0
    assert fusion.calibrated <= datetime.now(UTC)


def cosines(chance, own, null, n=120):
    """Best cosines around two means, independent of each other in the two columns."""
    return FusedCosines(*(chance.normal(mean, 0.03, (n, 2)) for mean in (own, null, null)))


def test_either_cosine_lets_an_image_count_and_both_errors_stay_in_their_limits():
    chance = np.random.default_rng(0)
    found = cosines(chance, 0.5, 0.3)
    swapped = found.own.copy()
    swapped[::2, 0], swapped[1::2, 1] = 0.3, 0.3  # one half is found by its image only, the other by its caption only
    threshold = FusedCosines(swapped, found.near, found.far).threshold()
    assert threshold.image is not None
    assert threshold.caption is not None
    assert threshold.accept_rate >= 0.9
    assert threshold.reject_rate >= 0.95


def test_a_column_that_tells_nothing_is_left_out():
    found = cosines(np.random.default_rng(1), 0.5, 0.3)
    for one in (found.own, found.near, found.far):
        one[:, 0] = np.random.default_rng(2).normal(0.2, 0.1, len(one))
    threshold = found.threshold()
    assert threshold.image is None
    assert threshold.accept_rate >= 0.9


def test_no_threshold_is_claimed_where_nothing_can_be_told_apart():
    threshold = cosines(np.random.default_rng(3), 0.3, 0.3).threshold()
    assert (threshold.image, threshold.caption) == (None, None)
    assert threshold.accept_rate < 0.9 or threshold.reject_rate < 0.95


@pytest.fixture
def described(tmp_path, picture):
    """Thirty cards with a name and two sentences each, of which the second has the colour."""
    folder = tmp_path / "cards"
    folder.mkdir()
    colours = ("red", "green", "blue", "yellow", "black", "white", "orange", "purple")
    for at in range(30):
        colour = colours[at % len(colours)]
        (folder / f"card {at} {colour}.png").write_bytes(picture(colour, mark=at))
        caption = f"Item number n{at} out of the drawer. It is {colour} card k{at} over there."
        (folder / f"card {at} {colour}.txt").write_text(caption, encoding="utf-8")
    return folder


async def test_indexing_weighs_the_lists(library, home, described):
    await index([described], library)
    fusion = read_library_metadata(home, "shop").fusion
    assert fusion is not None
    assert fusion.n_queries == 60
    assert set(fusion.weights) == {"image", "words"}
    assert fusion.ndcg["words"] < 1  # the sentences that are searched for are taken out
    sample = sample_of(library.table.lance)
    held = HeldOut.of(sample)
    found = await judge(sample, held, library.embedder)
    names = [one for one, query in zip(found, held.queries, strict=True) if query.kind == "name"]
    assert sum(one.lists[-1].ids[0] in one.wanted for one in names) > 20
    hits = await library.search("card 7 purple", k=3, hybrid=True)
    assert hits[0].title == "card 7 purple"


async def test_an_encoder_of_both_lists_encodes_texts_once(embedder, monkeypatch):
    encode, encoded = type(embedder).embed_texts, list[str]()

    async def counted(self, texts):
        encoded.extend(texts)
        return await encode(self, texts)

    monkeypatch.setattr(type(embedder), "embed_texts", counted)
    one, same = await embedded_by_each(["red", "blue"], embedder, embedder)
    assert encoded == ["red", "blue"]
    assert one is same
    other = HashEmbedder()
    one, different = await embedded_by_each(["red"], embedder, other)
    assert (different == await other.embed_texts(["red"])).all()
    assert one.shape != different.shape
