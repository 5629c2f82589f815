"""Libraries as a page shows them: page by page, with filters, and without the encoder."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import FilterError, UnknownLibraryError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Candidate, Concept, ImageRef, Query, Search
from imagerag.graphs import dependencies
from imagerag.graphs.unmatched_concepts import unmatched_of
from imagerag.store.library.indexing.uploads import UploadedImage
from imagerag.tools.testing.fakes import sample_image

COUNT = 25


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("browsed") / "home"
    rag = ImageRAG(preset="sketch", home=home)
    rag.libraries.open_sync("mine", create=True)
    images = [
        UploadedImage(data=sample_image(str(at)), name=f"{at:02}.png", caption="even" if at % 2 == 0 else "odd")
        for at in range(COUNT)
    ]
    rag.libraries.add_images_sync(images[:15], library="mine", settle=False)
    rag.libraries.add_images_sync(images[15:], library="mine")
    rag.libraries.update_sync(
        library="mine", filter="title=03", add_tags=["a b"],
        set={"taken": "2020-05", "stars": 4, "mood": "none"}, calibrate=False,
    )  # fmt: skip
    return home


@pytest.fixture
def rag(filled: Path, monkeypatch: pytest.MonkeyPatch) -> ImageRAG:
    """No encoder can be made: nothing here needs one."""

    def refuse(spec: str) -> None:
        raise AssertionError(f"the encoder {spec} was made")

    monkeypatch.setattr(dependencies, "make_embedder", refuse)
    return ImageRAG(preset="sketch", home=filled, library="mine")


async def test_pages_have_every_image_once_and_in_order(rag: ImageRAG) -> None:
    pages = [await rag.libraries.browse(offset=at, limit=7) for at in range(0, 28, 7)]
    records = [row for page in pages for row in page.records]
    assert [page.total for page in pages] == [COUNT] * 4
    assert len({row.id for row in records}) == COUNT
    created = [row.created for row in records]
    assert created == sorted(created, reverse=True)
    oldest = await rag.libraries.browse(order="oldest", limit=100)
    assert [row.id for row in oldest.records] == [row.id for row in reversed(records)]
    assert (await rag.libraries.browse(order="taken", limit=1)).records[0].title == "03"
    assert (await rag.libraries.browse(offset=1000)).records == []


async def test_a_filter_narrows_pages_and_says_what_it_does_not_know(rag: ImageRAG) -> None:
    page = await rag.libraries.browse(filter="caption=odd", limit=5)
    assert (page.total, len(page.records), {row.caption for row in page.records}) == (12, 5, {"odd"})
    with pytest.raises(FilterError, match="colour"):
        await rag.libraries.browse(filter="colour=red")
    assert "2020" in await rag.libraries.no_match("mine", "taken>2021")
    assert await rag.libraries.no_match("mine", "caption=odd") == ""


async def test_filters_are_offered_what_they_accept(rag: ImageRAG) -> None:
    keys = {key.key: key for key in await rag.libraries.filter_keys()}
    assert (keys["tag"].values, keys["stars"].kinds, keys["stars"].values) == (('"a b"',), ("number",), ("4",))
    assert keys["mood"].values == ('"none"',)  # a word of the language, were it not in quotes
    assert "camera" not in keys  # no image has one
    for key in keys.values():
        for value in key.values[:3]:
            assert (await rag.libraries.browse(filter=f"{key.key}={value}")).total, (key, value)


async def test_what_another_process_changes_is_seen(rag: ImageRAG, filled: Path, tmp_path: Path) -> None:
    first = await rag.libraries.browse("mine", limit=1)
    record = await rag.libraries.record(first.records[0].id)
    assert record == first.records[0]
    assert await rag.libraries.record("0" * 64) is None
    assert list(await rag.libraries.thumbnails([record.id, "0" * 64])) == [record.id]
    assert await rag.libraries.image_bytes(record.id) in {sample_image(str(at)) for at in range(COUNT)}
    with pytest.raises(UnknownLibraryError):
        await rag.libraries.browse("yours")


async def test_a_library_that_was_made_again_is_read_again(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path, library="mine")
    for count in (1, 2):
        await rag.libraries.open("mine", create=True)
        await rag.libraries.add_images(
            [UploadedImage(data=sample_image(str(at)), name=f"{at}.png") for at in range(count)], settle=False
        )
        assert (await rag.libraries.browse()).total == count
        await rag.libraries.delete("mine")


async def test_a_summary_says_what_it_is(rag: ImageRAG) -> None:
    (summary,) = await rag.libraries.summaries()
    assert (summary.name, summary.images, len(summary.newest), summary.error) == ("mine", COUNT, 4, "")
    assert summary.metadata is not None
    assert summary.metadata.spec == "sketch"
    assert summary.disk_bytes
    assert (await rag.libraries.summary(disk=False)).disk_bytes is None


async def test_a_library_that_cannot_be_read_hides_no_other(rag: ImageRAG, filled: Path) -> None:
    broken = filled / "libraries" / "broken.lance"
    (broken / "_versions").mkdir(parents=True)
    (broken / "_versions" / "1.manifest").write_bytes(b"nothing")
    try:
        summaries = {one.name: one for one in await rag.libraries.summaries()}
    finally:
        (broken / "_versions" / "1.manifest").unlink()
        (broken / "_versions").rmdir()
        broken.rmdir()
    assert summaries["mine"].images == COUNT
    assert summaries["broken"].error


def _search(concept: str, similarity: float, *, passed: bool, by: str = "caption", round: int = 1) -> Search:
    image = ImageRef(sha256="a" * 64, media_type="image/png", width=1, height=1)
    candidate = Candidate(image=image, similarity=similarity, decision="taken" if passed else "below_threshold")
    query = Query(concept=Concept(text=concept), text=f"{concept} on white", by=by)
    return Search(round=round, query=query, candidates=(candidate,), threshold=0.3)


def test_what_a_run_did_not_find() -> None:
    record = RunRecord(run_id="r", status="ended", prompt="p", outcome=None, searches=[
        _search("a lamp", 0.2, passed=False), _search("a boot", 0.1, passed=False),
        _search("a boot", 0.5, passed=True, round=2), _search("all of it", 0.1, passed=False, by="prompt"),
    ])  # fmt: skip
    (one,) = unmatched_of(record, datetime.now(UTC))
    assert (one.concept, one.caption, one.closest, one.threshold) == ("a lamp", "a lamp on white", 0.2, 0.3)


async def test_runs_that_are_gone_are_passed_over(rag: ImageRAG) -> None:
    assert await rag.libraries.unmatched() == []
