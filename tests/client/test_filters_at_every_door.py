"""A filter is the same at every door: settings, Python, records, and runs that go on."""

import json
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import FilterError, UsageError
from imagerag.agent.types import RunSpec
from imagerag.store.library.maintenance.changes import ImageChanges
from imagerag.store.library.sources.file_selection import ExcludedFiles
from tests.conftest import copied


@pytest.fixture
def rag(sketch_home: Path, tmp_path: Path) -> ImageRAG:
    return ImageRAG(preset="sketch", home=copied(sketch_home, tmp_path / "home"))


async def test_a_search_takes_text_a_mapping_or_what_is_set(rag: ImageRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    async def prices(**given: Any) -> list[float]:
        return [float(str(hit.metadata["price"])) for hit in await rag.libraries.search("a thing", k=200, **given)]

    everything, cheap = await prices(), await prices(filter="price<20")
    assert cheap == [price for price in everything if price < 20] != everything
    one = await prices(filter={"price": str(cheap[0])})
    assert set(one) == {cheap[0]}
    monkeypatch.setenv("IMAGERAG_FILTER", "price<20")
    rag = ImageRAG(preset="sketch", home=rag.dependencies.home.root)
    assert await prices() == cheap
    assert await prices(filter="") == everything
    monkeypatch.setenv("IMAGERAG_FILTER", "price<")
    rag = ImageRAG(preset="sketch", home=rag.dependencies.home.root)
    with pytest.raises(FilterError, match="IMAGERAG_FILTER: filter, column 7: expected a value"):
        await prices()


async def test_one_tag_or_licence_alone_is_not_its_letters(rag: ImageRAG) -> None:
    many = await rag.libraries.search("a thing", tags=["teal"], k=50)
    alone = await rag.libraries.search("a thing", tags="teal", k=50)
    assert ([hit.image for hit in alone], bool(many)) == ([hit.image for hit in many], True)
    assert ImageChanges(add_tags="teal", unset="price").add_tags == ["teal"]
    assert not ExcludedFiles("*.gif").below(Path("a"))(Path("a/b.png"))
    assert not await rag.libraries.select(tags="nothing")


async def test_an_order_or_a_way_to_search_that_there_is_not_is_told(rag: ImageRAG) -> None:
    order: Any = "newst"
    with pytest.raises(UsageError, match="no order 'newst'; did you mean 'newest'"):
        await rag.libraries.browse(order=order)
    with pytest.raises(UsageError, match="there are: images, captions"):
        await rag.libraries.search("a thing", by=order)


async def test_a_search_that_finds_nothing_says_what_there_is(rag: ImageRAG) -> None:
    found = await rag.libraries.search("a thing", filter="price>100000")
    assert (list(found), found.no_match.startswith("no image fits price>100000; price is ")) == ([], True)
    with pytest.raises(FilterError, match="did you mean 'price'"):
        await rag.libraries.search("a thing", filter="prize<3")


async def test_a_run_keeps_its_filter_as_it_was_typed_and_goes_on_with_it(rag: ImageRAG) -> None:
    record = await rag.generate(
        "a red circle beside a golden cup", filter="price>100000 and not tag=draft", max_rounds=1
    )
    written = json.loads(record.model_dump_json())["setup"]["config"]["filter"]
    assert written["text"] == "price>100000 and not tag=draft"
    assert written["parsed"]["all_of"][0] == {"key": "price", "op": ">", "values": ["100000"]}
    assert (await rag.runs.get(record.run_id)).setup == record.setup
    if record.causes:
        assert "no image fits price>100000; price is " in record.reason
    again = await rag.runs.continue_(record.run_id)
    assert again.setup is not None
    assert record.setup is not None
    assert again.setup.config.filter == record.setup.config.filter
    made = len(await rag.runs.list())
    with pytest.raises(FilterError, match="'cheap' is not a number"):
        await rag.generate("a red circle", filter="price=cheap")
    assert len(await rag.runs.list()) == made, "nothing was begun"


def test_the_setup_of_an_earlier_run_is_read() -> None:
    earlier = {"generator": "sketch", "judge": "sketch", "config": {"filter": {"collection": "a", "kind": "x' OR 1"}}}
    setup = RunSpec.model_validate(earlier)
    assert setup.config.filter is not None
    assert setup.config.filter.pairs == {"collection": "a", "kind": "x' OR 1"}
    assert RunSpec.model_validate_json(setup.model_dump_json()) == setup
