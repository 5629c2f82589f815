"""The numbers of the calibration, on cases small enough to be worked out by hand."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from imagerag.agent.types import ImageRef
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.thresholds import calibration
from imagerag.store.library.thresholds.calibration import balanced_threshold, clamp_threshold, negative_floor
from imagerag.store.library.thresholds.content import LibraryContent
from tests.store.library.thresholds.measured_thresholds import identity_of, image_threshold, text_threshold

THINGS = "mug lamp boot kettle scarf tent stove rope knife bottle chair table".split()  # noqa: SIM905


class Axes:
    """An encoder with one axis per word it knows, at `strength`, and one for all that it does not know."""

    def __init__(self, words: Sequence[str], strength: float = 1.0) -> None:
        self.words, self.strength = list(words), strength
        self.identity = identity_of(len(self.words) + 2)

    def vector(self, text: str) -> np.ndarray:
        out = np.zeros(len(self.words) + 2, dtype=np.float32)
        known = [word for word in text.split() if word in self.words]
        for word in known:
            out[self.words.index(word)] = self.strength / np.sqrt(len(known))
        out[-2 if known else -1] = np.sqrt(1 - self.strength**2) if known else 1.0
        return out

    async def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.vector(text) for text in texts])


def row(at: int, caption: str) -> ImageRecord:
    image = ImageRef(sha256=f"{at:064x}", media_type="image/png", width=1, height=1)
    return ImageRecord(image=image, caption=caption)


def test_where_no_cosine_keeps_both_promises_the_own_captions_come_first_from_five_times_on() -> None:
    own = np.linspace(0, 1, 1001)
    # At five times what is allowed a quarter of the others pass: 0.75 of `near` against the median of `own`.
    just_hopeless, just_bearable = np.linspace(0, 0.70, 1001), np.linspace(0, 0.62, 1001)
    assert balanced_threshold(own, just_hopeless) == pytest.approx(0.1)
    assert balanced_threshold(own, just_bearable) > 0.3


def test_between_what_never_reaches_and_what_always_does_it_is_the_middle() -> None:
    assert balanced_threshold(np.array([0.8, 0.9]), np.array([0.2, 0.4])) == pytest.approx(0.6)
    assert balanced_threshold(np.array([0.5, 0.9]), np.array([0.5])) == pytest.approx(0.5)


def test_every_kind_of_other_counts() -> None:
    assert balanced_threshold(np.array([0.8]), np.array([0.1]), np.array([0.6])) == pytest.approx(0.7)
    assert balanced_threshold(np.array([0.8]), np.array([0.6]), np.array([]), np.array([0.1])) == pytest.approx(0.7)


@pytest.mark.parametrize(("below", "expected"), [(25, 0.5), (26, 0.1)])
def test_the_floor_may_refuse_a_quarter_of_the_own_captions_and_no_more(below: int, expected: float) -> None:
    own = np.array([0.4] * below + [0.5] * (100 - below))
    assert clamp_threshold(0.5, 0.1, own) == expected


def test_the_floor_is_capped_by_what_the_lower_half_predicts() -> None:
    best = np.concatenate([np.linspace(0.1, 0.3, 101), np.full(50, 0.9)])
    low, median = np.quantile(best, 0.16), np.quantile(best, 0.5)
    assert negative_floor(best) == pytest.approx(median + 3.5 * (median - low))
    assert negative_floor(np.linspace(0, 1, 101)) == pytest.approx(0.99)


@pytest.mark.parametrize(("count", "basis"), [(7, "unrelated"), (8, "captions")])
async def test_eight_captions_are_the_least_that_decide(count: int, basis: str) -> None:
    encoder = Axes(THINGS)
    rows = [row(at, f"a {thing}") for at, thing in enumerate(THINGS[:count])]
    vectors = np.stack([encoder.vector(one.caption) for one in rows])
    found = await text_threshold(LibraryContent.of(rows, vectors), encoder)
    assert (found.method, found.n_own) == (basis, count)


async def test_captions_whose_images_beat_fewer_than_nine_of_ten_others_decide_nothing() -> None:
    encoder = Axes(THINGS)
    rows = [row(at, f"a {thing}") for at, thing in enumerate(THINGS[:11])]
    vectors = np.stack([encoder.vector(one.caption) for one in rows])
    assert (await text_threshold(LibraryContent.of(rows, vectors), encoder)).method == "captions"
    # Two of eleven lie on each other's images: those two beat none of the others, 9/11 of all are beaten.
    swapped = vectors.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    found = await text_threshold(LibraryContent.of(rows, swapped), encoder)
    assert found.method == "unrelated"


async def test_few_hard_negatives_decide_nothing() -> None:
    """Eight pictures of one and the same thing: nothing is left out of a search for it, so that there are none."""
    encoder = Axes(THINGS)
    rows = [row(at, "a mug") for at in range(9)]
    vectors = np.stack([encoder.vector("a mug")] * 9)
    found = await text_threshold(LibraryContent.of(rows, vectors), encoder)
    assert (found.method, found.n_near) == ("unrelated", 0)


async def test_what_was_asked_is_counted_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caption of the bank that the library does show is none of the unrelated ones."""
    bank = ["a mug", "a harbour at dawn", "a violin"]
    monkeypatch.setattr(calibration, "NULL_CAPTIONS", bank)
    encoder = Axes([*THINGS, "violin"], strength=0.8)
    rows = [row(at, f"a {thing}") for at, thing in enumerate(THINGS)]
    vectors = np.stack([encoder.vector(one.caption) for one in rows])
    found = await text_threshold(LibraryContent.of(rows, vectors), encoder)
    assert (found.n_own, found.n_unrelated, found.images) == (12, 2, 12)
    assert found.n_near >= 12
    assert len(found.positive_quantiles) == 101
    # Best cosines: 1 with what they show; 0.36 with another thing, as both have 0.6 that no word has.
    assert found.negative_quantiles[-1] == pytest.approx(0.36, abs=1e-5)
    assert found.negative_quantiles[0] == pytest.approx(0.0, abs=1e-5)
    assert found.accept_rate == 1.0
    assert found.cosine == pytest.approx((0.36 + 1) / 2, abs=1e-5)
    assert found.minimum == pytest.approx(0.3564, abs=1e-3)


