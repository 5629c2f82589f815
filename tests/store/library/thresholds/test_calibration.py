"""The default threshold, on worlds whose geometry is known."""

import hashlib
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.types import ImageRef
from imagerag.store.library.library_metadata import percentile_of
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.thresholds.calibration import (
    ENOUGH,
    balanced_threshold,
    clamp_threshold,
    negative_floor,
)
from imagerag.store.library.thresholds.caption_index import CaptionIndex
from imagerag.store.library.thresholds.caption_phrases import phrases, query_of, things
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.negative_captions import NULL_CAPTIONS
from tests.store.library.thresholds.measured_thresholds import identity_of, text_threshold

HUES = "red orange yellow lime green teal blue purple pink brown black grey".split()  # noqa: SIM905
LOOKS = "solid striped dotted checkered ringed split".split()  # noqa: SIM905
SHAPES = "circle square triangle rectangle diamond oval hexagon star heart crescent cross arrow".split()  # noqa: SIM905
EVERYTHING = [f"{hue} {look} {shape}" for hue, look, shape in product(HUES, LOOKS, SHAPES)]


@dataclass(frozen=True)
class World:
    """Texts and images as sums of their words' directions, of the whole thing's own, and of noise.

    Attributes:
        own: how much of a thing's vector is its own, in [0, 1]; the rest it shares with things that share words.
        noise: length of what is random in an image, beside 1.
    """

    planted: object
    own: float = 0.4
    noise: float = 0.5

    @property
    def identity(self):
        return identity_of(len(self.planted("")))

    def _vector(self, words: str, salt: str, noise: float):
        shared = sum(self.planted(word) for word in words.split()) / np.sqrt(len(words.split()))
        whole = np.sqrt(1 - self.own) * shared + np.sqrt(self.own) * self.planted(words)
        vector = whole / np.linalg.norm(whole) + noise * self.planted(salt)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    async def embed_texts(self, texts):
        plain = [text.removeprefix("an ").removeprefix("a ") for text in texts]
        return np.stack([self._vector(text, f"text {text}", 0.2) for text in plain])

    def library(self, shown, caption="{name}, a {thing}"):
        order = sorted(range(len(shown)), key=lambda at: hashlib.sha256(str(at).encode()).hexdigest())
        rows = []
        for at in order:
            text = caption.format(name=f"Widget {at}", thing=shown[at])
            digest = hashlib.sha256(str(at).encode()).hexdigest()
            image = ImageRef(sha256=digest, media_type="image/png", width=1, height=1)
            rows.append(ImageRecord(image=image, caption=text, title=f"Widget {at}" if at % 2 else ""))
        return rows, np.stack([self._vector(shown[at], f"image {at}", self.noise) for at in order])

    async def best(self, asked, vectors):
        return ((await self.embed_texts([f"a {thing}" for thing in asked])) @ vectors.T).max(axis=1)


@pytest.fixture
def world(planted):
    @cache
    def wide(word):
        return np.concatenate([planted(f"{word} {part}") for part in range(4)]) / 2

    return World(wide)


def hard_negatives(shown, count):
    chance, there, found = Random(1), set(shown), set()
    while len(found) < count:
        words = chance.choice(shown).split()
        place, kinds = chance.choice(list(enumerate((HUES, LOOKS, SHAPES))))
        words[place] = chance.choice(kinds)
        if " ".join(words) not in there:
            found.add(" ".join(words))
    return sorted(found)


@pytest.mark.parametrize("size", [50, 500, 5000])
async def test_accepts_matches_and_rejects_hard_negatives(world, size):
    chance = Random(size)
    held = chance.sample(EVERYTHING, 700)
    shown = [chance.choice(held) for _ in range(size)]
    rows, vectors = world.library(shown)
    threshold = await text_threshold(LibraryContent.of(rows, vectors), world)
    present = await world.best(sorted(set(shown))[:200], vectors)
    absent = await world.best(hard_negatives(shown, 200 if size < 5000 else 100), vectors)
    assert (present >= threshold.cosine).mean() >= 0.9
    assert (absent < threshold.cosine).mean() >= 0.95
    assert threshold.method == "captions"
    assert threshold.accept_rate >= 0.9
    assert threshold.percentile >= 95
    assert threshold.images == size


async def test_the_same_again(world):
    rows, vectors = world.library(EVERYTHING[:100])
    content = LibraryContent.of(rows, vectors)
    one, two = await text_threshold(content, world), await text_threshold(content, world)
    assert one.model_copy(update={"calibrated": two.calibrated}) == two


async def test_without_captions_unrelated_ones_decide(world):
    rows, vectors = world.library(EVERYTHING[:300], caption="")
    threshold = await text_threshold(LibraryContent.of(rows, vectors), world)
    unrelated = await world.best([text.removeprefix("a ") for text in NULL_CAPTIONS], vectors)
    assert threshold.method == "unrelated"
    assert threshold.cosine == threshold.minimum
    assert threshold.accept_rate is None
    assert threshold.positive_quantiles == ()
    assert (unrelated < threshold.cosine).mean() >= 0.95
    assert (await world.best(EVERYTHING[:300], vectors) >= threshold.cosine).mean() >= 0.9


