"""A library is calibrated from Arrow columns and parts of its vectors, with the outcome of all rows at once."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from imagerag.agent.types import ImageRef
from imagerag.evals.bench.synthetic_library import synthetic_library
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.thresholds import calibration, caption_index, caption_phrases, content
from imagerag.store.library.thresholds.caption_index import CaptionIndex
from imagerag.store.library.thresholds.caption_phrases import phrases, query_of, words
from imagerag.store.library.thresholds.content import LibraryContent, content_hash, content_of, images_hash
from tests.store.library.thresholds.measured_thresholds import text_threshold

ROWS = 300
SAID = st.sampled_from(
    [
        "a red car",
        "a blue car and a red boat",
        "a boat on a table",
        "Widget 7, a blue boat",
        "Red",
        "",
        "a car near a dog",
    ]
)


def columns(*rows: tuple[str, str, str]) -> Any:
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(content.COLUMNS)})


def record(caption: str, title: str = "") -> ImageRecord:
    return ImageRecord(
        image=ImageRef(sha256="ab" * 32, media_type="image/png", width=1, height=1), caption=caption, title=title
    )


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every library were so large that each part of it is read in turn."""
    monkeypatch.setattr(content, "PART", 37)
    monkeypatch.setattr(content, "BLOCK", 10)
    monkeypatch.setattr(caption_index, "READ", 11)
    monkeypatch.setattr(caption_index, "FEW", 3)


async def test_part_by_part_is_what_all_rows_at_once_are(tmp_path: Path, in_parts: None) -> None:
    library = await synthetic_library(DataDir(tmp_path), "many", ROWS)
    found = await library.calibrate()
    whole, texts = await library.captioned_vectors(), library.embedder.embed_texts
    rows, vectors = whole
    index = CaptionIndex.of(rows)
    own = index.sample(calibration.OWN_SAMPLE)
    assert own
    for query in own:
        cosines = vectors @ (await texts([query.text]))[0]
        rest = np.delete(cosines, query.matches)
        assert found.positive_quantiles[0] - 1e-5 <= cosines[query.matches].max() <= found.positive_quantiles[-1] + 1e-5
        assert rest.max() <= found.negative_quantiles[-1] + 1e-5
    again = await text_threshold(LibraryContent.of(rows, vectors), library.embedder)
    assert again.cosine == pytest.approx(found.cosine, abs=1e-6)
    assert again.negative_quantiles == pytest.approx(found.negative_quantiles, abs=2e-6)
    assert (again.n_own, again.n_near, again.n_unrelated) == (found.n_own, found.n_near, found.n_unrelated)


async def test_a_small_library_is_read_whole_in_one_query_and_its_pictures_in_another(
    folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index([folder], library)
    kind, asked = type(library.table.lance), []
    search = kind.search
    monkeypatch.setattr(kind, "search", lambda table, *given: asked.append(given) or search(table, *given))
    found, between = await library.calibrate(), library.metadata.image_threshold
    # Vectors, images, and the texts for a hybrid search; the table's version tells that it did not change meanwhile.
    assert len(asked) == 3
    asked.clear()
    monkeypatch.setattr(content, "PART", 3)
    again, again_between = await library.calibrate(), library.metadata.image_threshold
    assert len(asked) > 3
    assert (again.cosine, again.minimum) == pytest.approx((found.cosine, found.minimum), abs=1e-6)
    assert again.positive_quantiles == pytest.approx(found.positive_quantiles, abs=2e-6)
    assert again.negative_quantiles == pytest.approx(found.negative_quantiles, abs=2e-6)
    assert (again.n_own, again.n_near, again.n_unrelated) == (found.n_own, found.n_near, found.n_unrelated)
    assert between is not None
    assert again_between is not None
    assert again_between.cosine == pytest.approx(between.cosine, abs=1e-6)
    assert (again_between.n_views, again_between.n_others) == (between.n_views, between.n_others)


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 6, 7])
def test_the_last_part_is_known_by_its_size(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PART", 3)

    class Table:
        """Gives the rows from a place on, and counts how often it is asked."""

        asked = 0

        def search(self) -> "Table":
            self.asked += 1
            return self

        def select(self, _: list[str]) -> "Table":
            return self

        def offset(self, start: int) -> "Table":
            self.start = start
            return self

        def limit(self, most: int) -> "Table":
            self.most = most
            return self

        def to_arrow(self) -> Any:
            return pa.table({"id": list(range(rows))}).slice(self.start, self.most)

    table = Table()
    assert [at for part in content.parts(table, ["id"]) for at in part["id"].to_pylist()] == list(range(rows))
    assert table.asked == rows // 3 + 1


async def test_it_is_the_same_after_the_rows_lie_otherwise(tmp_path: Path, in_parts: None) -> None:
    library = await synthetic_library(DataDir(tmp_path), "many", ROWS)
    first = await library.calibrate()
    await library.update((await library.rows())[100:150])  # which writes them anew, behind all others
    second = await library.calibrate()
    assert second.cosine == pytest.approx(first.cosine, abs=1e-6)
    assert second.measured_on == first.measured_on
    assert not await library.is_stale()


async def test_no_row_becomes_an_object_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_parts: None
) -> None:
    library = await synthetic_library(DataDir(tmp_path), "many", ROWS)

    def refuse(*_: Any) -> Any:
        raise AssertionError("all rows were read")

    monkeypatch.setattr(Library, "_captioned_vectors", refuse)
    monkeypatch.setattr("imagerag.store.library.library_reader.form.from_record", refuse)
    await library.calibrate()
    assert not await library.is_stale()


