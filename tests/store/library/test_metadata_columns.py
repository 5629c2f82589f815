"""Metadata keys as typed columns: every value where a filter of its kind finds it, whoever writes at the same time."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import Comparison, FilterExpression, Not, parse_filter
from imagerag.agent.types.filters.literals import Kind, kinds_of, time_of
from imagerag.agent.types.filters.matching import matches
from imagerag.store.data_dir import DataDir
from imagerag.store.images.image_info import image_info
from imagerag.store.library import metadata_columns
from imagerag.store.library.filters.filter_expressions import expression_of
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import METADATA_KEY, SCHEMA_VERSION, read_library_metadata
from imagerag.store.library.maintenance.snapshots import create_snapshot
from imagerag.store.library.metadata_columns import (
    MAX_COLUMNS,
    columns_of,
    missing_fields,
    values_of,
)
from imagerag.store.library.schema import ImageRecord, NewImage

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


async def put(library: Library, picture: Any, *found: dict[str, Any]) -> list[ImageRecord]:
    rows = []
    for mark, metadata in enumerate(found):
        data = picture("red", mark=mark)
        seen = image_info(data)
        (vector,) = await library.embedder.embed_images([data])
        rows.append(ImageRecord(image=seen.image, metadata=metadata))
        await library.upsert([NewImage(row=rows[-1], data=None, thumbnail=seen.thumbnail, vector=vector)])
    return rows


async def typed(library: Library, key: str, kind: Kind) -> dict[str, Any]:
    """Id → the value in the column of that key and kind."""
    name = columns_of(library.table.lance.schema)[key][kind]
    return {record["id"]: record[name] for record in await library.table.records(["id", name], None)}


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (True, {Kind.FLAG: True}),
        (3, {Kind.NUMBER: 3.0}),
        (2**60 + 1, {Kind.TEXT: str(2**60 + 1)}),
        (1.5, {Kind.NUMBER: 1.5}),
        (None, {}),
        ("A1", {Kind.TEXT: "A1"}),
        ("19.99", {Kind.TEXT: "19.99", Kind.NUMBER: 19.99}),
        ("007", {Kind.TEXT: "007"}),
        ("nan", {Kind.TEXT: "nan"}),
        ("٣", {Kind.TEXT: "٣"}),
        ("2024", {Kind.TEXT: "2024", Kind.NUMBER: 2024.0}),
        ("2024-05-01", {Kind.TEXT: "2024-05-01", Kind.TIME: datetime(2024, 5, 1, tzinfo=UTC)}),
        ("2024-02-31", {Kind.TEXT: "2024-02-31"}),
        ("2024-05", {Kind.TEXT: "2024-05", Kind.TIME: datetime(2024, 5, 1, tzinfo=UTC)}),
        ("2023-24", {Kind.TEXT: "2023-24"}),
    ],
)
def test_a_value_is_kept_as_every_kind_that_it_is(value: Any, kinds: dict[Kind, Any]) -> None:
    assert kinds_of(value) == kinds


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024:05:01 10:20:30", datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)),
        ("2024-05-01T10:20:30+02:00", datetime(2024, 5, 1, 8, 20, 30, tzinfo=UTC)),
        ("2024-05-01T10:20:30Z", datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("2024-05-01 at noon", None),
    ],
)
def test_dates(text: str, time: datetime | None) -> None:
    assert time_of(text) == time


@given(st.lists(st.dictionaries(st.text(), SCALARS, max_size=6), max_size=6))
def test_any_metadata_gets_columns_and_fits_them(found: list[dict[str, Any]]) -> None:
    fields = missing_fields(found, pa.schema([]))
    schema = pa.schema(fields)
    assert len({field.name.lower() for field in fields}) == len(fields)
    assert not missing_fields(found, schema)
    columns = columns_of(schema)
    table = pa.Table.from_pylist([values_of(metadata, columns) for metadata in found], schema=schema)
    for at, metadata in enumerate(found):
        for key, value in metadata.items():
            for kind, typed in kinds_of(value).items():
                assert table[columns[key][kind]][at].as_py() == typed


def test_there_are_never_more_columns_than_allowed_and_the_most_used_come_first() -> None:
    found = [{f"k{number}": 1 for number in range(300)}, {"often": 1}, {"often": 2}]
    fields = missing_fields(found, pa.schema([]))
    assert len(fields) == MAX_COLUMNS
    assert "often" in columns_of(pa.schema(fields))
    assert not missing_fields([{"later": 1}], pa.schema(fields))
    assert values_of({"later": 1}, columns_of(pa.schema(fields)))["m_often_number"] is None


async def test_values_of_other_kinds_stay_beside_each_other(library: Library, picture: Any) -> None:
    low, high, unknown = await put(library, picture, {"Price €": 5}, {"Price €": "9.5"}, {"Price €": "unknown"})
    assert await typed(library, "Price €", Kind.NUMBER) == {low.id: 5.0, high.id: 9.5, unknown.id: None}
    assert await typed(library, "Price €", Kind.TEXT) == {low.id: None, high.id: "9.5", unknown.id: "unknown"}
    assert {row.id: row.metadata for row in await library.rows()} == {
        row.id: row.metadata for row in (low, high, unknown)
    }


async def test_an_update_leaves_no_value_behind(library: Library, picture: Any) -> None:
    (row,) = await put(library, picture, {"price": 5, "shelf": "A1"})
    await library.update([replace(row, metadata={"shelf": "B2", "new": True})])
    assert await typed(library, "price", Kind.NUMBER) == {row.id: None}
    assert await typed(library, "shelf", Kind.TEXT) == {row.id: "B2"}
    assert await typed(library, "new", Kind.FLAG) == {row.id: True}


async def test_more_keys_than_columns(library: Library, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_columns, "MAX_COLUMNS", 2)
    rows = await put(library, picture, {"a": 1}, {"b": 1}, {"c": 1})
    assert set(columns_of(library.table.lance.schema)) == {"a", "b"}
    assert (await library.get(rows[2].id)).metadata == {"c": 1}  # type: ignore[union-attr]


async def test_processes_that_meet_new_keys_at_once(home: DataDir, library: Library, child: Any, embedder: Any) -> None:
    code = """
        async def work():
            from imagerag.store.images.image_info import image_info
            from imagerag.store.library.schema import ImageRecord, NewImage
            library = await Library.open(home, "shop", conftest.ColourEmbedder())
            for at in range(8):
                data = conftest.picture("red", mark=given["number"] * 100 + at)
                seen = image_info(data)
                (vector,) = await library.embedder.embed_images([data])
                row = ImageRecord(image=seen.image, metadata={f"k{at}": given["number"], "own%d" % given["number"]: at})
                await library.upsert([NewImage(row=row, data=None, thumbnail=seen.thumbnail, vector=vector)])
        asyncio.run(work())
    """
    processes = [child(code, number=number) for number in range(4)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    fresh = await Library.open(home, "shop", embedder)
    rows = {row.id: row for row in await fresh.rows()}
    assert len(rows) == 32
    assert len(columns_of(fresh.table.lance.schema)) == 12
    for key in (f"k{at}" for at in range(8)):
        values = await typed(fresh, key, Kind.NUMBER)
        assert values == {row.id: row.metadata.get(key) for row in rows.values()}


def as_version_3(home: DataDir, library: Library, key: str, without: str | None) -> None:
    """Makes a library what version 3 made of it: its columns hold no times of months, `without` those of this text."""
    table = library.table.lance
    column = columns_of(table.schema)[key][Kind.TIME]
    text = columns_of(table.schema)[key][Kind.TEXT]
    kept = read_library_metadata(home, library.name).model_copy(update={"version": 3})
    if without is None:
        table.drop_columns([column])
    else:
        table.update(where=f"regexp_like({text}, '{without}')", values_sql={column: "null"})
    table.update_field_metadata({"path": "vector", "metadata": {METADATA_KEY: kept.model_dump_json()}})


async def test_months_are_dates_in_a_snapshot_of_the_version_before(
    home: DataDir, library: Library, picture: Any
) -> None:
    """A snapshot is never written, so what reads it has to know."""
    texts = [
        "2023-12", "2024-01", "2024-05", "2024-06", "2024-13", "0000-05", "0001-01", "9999-12", "2023-24", "20a4-05",
        "soon-05", "soon", "2024-05-03", "2024:05:31 23:59:59", "2024-05-01", "2024", "-1-2-05", "",
        "2024-5", "2024-05 ",
    ]  # fmt: skip
    rows = await put(
        library, picture, *({"month": text} for text in texts), {"other": 1}, {"month": 5}, {"month": None}
    )
    as_version_3(home, library, "month", r"^\d{4}-\d{2}$")
    create_snapshot(library.table, "v3")
    await library.update(rows[:1])
    assert read_library_metadata(home, "shop").version == SCHEMA_VERSION
    assert read_library_metadata(home, "shop@v3").version == 3
    opened = {name: (await Library.open(home, name, library.embedder)).table.lance for name in ("shop", "shop@v3")}
    for value in ("2024", "2024-05", "2024-05-15", "0001", "9999-12", "9999", "soon"):
        for op in ("=", "<", "<=", ">", ">=", "~"):
            leaf = Comparison(key="month", op=op, values=(value,))
            for name, condition in (("shop", leaf), ("shop@v3", leaf), ("shop@v3", Not(negated=leaf))):
                where = FilterExpression(text=str(condition), parsed=condition)
                found = opened[name].search().where(expression_of(opened[name], Filter(where=where))).select(["id"])
                expected = {row.id for row in rows if matches(condition, row)}
                assert set(found.to_arrow()["id"].to_pylist()) == expected, (name, str(condition))


async def test_months_are_dates_also_in_a_library_of_the_version_before(
    home: DataDir, library: Library, picture: Any
) -> None:
    early, late, none = await put(library, picture, {"month": "2023-11"}, {"month": "2024-05"}, {"month": "spring"})
    wanted = {
        "month>=2024-01": {late.id}, "month=2024": {late.id}, "month>2023": {late.id}, "month<2024-05": {early.id},
        "month=2023-11": {early.id},
    }  # fmt: skip

    async def found() -> dict[str, set[str]]:
        rows = {text: await library.listed(filter=Filter(where=parse_filter(text)), limit=9) for text in wanted}
        return {text: {row.id for row in listed} for text, (listed, _) in rows.items()}

    assert await found() == wanted
    as_version_3(home, library, "month", None)
    assert await found() == wanted
    await library.update([none])  # the first write of this version
    assert await found() == wanted
    assert read_library_metadata(home, library.name).version == SCHEMA_VERSION
