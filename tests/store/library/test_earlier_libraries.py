"""Libraries that earlier versions made open, are searched, and get the columns they lack at the first write."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import parse_filter
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import SCHEMA_VERSION, read_library_metadata
from imagerag.store.library.metadata_columns import Kind, columns_of
from imagerag.store.library.schema import ROW_COLUMNS
from imagerag.store.library.table_columns import TableColumns

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(params=[1, 2])
async def earlier(request: pytest.FixtureRequest, home: DataDir, embedder: Any) -> Library:
    """Eight pictures, with captions, tags, licences and metadata."""
    with tarfile.open(DATA / f"library_version_{request.param}.tar.gz") as packed:
        packed.extractall(home.root.parent, filter="data")
    assert read_library_metadata(home, "shop").version == request.param
    return await Library.open(home, "shop", embedder)


async def test_it_is_searched_as_it_is(home: DataDir, earlier: Library, picture: Any) -> None:
    version = earlier.table.lance.version
    (hit,) = await earlier.search("red", k=1, filter=Filter(where=parse_filter({"price": "1.5"}), tags=("red",)))
    assert (hit.title, hit.caption, hit.licence) == ("red", "a red card", "CC0-1.0")
    assert await earlier.image_bytes(hit.image.sha256) == picture("red")
    (row,) = await earlier.rows([hit.image.sha256])
    assert (row.files, row.size_bytes, row.taken, row.camera, row.language) == ((), 0, None, "", "")
    assert len((await earlier.captioned_vectors())[0]) == 8
    assert (await earlier.listed(filter=Filter(), limit=3))[1] == 8
    assert earlier.table.lance.version == version
    assert earlier.threshold > 0


async def test_the_first_write_brings_it_up_to_date(
    home: DataDir, earlier: Library, folder: Path, picture: Any, embedder: Any
) -> None:
    before = {row.id: row for row in await earlier.rows()}
    (folder / "new.png").write_bytes(picture("red", mark=5))
    report = await index([folder], earlier)
    assert (report.added, embedder.images > 0) == (1, True)
    assert read_library_metadata(home, "shop").version == SCHEMA_VERSION
    assert set(ROW_COLUMNS) <= set(earlier.table.lance.schema.names)
    rows = {row.id: row for row in await earlier.rows()}
    assert all(rows[one].metadata == row.metadata and rows[one].tags == row.tags for one, row in before.items())
    columns = columns_of(earlier.table.lance.schema)
    assert {key: set(kinds) for key, kinds in columns.items()} == {
        "shelf": {Kind.TEXT}, "price": {Kind.NUMBER}, "ok": {Kind.FLAG},
    }  # fmt: skip
    names = [columns["shelf"][Kind.TEXT], columns["price"][Kind.NUMBER], columns["ok"][Kind.FLAG]]
    found = await earlier.table.records(["id", *names], list(before))
    assert [[record[name] for name in names] for record in found] == [["A1", 1.5, True]] * 8
    for one in before:
        assert await earlier.image_bytes(one)
    await earlier.optimize()
    assert (await earlier.search("blue", k=1))[0].title == "blue"


async def test_stopped_while_it_is_brought_up_to_date_and_written_again(
    home: DataDir, earlier: Library, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: TableColumns, *_: object) -> None:
        raise KeyboardInterrupt

    rows = await earlier.rows()
    with monkeypatch.context() as patch:
        patch.setattr(TableColumns, "_key_values", die)
        with pytest.raises(KeyboardInterrupt):
            await earlier.update(rows[:1])
    assert read_library_metadata(home, "shop").version < SCHEMA_VERSION
    again = await Library.open(home, "shop", embedder)
    assert await again.rows() == rows
    await again.update(rows[:1])
    assert read_library_metadata(home, "shop").version == SCHEMA_VERSION
    shelf = columns_of(again.table.lance.schema)["shelf"][Kind.TEXT]
    assert {record[shelf] for record in await again.table.records([shelf], None)} == {"A1"}


async def test_two_processes_bring_it_up_to_date_at_once(
    home: DataDir, earlier: Library, folder: Path, child: Any, embedder: Any
) -> None:
    code = """
        async def work():
            library = await Library.open(home, "shop", conftest.ColourEmbedder())
            await library.update(await library.rows())
            await index([given["folder"]], library)
        asyncio.run(work())
    """
    processes = [child(code, folder=str(folder)) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    library = await Library.open(home, "shop", embedder)
    assert await library.count() == 8
    names = library.table.lance.schema.names
    assert len(names) == len(set(names))
    assert set(ROW_COLUMNS) <= set(names)
