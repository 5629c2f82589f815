"""Several libraries searched as one: lists joined by their places, each picture held to its own library's threshold."""

import hashlib

import numpy as np
import pytest

from imagerag.agent.errors import BlobError, LibraryError, UsageError
from imagerag.agent.ports import EmbedderIdentity, Filter
from imagerag.agent.retrieval.candidate_selection import candidates_of
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.store.images.image_info import image_info
from imagerag.store.library.joined_libraries import JoinedLibraries
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord, NewImage
from imagerag.tools.testing.fakes import ScriptedLibrary


class OtherEmbedder:
    """Another encoder: fewer dimensions, fewer words, and pictures as far from words as the test says."""

    context_length = 8

    def __init__(self, cosines: dict[bytes, float]) -> None:
        self.identity = EmbedderIdentity(spec="other:x", model="other", weights="x", preprocess="none", dimension=8)
        self.cosines = cosines

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def embed_texts(self, texts):
        return np.tile(np.eye(8, dtype=np.float32)[0], (len(texts), 1))

    async def embed_images(self, images):
        rows = []
        for at, data in enumerate(images):
            row = np.zeros(8, dtype=np.float32)
            row[0] = self.cosines[hashlib.sha256(data).digest()]
            row[1 + at % 7] = np.sqrt(1 - row[0] ** 2)
            rows.append(row)
        return np.stack(rows)


class Measured(Library):
    """A library whose threshold the test says."""

    limit = 0.0

    @property
    def threshold(self):
        return self.limit


async def stocked(home, name, embedder, pictures, threshold, **known):
    library = await Measured.create_or_open(home, name, embedder)
    for title, data in pictures.items():
        seen = image_info(data)
        vector = (await embedder.embed_images([data]))[0]
        row = ImageRecord(image=seen.image, title=title, caption=title, **known)
        await library.upsert([NewImage(row=row, data=data, thumbnail=seen.thumbnail, vector=vector)])
    library.limit = threshold
    return library


@pytest.fixture
async def two(home, embedder, picture):
    """`one` knows colours, 32-d; `two` the same pictures by another encoder, 8-d, whose cosines are all low."""
    pictures = {colour: picture(colour) for colour in ("red", "blue", "green")}
    low = {"red": 0.05, "blue": 0.12, "green": 0.30}
    other = OtherEmbedder({hashlib.sha256(data).digest(): low[name] for name, data in pictures.items()})
    first = await stocked(home, "one", embedder, pictures, 0.5)
    second = await stocked(home, "two", other, pictures, 0.25)
    return JoinedLibraries([first, second])


async def test_what_stands_high_in_both_lists_comes_first_and_brings_its_own_threshold(two):
    hits = await two.search("red", k=6, filter=Filter())
    assert [hit.title for hit in hits[:2]] in (["red", "green"], ["green", "red"])  # first in one list each
    assert len({hit.image.sha256 for hit in hits}) == len(hits) == 3  # one picture is one hit, however often found
    by = {hit.title: hit for hit in hits}
    # Each is told by the library that finds it to fit best, by that library's measure.
    assert (by["red"].library, by["red"].threshold) == ("one", 0.5)
    assert (by["green"].library, by["green"].threshold) == ("two", 0.25)


async def test_a_candidate_is_held_to_its_own_librarys_threshold(two):
    hits = await two.search("red", k=6, filter=Filter())
    decided = {c.title: c.decision for c in candidates_of(hits, threshold=None, near_duplicate=0.97)}
    # 0.30 passes in the library whose threshold is 0.25, where it would be far below the other's 0.5.
    assert decided == {"red": None, "green": None, "blue": "below_threshold"}


async def test_vectors_of_two_encoders_are_never_compared(two):
    hits = await two.search("red", k=6, filter=Filter())
    assert {hit.vector.shape for hit in hits} == {(32,), (8,)}
    assert candidates_of(hits, threshold=None, near_duplicate=0.0)  # would raise if they were multiplied


async def test_three_of_each_where_they_hold_different_pictures(home, embedder, picture):
    mine = {f"red {n}": picture("red", mark=n) for n in range(5)}
    theirs = {f"blue {n}": picture("blue", mark=n) for n in range(5)}
    joined = JoinedLibraries(
        [await stocked(home, "mine", embedder, mine, 0.1), await stocked(home, "theirs", embedder, theirs, 0.1)]
    )
    hits = await joined.search("red blue", k=6, filter=Filter())
    assert sorted(hit.library for hit in hits) == ["mine"] * 3 + ["theirs"] * 3


async def test_a_filter_and_hybrid_go_to_every_library(home, embedder, picture):
    free = await stocked(home, "free", embedder, {"red": picture("red")}, 0.1, licence="CC0-1.0")
    shut = await stocked(home, "shut", embedder, {"blue": picture("blue")}, 0.1, licence="proprietary")
    for library in (free, shut):
        await library.optimize()
    joined = JoinedLibraries([free, shut])
    hits = await joined.search("blue", k=6, filter=Filter(licences=("CC0-1.0",)), hybrid=True)
    assert [(hit.library, hit.licence) for hit in hits] == [("free", "CC0-1.0")]


async def test_pictures_are_found_in_whichever_library_holds_them(home, embedder, picture):
    red, blue = picture("red"), picture("blue")
    joined = JoinedLibraries(
        [
            await stocked(home, "one", embedder, {"red": red}, 0.1),
            await stocked(home, "two", embedder, {"blue": blue}, 0.1),
        ]
    )
    for data in (red, blue):
        assert await joined.image_bytes(hashlib.sha256(data).hexdigest()) == data
    assert (await joined.encode_for_model(hashlib.sha256(blue).hexdigest()))[1] == "image/png"
    with pytest.raises(BlobError):
        await joined.image_bytes("0" * 64)
    hits = await joined.search_by_image(blue, k=2, filter=Filter())
    assert hits[0].similarity == pytest.approx(1, abs=1e-5)


async def test_a_text_has_to_fit_the_encoder_with_the_least_room(two):
    assert two.context_length == 8
    assert two.count_tokens("a b c") == 3  # 13 and 5 are left in the two
    assert two.count_tokens(" ".join("abcdefghi")) == 9 > two.context_length  # the second reads 8


async def test_there_is_no_threshold_for_all_of_them(two):
    with pytest.raises(LibraryError, match="one,two"):
        _ = two.threshold


def test_names():
    assert names_of("photos") == ("photos",)
    assert names_of("photos, photos-siglip") == ("photos", "photos-siglip")
    for wrong in ("photos,", "photos,photos", ",", "a,b,c,d,e"):
        with pytest.raises(UsageError):
            names_of(wrong)


@pytest.mark.parametrize(
    ("languages", "language"), [(("de", "de"), "de"), (("de", ""), "de"), (("de", "en"), ""), (("", ""), "")]
)
def test_captions_are_written_in_the_language_that_all_have(languages: tuple[str, ...], language: str) -> None:
    joined = JoinedLibraries([ScriptedLibrary(caption_language=one) for one in languages])
    assert joined.caption_language == language