async def test_a_caption_that_lies_on_the_threshold_reaches_it() -> None:
    encoder = Axes(THINGS)
    rows = [row(at, f"a {thing}") for at, thing in enumerate(THINGS[:7])]
    vectors = np.stack([encoder.vector(one.caption) for one in rows])
    vectors[:, -1] = 0.0
    # Unrelated captions all have the cosine 1 with the last picture, and so the threshold is 1.
    vectors[-1] = encoder.vector("nothing known")
    found = await text_threshold(LibraryContent.of(rows, vectors), encoder)
    assert found.cosine == pytest.approx(1.0)
    assert found.accept_rate == pytest.approx(6 / 7)


class Views:
    """Views of a picture, at given cosines from it: two of each picture, in the order of the pictures."""

    def __init__(self, vectors: np.ndarray, cosines: Sequence[float]) -> None:
        self.vectors, self.cosines = vectors, cosines
        self.identity = identity_of(vectors.shape[1])

    async def embed_images(self, images: Sequence[bytes]) -> np.ndarray:
        out = []
        for at, cosine in zip(np.repeat(np.arange(len(self.vectors)), 2), self.cosines, strict=True):
            spare = np.zeros(self.vectors.shape[1], dtype=np.float32)
            spare[-1 - at] = np.sqrt(1 - cosine**2)
            out.append(cosine * self.vectors[at] + spare)
        return np.array(out, dtype=np.float32)


def cone(count: int, cosine: float) -> np.ndarray:
    """Vectors that are all at one cosine from each other; half of the axes are left free."""
    vectors = np.zeros((count, 2 * count + 1), dtype=np.float32)
    vectors[:, 0] = np.sqrt(cosine)
    vectors[np.arange(count), 1 + np.arange(count)] = np.sqrt(1 - cosine)
    return vectors


async def between(vectors: np.ndarray, cosines: Sequence[float], png: bytes) -> float | None:
    async def read(ids: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        for one in ids:
            yield one, png

    rows = [row(at, "") for at in range(len(vectors))]
    return (await image_threshold(LibraryContent.of(rows, vectors), Views(vectors, cosines), read)).cosine  # type: ignore[arg-type]


@pytest.fixture
def png() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "PNG")
    return out.getvalue()


async def test_eight_pictures_are_enough_and_the_threshold_is_between_views_and_others(png: bytes) -> None:
    assert await between(cone(8, 0.6), [0.9] * 16, png) == pytest.approx(0.75, abs=1e-5)
    assert await between(cone(7, 0.6), [0.9] * 14, png) is None


async def test_each_view_is_measured_against_its_own_picture(png: bytes) -> None:
    cosines = [0.8 + 0.01 * (at // 2) for at in range(16)]  # 0.80 of the first to 0.87 of the last
    assert await between(cone(8, 0.5), cosines, png) == pytest.approx((0.5 + 0.8) / 2, abs=1e-5)


async def test_a_twin_that_is_nearer_than_most_views_is_no_evidence(png: bytes) -> None:
    vectors = cone(9, 0.5)
    vectors[8] = vectors[7]  # the same picture twice
    # The views of the others lie at 0.9, one lower: it is the middle of the views that twins are told by.
    assert await between(vectors, [0.6, *[0.9] * 17], png) is not None
    assert (await between(vectors, [0.6, *[0.9] * 17], png) or 1) <= 0.9


async def test_pictures_of_which_most_are_as_near_as_views_cannot_be_told_apart(png: bytes) -> None:
    assert await between(cone(10, 0.95), [0.9] * 20, png) is None


async def test_a_threshold_is_a_cosine(png: bytes) -> None:
    vectors = cone(8, 0.5)
    found = await between(vectors, [1.0] * 16, png)
    assert found is not None
    assert found <= 1.0
