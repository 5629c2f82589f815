"""The check of a library at every door, and by itself after the first captions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import BackendError, StorageError, UnknownLibraryError
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import ListLibraries
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty catalogue images, and a manifest of their captions."""
    folder = tmp_path_factory.mktemp("drawn")
    rows = []
    for product in products()[:20]:
        draw(product_scene(product), 64).save(folder / f"{product.stem}.png")
        rows.append({"path": f"{product.stem}.png", "caption": product.caption})
    (folder / "captions.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture
def rag(tmp_path: Path) -> ImageRAG:
    return ImageRAG(preset="sketch", library="mine", home=tmp_path / "home")


def manifest(drawn: Path) -> Path:
    return drawn / "captions.json"


def images(drawn: Path) -> list[Path]:
    return sorted(drawn.glob("*.png"))


async def test_the_first_indexing_with_captions_checks_the_library_and_later_ones_do_not(
    rag: ImageRAG, drawn: Path
) -> None:
    first = await rag.libraries.index(*images(drawn)[:18], manifest=manifest(drawn))
    assert first.check is not None
    assert [way.way for way in first.check.ways] == ["text_to_image", "image_to_image"]
    assert first.check.captions == first.captions
    assert first.seconds["check"] > 0
    later = await rag.libraries.index(*images(drawn), manifest=manifest(drawn))
    assert (later.check, "check" in later.seconds) == (None, False)


async def test_captions_that_come_later_are_checked_when_they_come(rag: ImageRAG, drawn: Path) -> None:
    assert (await rag.libraries.index(*images(drawn))).check is None
    assert (await rag.libraries.index(*images(drawn), manifest=manifest(drawn))).check is not None


async def test_the_check_can_be_left_out(rag: ImageRAG, drawn: Path) -> None:
    report = await rag.libraries.index(*images(drawn), manifest=manifest(drawn), check=False)
    assert report.check is None
    assert (await rag.libraries.check(queries=20)).images == len(images(drawn))


async def test_an_encoder_that_fails_in_the_check_leaves_the_library_indexed(
    rag: ImageRAG, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagerag.store.library.check import library_check

    async def fails(*_: Any, **__: Any) -> None:
        raise BackendError("the encoder is gone")

    monkeypatch.setattr(library_check, "check_library", fails)
    told: list[str] = []
    report = await rag.libraries.index(*images(drawn), manifest=manifest(drawn), warn=told.append)
    assert (report.added, report.check) == (len(images(drawn)), None)
    assert any("was not checked: the encoder is gone" in warning for warning in told)
    assert "rag.libraries.check('mine')" in report.warnings[-1]


@pytest.mark.parametrize(("library", "error"), [("nowhere", UnknownLibraryError)])
async def test_a_library_that_is_not_there_cannot_be_checked(
    rag: ImageRAG, library: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=library):
        await rag.libraries.check(library)


async def test_captions_of_one_s_own_that_no_image_matches_are_used(rag: ImageRAG, drawn: Path) -> None:
    await rag.libraries.index(*images(drawn), manifest=manifest(drawn), check=False)
    unrelated: Sequence[str] = ("a whale", "a train", "a parliament")
    found = await rag.libraries.check(unrelated=unrelated)
    assert found.ways[0].reject_rates["unrelated"].n == 3


async def test_an_assistant_reads_rates_and_checks_one_library(rag: ImageRAG, drawn: Path) -> None:
    await rag.libraries.index(*images(drawn), manifest=manifest(drawn), check=False)
    service = ChatService(rag)
    listed = await service.list_libraries(ListLibraries())
    assert "with captions in English, threshold 0." in listed.text
    assert "(accepts " in listed.text
    checked = await service.list_libraries(ListLibraries(library="mine", check=True))
    assert "text → image: " in checked.text
    assert "image → image: " in checked.text
    found = checked.data["libraries"][0]
    assert [way["way"] for way in found["check"]] == ["text_to_image", "image_to_image"]
    assert "checked 2" not in listed.text
    assert found["language"] == "English"
    refused = await service.list_libraries(ListLibraries(check=True))
    assert refused.is_error
    assert "library" in refused.text


async def test_a_library_remembers_its_last_check_and_whether_it_changed_since(
    rag: ImageRAG, drawn: Path, tmp_path: Path
) -> None:
    await rag.libraries.index(*images(drawn), manifest=manifest(drawn))
    assert await rag.libraries.last_check() is None  # the short check is none
    found = await rag.libraries.check(queries=40)
    last = await ImageRAG(preset="sketch", library="mine", home=rag.dependencies.home.root).libraries.last_check()
    assert last is not None
    assert (last.check, last.queries, last.is_current) == (found, 40, True)
    told = await ChatService(rag).list_libraries(ListLibraries(library="mine"))
    assert f"checked {last.checked:%Y-%m-%d}:\n  text → image: " in told.text
    assert [way["way"] for way in told.data["libraries"][0]["check"]] == [way.way for way in found.ways]
    smaller = await rag.libraries.check(queries=20)
    assert await rag.libraries.last_check() == last
    await (await rag.libraries.open()).optimize()
    await rag.libraries.calibrate()
    assert (await rag.libraries.last_check()) == last  # neither changes an image
    draw(product_scene(products()[20]), 64).save(tmp_path / "another.png")
    await rag.libraries.index(tmp_path / "another.png")
    assert await rag.libraries.last_check() == last.model_copy(update={"is_current": False})
    told = await ChatService(rag).list_libraries(ListLibraries())
    assert f"checked {last.checked:%Y-%m-%d}, before the library was last changed:" in told.text
    await rag.libraries.check(queries=20)
    again = await rag.libraries.last_check()
    assert again is not None
    assert (again.queries, again.is_current, again.check.images) == (20, True, len(images(drawn)) + 1)
    assert smaller.measured_on == found.measured_on != again.check.measured_on
    row = (await (await rag.libraries.open()).rows())[0]
    await rag.libraries.update(row.id, caption="a whale")
    changed = await rag.libraries.last_check()
    assert changed is not None
    assert not changed.is_current


async def test_a_check_that_cannot_be_read_or_stored_is_no_error(
    rag: ImageRAG, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagerag.store.library.check import last_check
    from imagerag.store.library.schema import VECTOR

    await rag.libraries.index(*images(drawn)[:3], check=False)
    lance = (await rag.libraries.open()).table.lance
    lance.update_field_metadata({"path": VECTOR, "metadata": {last_check.CHECK_KEY: '{"of": "a later version"}'}})
    assert await rag.libraries.last_check() is None

    async def refused(*_: Any) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(last_check, "store_check", refused)
    assert (await rag.libraries.check(queries=20)).images == 3
    assert await rag.libraries.last_check() is None