async def test_rows_that_come_or_go_meanwhile_do_no_harm(tmp_path: Path, in_parts: None) -> None:
    library = await synthetic_library(DataDir(tmp_path), "many", ROWS)
    columns = content.read_columns(library.table.lance)
    some = columns.slice(20, 100)
    seen: dict[int, NDArray[np.float32]] = {}

    class Keep:
        def add(self, places: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
            seen.update(zip(places.tolist(), vectors, strict=True))

    content.scan_table(library.table.lance, some["id"], Keep())
    assert sorted(seen) == list(range(100))
    rows, vectors = await library.captioned_vectors()
    assert np.array_equal(np.stack([seen[at] for at in range(100)]), vectors[20:120])
    gone = rows[25].id
    await library.delete([gone])
    found = content.vectors_of(library.table.lance, [rows[21].id, gone, rows[20].id])
    assert np.array_equal(found, [vectors[21], np.zeros_like(vectors[0]), vectors[20]])


async def test_reading_that_has_to_be_repeated_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_parts: None
) -> None:
    library = await synthetic_library(DataDir(tmp_path), "many", ROWS)
    expected = await library.calibrate()
    images = library.metadata.image_threshold
    scan, failures = content.scan_table, []

    def crossed(*given: Any, **options: Any) -> None:
        scan(*given, **options)
        if len(failures) < 2:
            failures.append(True)
            raise RuntimeError("Not found: a file of a version that was cleaned up")

    monkeypatch.setattr("imagerag.store.library.threshold_update.scan_table", crossed)
    found = await library.calibrate()
    assert failures
    assert found.model_dump(exclude={"calibrated"}) == expected.model_dump(exclude={"calibrated"})
    now = library.metadata.image_threshold
    assert now is not None
    assert images is not None
    assert now.model_dump(exclude={"calibrated"}) == images.model_dump(exclude={"calibrated"})


def test_what_a_library_holds_is_one_hash_however_it_is_cut() -> None:
    rows = [(f"{at:064x}", f"title {at}", "a cap" * (at % 3)) for at in range(100)]
    whole = columns(*rows)
    cut = pa.concat_tables([columns(*rows[:7]), columns(*rows[7:50]), columns(*rows[50:])])
    assert content_hash(cut) == content_hash(whole)
    assert content_hash(whole.slice(3, 40)) == content_hash(columns(*rows[3:43]))
    assert images_hash(whole) == images_hash(cut)
    assert content_hash(columns()) != content_hash(whole)


@given(st.lists(st.text(max_size=3), min_size=3, max_size=3), st.lists(st.text(max_size=3), min_size=3, max_size=3))
def test_contents_that_differ_have_different_hashes(one: list[str], other: list[str]) -> None:
    found = (
        content_hash(columns(("a", *one[:2]), ("b", one[2], ""))),
        content_hash(columns(("a", *other[:2]), ("b", other[2], ""))),
    )
    assert (found[0] == found[1]) is (one == other)
    assert images_hash(columns(("a", *one[:2]))) == images_hash(columns(("a", *other[:2])))


async def test_what_is_measured_on_are_ids_titles_and_captions(folder: Path, library: Library) -> None:
    await index([folder], library)
    before = content_of(library.table.lance)
    await library.optimize()
    assert content_of(library.table.lance) == before
    first, *_ = await library.rows()
    await library.update([ImageRecord(**{**vars(first), "tags": ("new",)})])
    assert content_of(library.table.lance) == before
    await library.update([ImageRecord(**{**vars(first), "caption": "another"})])
    changed = content_of(library.table.lance)
    assert changed != before
    await library.delete([first.id])
    assert content_of(library.table.lance) not in (before, changed)


@given(st.lists(SAID, min_size=1, max_size=12), SAID)
def test_what_shows_a_text_is_found_as_by_reading_every_phrase(captions: list[str], text: str) -> None:
    made = CaptionIndex.of([record(caption) for caption in captions])
    said = [[set(words(phrase)) for phrase, _ in phrases(query_of(caption, ""))] for caption in captions]

    def is_name(word: str) -> bool:
        like = (
            any(re.search(rf"\b{word}\b", c, re.I) and not re.search(rf"\b{word}\b", c) for c in captions)
            or word.isdigit()
        )
        return like and sum(word in phrase for row in said for phrase in row) == 1

    required = [({w for w in words(p) if not is_name(w)} or set(words(p))) for p, _ in phrases(text)]
    expected = [
        at for at, row in enumerate(said) if required and all(any(one <= phrase for phrase in row) for one in required)
    ]
    assert made.matches(text).tolist() == expected
    assert made.shows(text) is bool(expected)
    for query in made.sample(20):
        assert query.matches.tolist() == made.matches(query.text).tolist()


@given(st.text("aAbB 1_,.ß(", max_size=20), st.text("aAbB 1_,.ß(", min_size=1, max_size=4))
def test_a_title_is_taken_out_as_a_pattern_would(text: str, title: str) -> None:
    expected = re.sub(rf"(?<!\w){re.escape(title)}(?!\w)", " ", text, flags=re.IGNORECASE)
    assert caption_phrases.without_title(text, title) == expected
