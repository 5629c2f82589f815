"""Descriptions by a model: apart from persons' captions, checked with the encoder, searchable, exported and cleared."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.ports import Filter, ImageDescription
from imagerag.agent.types import DescribedElement, DescriptionDetails
from imagerag.agent.types.filters import parse_filter
from imagerag.graphs.descriptions import JournalledDescriber
from imagerag.store.data_dir import DataDir
from imagerag.store.journal import StoreJournal
from imagerag.store.library.description_columns import (
    MAX_ELEMENTS,
    MAX_SHORT,
    MAX_TAGS,
    MAX_TEXT,
    MAX_VISIBLE,
    bounded,
    words_of,
)
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import DescriberSettings
from imagerag.store.library.maintenance.changes import ImageChanges, changed
from imagerag.store.library.maintenance.export import export_folder, export_parquet
from imagerag.store.library.maintenance.statistics import library_statistics
from imagerag.store.library.maintenance.subsets import copy_rows
from imagerag.tools.testing.fakes import ScriptedDescriber
from tests.store.conftest import COLOURS, ColourEmbedder, picture

SCENES = {COLOURS[name]: f"a {name} card" for name in COLOURS}
"""What the encoder of these tests finds in each picture."""


def memory() -> StoreJournal:
    return StoreJournal(InMemoryStore())


def calls(describer: Any, journal: StoreJournal | None = None, **budget: Any) -> JournalledDescriber:
    settings = DescriberSettings(spec="scripted", **budget)
    return JournalledDescriber(describer=describer, settings=settings, journal=journal or memory())


def where(text: str) -> Filter:
    return Filter(where=parse_filter(text))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of each colour; only the first of each has a caption."""
    path = tmp_path / "pictures"
    path.mkdir()
    for name in COLOURS:
        for mark in (0, 1):
            (path / f"{name}{mark}.png").write_bytes(picture(name, mark=mark))
        (path / f"{name}0.txt").write_text(f"my {name} thing", encoding="utf-8")
    return path


async def by_name(library: Library) -> dict[str, Any]:
    return {Path(row.source).stem: row for row in await library.rows()}


async def test_a_description_is_no_caption_and_is_checked_with_the_encoder(pictures: Path, library: Library) -> None:
    await index([pictures], library)
    assert "description" not in library.table.lance.schema.names  # a column more would make every search slower
    wrong = {**SCENES, COLOURS["red"]: "zebra lamp"}
    steps: list[tuple[int, int]] = []
    report = await index(
        [pictures], library, describe=calls(ScriptedDescriber(wrong)), describe_progress=lambda *at: steps.append(at)
    )
    assert (report.described, report.unchanged, report.captions) == (16, 16, 8)
    assert steps == [(8, 16), (16, 16)]
    rows = await by_name(library)
    assert {rows[name].caption for name in ("blue0", "blue1")} == {"my blue thing", ""}
    assert (rows["blue1"].description, rows["blue1"].described_by) == ("a blue card", "scripted")
    assert rows["blue1"].description_confidence > 0.9
    assert rows["blue1"].caption_or_description == "(described by scripted) a blue card"
    assert rows["blue0"].caption_or_description == "my blue thing"
    low = [name for name, row in rows.items() if row.has_low_confidence]
    assert low
    assert set(low) <= {"red0", "red1"}
    assert report.low_confidence == len(low)
    assert rows[low[0]].caption_or_description in ("", "my red thing")


async def test_images_are_described_once(pictures: Path, library: Library) -> None:
    describer = ScriptedDescriber(SCENES)
    await index([pictures], library, describe=calls(describer))
    report = await index([pictures], library, describe=calls(describer))
    assert (report.described, report.did_something, len(describer.calls)) == (0, False, 16)
    (pictures / "new.png").write_bytes(picture("red", mark=9))
    assert (await index([pictures], library, describe=calls(describer))).described == 1
    (pictures / "new.png").write_bytes(picture("green", mark=10))  # a changed file is another picture
    report = await index([pictures], library, describe=calls(describer))
    assert (report.changed, report.described) == (1, 1)
    assert (await by_name(library))["new"].description == "a green card"