@pytest.mark.parametrize("size", [1, 2, ENOUGH - 1])
async def test_few_images(world, size):
    rows, vectors = world.library(EVERYTHING[:size])
    threshold = await text_threshold(LibraryContent.of(rows, vectors), world)
    assert threshold.method == "unrelated"
    assert threshold.n_own == size


async def test_an_encoder_that_cannot_tell_keeps_the_librarys_own(planted):
    blind = World(planted, own=0.0, noise=2.0)
    rows, vectors = blind.library(EVERYTHING[:400])
    threshold = await text_threshold(LibraryContent.of(rows, vectors), blind)
    assert threshold.accept_rate >= 0.9 or threshold.cosine == threshold.minimum


async def test_captions_that_say_nothing_of_their_images_do_not_decide(world):
    rows, vectors = world.library(EVERYTHING[:400])
    threshold = await text_threshold(LibraryContent.of(rows, np.roll(vectors, 7, axis=0)), world)
    assert threshold.method == "unrelated"
    assert threshold.cosine == threshold.minimum


async def test_words_the_encoder_never_saw_do_not_shut_out_the_librarys_own(world):
    rows, vectors = world.library(EVERYTHING[:400])
    middle = vectors.mean(axis=0)

    class Toy(World):
        async def embed_texts(self, texts):
            known = await super().embed_texts(texts)
            strange = [not set(text.split()) & set(SHAPES) for text in texts]
            known[strange] = vectors[: sum(strange)] + 0.1 * middle  # unseen words land on images
            return known / np.linalg.norm(known, axis=1, keepdims=True)

    threshold = await text_threshold(LibraryContent.of(rows, vectors), Toy(world.planted))
    assert threshold.minimum > 0.95
    assert threshold.method == "captions"
    assert threshold.accept_rate >= 0.9


async def test_one_thing_under_many_names_is_no_miss(world):
    shown = EVERYTHING[::10] * 3
    rows, vectors = world.library(shown)
    index = CaptionIndex.of(rows)
    assert index.matches("a red solid circle").size == 3
    threshold = await text_threshold(LibraryContent.of(rows, vectors), world)
    assert threshold.accept_rate >= 0.9


@pytest.mark.parametrize(
    ("caption", "title", "asked"),
    [
        ("Widget A, a red solid circle", "Widget A", "a red solid circle"),
        ("Orbit Puck 3, an orange ringed circle", "", "an orange ringed circle"),
        ("a red solid circle by Widget A", "Widget A", "a red solid circle by"),
        ("Red", "", "Red"),
        ("Widget A", "Widget A", "Widget A"),
        ("A red, shiny car", "", "A red, shiny car"),
        ("(.*)", "(.*)", "(.*)"),
        ("", "", ""),
    ],
)
def test_query_of(caption, title, asked):
    assert query_of(caption, title) == asked


def test_things_of_a_caption():
    caption = "a red circle, an orange square and a blue striped star on a grid background"
    assert things(caption) == ["a red circle", "an orange square", "a blue striped star"]
    assert phrases(caption)[-1] == ("a grid background", True)


def test_binding_is_respected():
    image = ImageRef(sha256="ab" * 32, media_type="image/png", width=1, height=1)
    index = CaptionIndex.of([ImageRecord(image=image, caption="a red circle and a blue square on a white table")])
    assert index.matches("a blue square").size == 1
    assert index.matches("a blue square and a red circle").size == 1
    assert index.matches("a blue circle").size == 0
    assert index.matches("").size == 0


def test_hard_negatives_are_learned_from_the_captions():
    image = ImageRef(sha256="ab" * 32, media_type="image/png", width=1, height=1)
    captions = ["a red car", "a blue car", "an orange car", "a red bicycle", "sunset over the sea"]
    made = CaptionIndex.of([ImageRecord(image=image, caption=caption) for caption in captions]).hard_negatives(20)
    assert made
    assert set(made) <= {"a blue bicycle", "an orange bicycle"}


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_caption_can_be_read(caption, title):
    image = ImageRef(sha256="ab" * 32, media_type="image/png", width=1, height=1)
    index = CaptionIndex.of([ImageRecord(image=image, caption=caption, title=title)] * 2)
    for asked in index.sample(5):
        assert asked.matches.tolist() == [0, 1]
    index.hard_negatives(5)