async def test_words_of_a_description_are_found_unless_its_confidence_is_low(pictures: Path, library: Library) -> None:
    described = ImageDescription(
        text="a blue card",
        key_elements=("blue card", "rhubarb"),
        visible_text="OPEN",
        category="Photo",
        tags=("#Card", "card", "BLUE"),
    )
    scenes = {**SCENES, COLOURS["blue"]: described, COLOURS["red"]: "zebra lamp"}
    await index([pictures], library, describe=calls(ScriptedDescriber(scenes)))
    row = (await by_name(library))["blue1"]
    assert row.description_details.tags == ("card", "blue")
    assert [one.text for one in row.description_details.key_elements] == ["blue card", "rhubarb"]
    assert row.description_details.key_elements[0].confidence > 0.9
    assert {hit.title for hit in await library.search_words("open", k=3)} == {"blue0", "blue1"}
    low = {name for name, one in (await by_name(library)).items() if one.has_low_confidence}
    assert low.isdisjoint(hit.title for hit in await library.search_words("zebra", k=9))
    found, total = await library.listed(filter=where("description~'zebra' and described_by=scripted"), limit=9)
    assert (total, {row.description for row in found}) == (2, {"zebra lamp"})
    hit = (await library.search("blue card", k=1, filter=where("description_confidence>0.5")))[0]
    assert (hit.description, hit.described_by) == ("a blue card", "scripted")


async def test_a_refused_image_is_listed_and_not_asked_about_again(pictures: Path, library: Library) -> None:
    describer = ScriptedDescriber(
        {
            **SCENES,
            COLOURS["red"]: RefusalError("not this one"),
            COLOURS["black"]: JudgeReplyError("no JSON", raw="?"),
            COLOURS["white"]: "\x00\u202e ",
        }
    )
    store = InMemoryStore()
    journal = StoreJournal(store)
    report = await index([pictures], library, describe=calls(describer, journal))
    reasons = {Path(path).stem[:-1]: reason for path, reason in report.notes}
    assert reasons == {
        "red": "not described: not this one",
        "black": "not described: no JSON",
        "white": "not described: the description is empty",
    }
    assert (report.described, report.descriptions_left, report.descriptions_stopped) == (10, 0, "")
    assert describer.calls.count(COLOURS["red"]) == 2  # one for each picture
    assert describer.calls.count(COLOURS["black"]) == 4  # once more, in other words
    made = len(describer.calls)
    again = await index([pictures], library, describe=calls(describer, journal))
    assert (len(describer.calls), again.description_calls) == (made, 0)  # what was refused was paid for, too
    assert len(again.notes) == 6
    assert len(await store.asearch(("journal",), limit=99)) == 16 + 2  # and no copy for the second run


async def test_a_cleared_description_is_asked_for_anew(pictures: Path, library: Library) -> None:
    describer, journal = ScriptedDescriber(SCENES), memory()
    await index([pictures], library, describe=calls(describer, journal))
    rows, _ = await library.listed(filter=where("description~'blue'"), limit=9)
    cleared = changed(rows, ImageChanges(unset=["description"]))
    await library.update(cleared)
    assert {(row.description, row.described_by) for row in await library.rows([row.id for row in rows])} == {("", "")}
    assert not await library.search_words("blue card", k=3, filter=where("title=blue1"))
    report = await index([pictures], library, describe=calls(describer, journal))
    assert (report.described, report.description_calls, len(describer.calls)) == (2, 2, 18)
    assert changed(await library.rows(), ImageChanges(unset=["ocr"])) == []


async def test_a_description_goes_through_exports_and_copies(
    pictures: Path, library: Library, tmp_path: Path, embedder: ColourEmbedder, home: DataDir
) -> None:
    await index([pictures], library, describe=calls(ScriptedDescriber(SCENES)))
    told = {name: (row.description, row.described_by, row.description_confidence, row.description_details, row.caption)
            for name, row in (await by_name(library)).items()}  # fmt: skip
    await export_folder(library, tmp_path / "folder")
    sidecar = json.loads(next((tmp_path / "folder").glob("blue1-*.json")).read_bytes())
    assert sidecar["machine_description"]["described_by"] == "scripted"
    assert "description" not in sidecar  # other programs take that for a person's caption
    await export_parquet(library, tmp_path / "shop.parquet", with_bytes=True)
    for name, source in (("again", tmp_path / "folder"), ("table", tmp_path / "shop.parquet")):
        copy = await Library.create_or_open(home, name, embedder)
        report = await index([source], copy)
        rows = {row.title: row for row in await copy.rows()}
        assert {
            title: (row.description, row.described_by, row.description_confidence, row.description_details, row.caption)
            for title, row in rows.items()
        } == told
        assert (await index([source], copy)).unchanged == report.added == 16
        assert {hit.title for hit in await copy.search_words("blue card", k=2)} == {"blue0", "blue1"}
    part = await Library.create_or_open(home, "part", embedder)
    await copy_rows(library, part, [row.id for row in await library.rows()][:3])
    assert all(row.described_by == "scripted" for row in await part.rows())


async def test_captions_are_counted_and_calibrated_on_without_descriptions(
    pictures: Path, home: DataDir, embedder: ColourEmbedder
) -> None:
    plain = await Library.create_or_open(home, "plain", embedder)
    told = await Library.create_or_open(home, "told", embedder)
    await index([pictures], plain)
    await index([pictures], told, describe=calls(ScriptedDescriber(SCENES)))
    one, other = await plain.calibrate(), await told.calibrate()
    assert one.model_copy(update={"calibrated": other.calibrated}) == other
    found = await library_statistics(told)
    assert (found.captions, found.described, found.low_confidence) == (8, 16, 0)


async def test_few_images_measure_no_confidence(folder: Path, library: Library) -> None:
    await index([folder], library, describe=calls(ScriptedDescriber(SCENES)))
    assert {row.description_confidence for row in await library.rows()} == {None}
    assert (await library.search_words("green card", k=1))[0].description == "a green card"


TEXT = st.text(max_size=3 * MAX_TEXT)


@given(text=TEXT, elements=st.lists(TEXT, max_size=40), visible=TEXT, tags=st.lists(TEXT, max_size=40))
def test_whatever_a_model_writes_is_bounded(text: str, elements: list[str], visible: str, tags: list[str]) -> None:
    told, details = bounded(
        ImageDescription(text=text, key_elements=elements, visible_text=visible, category=text, tags=tags)
    )
    shown = [told, *(one.text for one in details.key_elements), details.visible_text, details.category, *details.tags]
    assert all("\n" not in one and one == one.strip() for one in shown)
    assert len(told) <= MAX_TEXT
    assert len(details.visible_text) <= MAX_VISIBLE
    assert len(details.key_elements) <= MAX_ELEMENTS
    assert len(details.tags) <= MAX_TAGS
    assert all(len(one) <= MAX_SHORT for one in (*details.tags, details.category))
    assert bounded(ImageDescription(text=told, tags=details.tags)) == (told, DescriptionDetails(tags=details.tags))
    assert DescriptionDetails.model_validate_json(details.model_dump_json()) == details


def test_words_for_searches_leave_out_what_does_not_fit() -> None:
    elements = (DescribedElement(text="a bike", confidence=0.9), DescribedElement(text="a horse", confidence=0.2))
    details = DescriptionDetails(key_elements=elements, visible_text="SALE", category="photo", tags=("bike",))
    assert words_of("a red bike", 0.95, details).split("\n") == ["a red bike", "a bike", "SALE", "photo", "bike"]
    assert words_of("a red bike", 0.4, details) == ""
    assert words_of("a red bike", None, None) == "a red bike"