def test_balance():
    assert balanced_threshold(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == pytest.approx(0.5)
    own, near = np.linspace(0.5, 1, 500), np.linspace(0, 0.5, 500)
    assert balanced_threshold(own, near) == pytest.approx(0.5, abs=0.01)
    own, near = np.linspace(0.3, 1, 1001), np.linspace(0, 0.38, 1001)
    between = balanced_threshold(own, near)
    assert 0.3 < between <= 0.37
    hopeless = balanced_threshold(np.linspace(0, 1, 1001), np.linspace(0, 1, 1001))
    assert hopeless == pytest.approx(0.1)


def test_where_both_cannot_be_had_the_worse_promise_is_broken_least():
    own, near = np.linspace(0.3, 1, 1001), np.linspace(0, 0.4, 1001)
    cosine = balanced_threshold(own, near)
    refused, accepted = (own < cosine).mean(), (near >= cosine).mean()
    assert refused == pytest.approx(0.111, abs=0.002)
    assert accepted == pytest.approx(0.0555, abs=0.002)
    every = [max((own < at).mean() / 0.10, (near >= at).mean() / 0.05) for at in np.linspace(0, 1, 1001)]
    assert max(refused / 0.10, accepted / 0.05) <= min(every) + 0.02


def test_the_floor_holds_unless_it_refuses_the_own_captions_wholesale():
    own = np.linspace(0, 1, 1001)
    assert clamp_threshold(0.2, 0.1, own) == 0.2
    assert clamp_threshold(0.2, 0.3, own) == 0.3
    assert clamp_threshold(0.9, 0.1, own) == 0.1


def test_every_picture_is_asked_for_one_of_its_things():
    image = ImageRef(sha256="ab" * 32, media_type="image/png", width=1, height=1)
    captions = ["", *(f"a red {shape} and a blue {shape}" for shape in SHAPES), "a green fox", "a green fox"]
    index = CaptionIndex.of([ImageRecord(image=image, caption=caption) for caption in captions])
    asked = [said.text for said in index.sample(100)]
    assert [text.split()[2] for text in asked] == [*SHAPES, "fox"]
    assert {text.split()[1] for text in asked} == {"red", "blue", "green"}
    assert [said.text for said in index.sample(3)] == asked[:3]


@dataclass(frozen=True)
class Mixed(World):
    """Pictures of one to three things, each lending the picture its direction; those of several lean to `busy`, as
    all texts do that are not of this world's words: what an unrelated caption is nearest to is a crowded picture.

    Attributes:
        busy: how far they lean, beside 1.
    """

    busy: float = 0.5

    def _vector(self, words: str, salt: str, noise: float):
        named = words.split(" and a ")
        total = sum(World._vector(self, name, f"{salt} {name}", noise) for name in named)
        if len(named) > 1 or not set(words.split()) & set(SHAPES):
            total = total / np.linalg.norm(total) + self.busy * self.planted("busy")
        return (total / np.linalg.norm(total)).astype(np.float32)


def mixed_pictures(chance, size):
    held = chance.sample(EVERYTHING, 700)
    return [" and a ".join(chance.sample(held, chance.choices((1, 2, 3), (6, 3, 1))[0])) for _ in range(size)]


@pytest.mark.parametrize("busy", [0.5, 1.0])
@pytest.mark.parametrize("size", [50, 500])
async def test_crowded_pictures_do_not_speak_for_the_library(world, size, busy):
    mixed, chance = Mixed(world.planted, own=0.2, busy=busy), Random(size)
    shown = mixed_pictures(chance, size)
    rows, vectors = mixed.library(shown)
    threshold = await text_threshold(LibraryContent.of(rows, vectors), mixed)
    named = [picture.split(" and a ") for picture in shown]
    present = await mixed.best([chance.choice(things) for things in named][:300], vectors)
    absent = await mixed.best(hard_negatives([thing for things in named for thing in things], 200), vectors)

    def strain(cosine):
        return max((present < cosine).mean() / 0.10, (absent >= cosine).mean() / 0.05)

    assert threshold.method == "captions"
    assert threshold.cosine >= threshold.minimum or threshold.positive_quantiles[25] < threshold.minimum
    assert strain(threshold.cosine) <= 2 * min(map(strain, np.linspace(0, 1, 201)))
    assert (absent < threshold.cosine).mean() >= 0.9


async def test_the_floor_holds_where_crowded_pictures_draw_unrelated_captions(world):
    mixed = Mixed(world.planted, own=0.6, busy=0.6)
    threshold = await text_threshold(LibraryContent.of(*mixed.library(mixed_pictures(Random(50), 50))), mixed)
    assert threshold.method == "captions"
    assert threshold.cosine == threshold.minimum
    assert threshold.accept_rate >= 0.75


def test_the_floor_forgives_a_bank_that_is_not_all_unrelated():
    plain = np.random.default_rng(0).normal(0.2, 0.01, 140)
    contaminated = np.concatenate([plain, np.full(15, 0.35)])
    assert negative_floor(plain) == pytest.approx(negative_floor(contaminated), abs=0.03)
    assert np.quantile(contaminated, 0.99) > 0.34


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(-1, 1), st.floats(-1, 1))
def test_percentile_never_decreases(values, one, two):
    quantiles = tuple(sorted(values))
    low, high = sorted((one, two))
    assert 0 <= percentile_of(low, quantiles) <= percentile_of(high, quantiles) <= 100
    assert percentile_of(1.5, quantiles) == 100
    assert percentile_of(-1.5, quantiles) == 0


def test_captions_that_have_nothing_to_do_with_a_library_are_plain_words():
    assert [text for text in NULL_CAPTIONS if "_" in text or not 3 <= len(text.split()) <= 12] == []
