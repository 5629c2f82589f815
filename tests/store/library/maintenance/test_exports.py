"""An export says all of a library: a folder is read back to the same rows, a Parquet file has vectors and columns."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.types import ImageRef
from imagerag.cli.library.statistics_lines import _megapixels
from imagerag.client.client import ImageRAG
from imagerag.store.data_dir import DataDir
from imagerag.store.library import linked_files
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.indexing import exported_captions
from imagerag.store.library.indexing.caption_encoding import use_caption_embedder
from imagerag.store.library.indexing.ingest import IndexReport, index
from imagerag.store.library.indexing.stages import Indexing
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import SCHEMA_VERSION
from imagerag.store.library.maintenance import export as exports
from imagerag.store.library.maintenance.export import ImageSidecar, export_folder, export_parquet, file_name
from imagerag.store.library.maintenance.export_format import format_of
from imagerag.store.library.metadata.image_metadata import read_metadata
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.sources import opening
from imagerag.store.text_files import clean
from tests.store.conftest import ColourEmbedder

REF = ImageRef(sha256="ab" * 32, media_type="image/png", width=3, height=2)


def bare(row: ImageRecord) -> ImageRecord:
    """A row without what belongs to the files rather than to the picture."""
    return replace(row, files=(), size_bytes=0, described="") if hasattr(row, "described") else replace(row, files=())


@pytest.fixture
async def filled(library: Library, folder: Path) -> Library:
    await index([folder], library)
    rows = await library.rows()
    full = replace(
        rows[0], title="Ü / 1", caption="„quoted“\nlines", tags=("a;b", "c, d", "ü"),
        metadata={"price": 3, "on": True, "x": None}, source="https://example.org/x", author="N. N.",
        licence="CC0-1.0", taken=datetime(2024, 5, 1, 12, 30, 5, tzinfo=UTC),
        camera="X100", lens="23mm", place="Riga", latitude=56.9, longitude=24.1, language="de",
    )  # fmt: skip
    await library.update([full, replace(rows[1], title="../../etc/passwd"), replace(rows[2], title="x" * 300)])
    return library


async def test_a_folder_is_read_back_to_the_same_rows(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path
) -> None:
    done = await export_folder(filled, tmp_path / "out")
    assert (done.images, done.missing) == (8, {})
    again = await Library.create_or_open(home, "again", embedder)
    report = await index([tmp_path / "out"], again)
    assert (report.added, report.skipped, report.notes) == (8, [], [])
    assert [bare(row) for row in await again.rows()] == [bare(row) for row in await filled.rows()]
    assert np.allclose((await again.captioned_vectors())[1], (await filled.captioned_vectors())[1])


async def test_an_export_is_repeated_into_its_own_folder_and_into_no_other(filled: Library, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await export_folder(filled, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    next(out.glob("*.png")).unlink()
    await export_folder(filled, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"other files \(mine.txt"):
        await export_folder(filled, out)


async def test_an_export_that_was_stopped_reads_only_the_missing_images(
    filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ROWS", 3)
    out, told, read = tmp_path / "out", list[tuple[int, int]](), list[str]()
    await export_folder(filled, out, progress=lambda *done: told.append(done))
    assert told == [(done, 8) for done in range(1, 9)]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    rows = await filled.rows()
    (out / file_name(rows[1])).unlink()
    (out / f"{file_name(rows[4])}.json").unlink()
    bytes_of = filled.table.bytes_of
    monkeypatch.setattr(filled.table, "bytes_of", lambda one, record: [read.append(one), bytes_of(one, record)][1])
    done = await export_folder(filled, out)
    assert (done.images, done.bytes, read) == (8, sum(map(len, before.values())), [rows[1].id])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


async def test_an_earlier_export_is_replaced_where_that_is_said(
    filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ROWS", 3)
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    await export_folder(filled, out)
    first, second, *_ = await filled.rows()
    await filled.update([replace(first, caption="another caption")])
    with pytest.raises(UsageError, match="overwrite=True"):
        await export_folder(filled, out)
    await filled.update([replace(first, title="another title")])
    await filled.delete([second.id])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError, match="overwrite=True"):
        await export_folder(filled, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    await export_folder(filled, out, overwrite=True)
    await export_folder(filled, fresh)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in fresh.iterdir()
    }
    (out / "mine.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"other files \(mine.png"):
        await export_folder(filled, out, overwrite=True)


async def test_replacing_an_export_loses_no_image(filled: Library, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await export_folder(filled, out)
    first, second, third, *_ = await filled.rows()
    image = out / file_name(first)
    image.write_bytes(image.read_bytes() + b"edited")
    with pytest.raises(UsageError, match="overwrite=True"):
        await export_folder(filled, out)
    Path(first.files[0].path).unlink()
    await filled.update([replace(row, title=f"another title {row.id[:2]}") for row in (first, second)])
    done = await export_folder(filled, out, overwrite=True)
    assert list(done.missing) == [first.id]
    assert image.read_bytes().endswith(b"edited"), "the last copy that there may be"
    assert not (out / file_name(second)).exists()
    await index([out], filled, prune=True)
    await filled.update([replace(row, title="a third title") for row in await filled.rows([third.id])])
    Path(third.files[0].path).unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError, match="the library links to"):
        await export_folder(filled, out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("out", "kind"),
    [("a.parquet", "parquet"), ("a.PQ", "parquet"), ("a", "folder"), ("a.2", "folder"), ("a.b/", "folder")],
)
def test_the_name_says_what_is_written(out: str, kind: str) -> None:
    assert format_of(out) == kind


@pytest.mark.parametrize("out", ["x.csv", "x.jsonl", "some/x.zip"])
def test_a_name_of_another_file_is_no_folder(out: str) -> None:
    with pytest.raises(UsageError, match=r"\.parquet, or\nadd `format=folder`"):
        format_of(out)


async def test_parquet_has_every_row_with_vector_columns_and_bytes(filled: Library, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "library.parquet"
    done = await export_parquet(filled, out, with_bytes=True)
    read = pq.read_table(out).sort_by("id")
    rows, vectors = await filled.captioned_vectors()
    assert done.images == read.num_rows == len(rows)
    assert read["id"].to_pylist() == [row.id for row in rows]
    assert np.array_equal(np.stack(read["vector"].to_pylist()).astype(np.float32), vectors)
    assert read["taken"].to_pylist() == [row.taken for row in rows]
    assert read["m_price_number"].to_pylist() == [row.metadata.get("price") for row in rows]
    assert [await filled.image_bytes(row.id) for row in rows] == read["image"].to_pylist()
    assert b"colours:one" in read.schema.field("vector").metadata[b"imagerag.metadata"]
    assert [path.name for path in out.parent.iterdir()] == ["library.parquet"]


async def test_a_parquet_file_is_replaced_on_request_only(filled: Library, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    out.write_bytes(b"of somebody else")
    with pytest.raises(UsageError, match=r"is there already: name another file, or add `overwrite=True`"):
        await export_parquet(filled, out)
    assert out.read_bytes() == b"of somebody else"
    assert (await export_parquet(filled, out, overwrite=True)).images == 8
    (folder := tmp_path / "folder.parquet").mkdir()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="is a folder"):
            await export_parquet(filled, folder, overwrite=overwrite)


async def test_without_bytes_parquet_has_no_such_column(filled: Library, tmp_path: Path) -> None:
    await export_parquet(filled, tmp_path / "x.parquet")
    assert not {"image", "labels"} & set(pq.read_schema(tmp_path / "x.parquet").names)


async def test_what_cannot_be_had_is_named_and_the_rest_is_written(filled: Library, tmp_path: Path) -> None:
    lost = (await filled.rows())[3]
    for file in lost.files:
        Path(file.path).write_bytes(b"changed")
    folder = await export_folder(filled, tmp_path / "out")
    assert (folder.images, list(folder.missing)) == (7, [lost.id])
    parquet = await export_parquet(filled, tmp_path / "x.parquet", with_bytes=True)
    assert (parquet.images, list(parquet.missing)) == (8, [lost.id])


async def read_back(home: DataDir, filled: Library, embedder: Any, out: Path) -> tuple[Library, IndexReport]:
    again = await Library.create_or_open(home, f"again-{out.stem}", embedder)
    return again, await index([out], again)


async def encode_none(_: Indexing, new: Sequence[Any]) -> Sequence[Any]:
    assert not new, "the vectors are in the export"
    return []


@pytest.mark.parametrize("with_bytes", [True, False])
async def test_parquet_is_read_back_to_the_same_rows_with_their_vectors(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_bytes: bool
) -> None:
    first = (await filled.rows())[0]
    keys = {"Price (EUR)": 3, "ISO": "200", "m_x_text": "y", "points": 4, "created": "by hand", "id": 7}
    await filled.update([replace(first, metadata=keys)])
    monkeypatch.setattr(Indexing, "_vectors", encode_none)
    out = tmp_path / f"bytes-{with_bytes}.parquet"
    await export_parquet(filled, out, with_bytes=with_bytes)
    again, report = await read_back(home, filled, embedder, out)
    assert (report.added, report.skipped, report.notes, report.columns) == (8, [], [], {})
    rows, there = await filled.rows(), await again.rows()
    assert [bare(row) for row in there] == [bare(row) for row in rows]
    assert [row.created for row in there] == [row.created for row in rows]
    assert [row.described.partition(" ")[2] for row in there] == [row.described.partition(" ")[2] for row in rows]
    assert np.array_equal((await again.captioned_vectors())[1], (await filled.captioned_vectors())[1])
    assert [await again.image_bytes(row.id) for row in rows] == [await filled.image_bytes(row.id) for row in rows]
    if not with_bytes:
        assert [row.files for row in there] == [row.files for row in rows]
    assert (await index([out], again)).unchanged == 8
    twice = tmp_path / "twice.parquet"
    await export_parquet(again, twice, with_bytes=with_bytes)
    assert set(pq.read_schema(twice).names) == set(pq.read_schema(out).names) - {"m_on_flag", "m_price_number"}
    assert {"m_Price (EUR)_number", "m_ISO_text"} <= set(pq.read_schema(out).names)


async def test_rows_without_bytes_are_listed_where_their_files_went_or_changed(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path
) -> None:
    gone, changed, *_ = [Path(row.files[0].path) for row in await filled.rows()]
    await export_parquet(filled, tmp_path / "x.parquet")
    gone.unlink()
    changed.write_bytes(b"x" * changed.stat().st_size)
    again, report = await read_back(home, filled, embedder, tmp_path / "x.parquet")
    assert (report.added, await again.count()) == (6, 6)
    skipped = dict(report.skipped)
    assert skipped.pop(str(changed)) == "it was changed since it was exported"
    assert re.fullmatch(r"named in x.parquet, row \d, but there is no such file", skipped.pop(str(gone)))
    assert not skipped


async def test_bytes_that_are_not_those_of_their_row_are_no_image_of_an_export(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path
) -> None:
    out = tmp_path / "x.parquet"
    await export_parquet(filled, out, with_bytes=True)
    table = pq.read_table(out)
    at = table.schema.get_field_index("image")
    data = table["image"].to_pylist()
    pq.write_table(table.set_column(at, "image", [[data[1], data[1], *data[2:]]]), out)
    _, report = await read_back(home, filled, embedder, out)
    assert [why for _, why in report.skipped] == ["its bytes are not those of its id"]


async def test_an_export_without_bytes_is_read_where_it_is_named_only_and_hides_no_file_that_was_edited(
    home: DataDir, filled: Library, embedder: Any, folder: Path
) -> None:
    row, other, *_ = await filled.rows()
    out, edited = folder / "x.parquet", Path(row.files[0].path)
    await export_parquet(filled, out)
    await filled.update([replace(row, caption="written after the export")])
    assert (await index([folder], filled)).skipped == [
        (str(out), "an export without bytes is read only where it is named as a PATH")
    ]
    assert (await filled.rows([row.id]))[0].caption == "written after the export"
    edited.write_bytes(Path(other.files[0].path).read_bytes())
    again = await Library.create_or_open(home, "again", embedder)
    report = await index([folder, out], again)
    assert (report.added, report.duplicates, report.skipped) == (7, 1, [])
    [now] = await again.rows([other.id])
    assert str(edited) in {file.path for file in now.files}
    report = await index([out], again)
    assert report.skipped == [(str(edited), "it was changed since it was exported")]


NO_FILES: dict[str, Any] = {
    "the whole of a large file": {"size": -1, "mtime_ns": 0, "inode": 0},
    "no size": {"size": None, "mtime_ns": 0, "inode": 0},
    "a relative path": {"path": "x.parquet", "size": 0, "mtime_ns": 0, "inode": 0},
    "another column": {"size": 0, "mtime_ns": 0, "inode": 0, "owner": "x"},
    "no path": {"path": None, "size": 0, "mtime_ns": 0, "inode": 0},
}


@pytest.mark.parametrize("file", NO_FILES.values(), ids=NO_FILES)
async def test_an_export_of_a_stranger_has_no_file_read_and_ends_no_indexing(
    library: Library, folder: Path, tmp_path: Path, file: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "read_member", lambda *_: pytest.fail("a file was read"))
    monkeypatch.setattr(linked_files, "read_member", lambda *_: pytest.fail("a file was read"))
    await index([folder], library)
    out = tmp_path / "x.parquet"
    await export_parquet(library, out)
    table = pq.read_table(out)
    large = f"{next(folder.glob('*.png'))}::x"
    named = pa.array([[{"path": large, **file}]] * table.num_rows)
    pq.write_table(table.drop_columns("files").append_column("files", named), out)
    report = await index([out], library)
    assert (report.added, report.unchanged) == (0, 0)
    assert {where for where, _ in report.skipped} <= {str(out), large, "x.parquet"}
    assert report.skipped


FALSE_VECTORS: dict[str, Any] = {
    "of other images": lambda own: pa.array([*own[1:], own[0]], pa.list_(pa.float32(), 32)),
    "one": lambda own: pa.array([own[1], *own[1:]], pa.list_(pa.float32(), 32)),
    "longer ones": lambda own: pa.array([[*one, 0.0] for one in own], pa.list_(pa.float32(), 33)),
    "of any length": lambda own: pa.array([[0.1] * 999_999, *own[1:]], pa.list_(pa.float32())),
    "texts": lambda own: pa.array(["x"] * len(own)),
    "nested": lambda own: pa.array([[one] for one in own]),
    "none": lambda own: pa.nulls(len(own), pa.list_(pa.float32(), 32)),
    "infinite": lambda own: pa.array([[1e300] * 32] * len(own), pa.list_(pa.float64(), 32)),
    "not numbers": lambda own: pa.array([[float("nan")] * 32] * len(own), pa.list_(pa.float32(), 32)),
    "not of norm 1": lambda own: pa.array([[2 * x for x in one] for one in own], pa.list_(pa.float32(), 32)),
}


@pytest.mark.parametrize(
    ("false", "with_bytes"),
    [*((false, True) for false in FALSE_VECTORS), *((false, False) for false in ("of other images", "none", "nested"))],
)
async def test_vectors_of_a_stranger_that_are_not_those_of_the_encoder_are_not_taken(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path, false: str, with_bytes: bool
) -> None:
    out = tmp_path / "x.parquet"
    await export_parquet(filled, out, with_bytes=with_bytes)
    table = pq.read_table(out)
    at = table.schema.get_field_index("vector")
    column = FALSE_VECTORS[false](table["vector"].to_pylist())
    field = pa.field("vector", column.type, metadata=table.schema.field("vector").metadata)
    pq.write_table(table.set_column(at, field, column), out)
    again, report = await read_back(home, filled, embedder, out)
    assert (report.added, report.skipped) == (8, [])
    assert np.allclose((await again.captioned_vectors())[1], (await filled.captioned_vectors())[1], atol=1e-6)
    [(where, why)] = report.notes
    assert where == str(out)
    assert re.fullmatch(
        r"([18] of 8 of its vectors are not those|its vectors could not be compared with those) "
        r"of its encoder: its images were encoded anew",
        why,
    )


class CountedPassages(ColourEmbedder):
    """Counts the captions that are encoded; those of a query are not."""

    passages = 0

    async def embed_passages(self, texts: Sequence[str]) -> Any:
        self.passages += len(texts)
        return await self.embed_texts(texts)


async def with_captions_encoded(home: DataDir, name: str, embedder: ColourEmbedder) -> Library:
    library = await Library.create_or_open(home, name, embedder)
    await use_caption_embedder(library, embedder)
    return library


async def caption_vectors(library: Library) -> dict[str, Any]:
    return {
        record["id"]: record[CAPTION_VECTOR] for record in await library.table.records(["id", CAPTION_VECTOR], None)
    }


@pytest.mark.parametrize("with_bytes", [True, False])
async def test_vectors_of_captions_are_read_back_where_the_library_has_their_encoder(
    home: DataDir, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_bytes: bool
) -> None:
    monkeypatch.setattr(exported_captions, "SAMPLE", 2)
    monkeypatch.setattr(exported_captions, "AT_ONCE", 3)
    embedder = CountedPassages()
    filled = await with_captions_encoded(home, "shop", embedder)
    (folder / "red.txt").unlink()  # an image without a caption
    await index([folder], filled)
    await export_parquet(filled, out := tmp_path / "x.parquet", with_bytes=with_bytes)
    embedder.passages = 0
    again = await with_captions_encoded(home, "again", embedder)
    report = await index([out], again)
    assert (report.captions_encoded, report.notes, embedder.passages) == (0, [], 2)  # only the sample
    expected = await caption_vectors(filled)
    assert await caption_vectors(again) == expected
    assert sum(vector is None for vector in expected.values()) == 1
    assert (await index([out], again)).captions_encoded == 0
    assert embedder.passages == 2

    other = CountedPassages("two")
    different = await Library.create_or_open(home, "different", embedder, {other.identity.spec: other}.__getitem__)
    await use_caption_embedder(different, other)
    report = await index([out], different)
    assert (report.captions_encoded, report.notes, other.passages) == (7, [], 7)
    without = await Library.create_or_open(home, "without", embedder)
    await index([out], without)
    assert CAPTION_VECTOR not in without.table.lance.schema.names


FALSE_CAPTION_VECTORS: dict[str, Any] = {
    "of another text": lambda vectors: [*vectors[1:], vectors[0]],
    "one is another": lambda vectors: [[*reversed(vectors[0])], *vectors[1:]],
}


@pytest.mark.parametrize("false", FALSE_CAPTION_VECTORS)
async def test_vectors_of_captions_of_a_stranger_that_are_not_those_of_the_encoder_are_not_taken(
    home: DataDir, folder: Path, tmp_path: Path, false: str
) -> None:
    embedder = ColourEmbedder()
    filled = await with_captions_encoded(home, "shop", embedder)
    await index([folder], filled)
    await export_parquet(filled, out := tmp_path / "x.parquet")
    table = pq.read_table(out)
    field = table.schema.field(CAPTION_VECTOR)
    column = pa.array(FALSE_CAPTION_VECTORS[false](table[CAPTION_VECTOR].to_pylist()), field.type)
    pq.write_table(table.set_column(table.schema.get_field_index(CAPTION_VECTOR), field, column), out)
    again = await with_captions_encoded(home, "again", embedder)
    report = await index([out], again)
    assert report.captions_encoded == 8
    assert await caption_vectors(again) == await caption_vectors(filled)
    [(where, why)] = report.notes
    assert where == str(out)
    assert re.fullmatch(r"[18] of 8 of its vectors of captions are not those of its encoder: its captions .* anew", why)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 3), pa.list_(pa.float32()), pa.string()])
async def test_vectors_of_captions_that_are_not_of_their_encoders_length_are_none(
    home: DataDir, folder: Path, tmp_path: Path, kind: pa.DataType
) -> None:
    embedder = ColourEmbedder()
    filled = await with_captions_encoded(home, "shop", embedder)
    await index([folder], filled)
    await export_parquet(filled, out := tmp_path / "x.parquet")
    table = pq.read_table(out)
    field = table.schema.field(CAPTION_VECTOR).with_type(kind)
    at = table.schema.get_field_index(CAPTION_VECTOR)
    value = "x" if kind == pa.string() else [1.0, 0.0, 0.0]
    pq.write_table(table.set_column(at, field, pa.array([value] * 8, kind)), out)
    again = await with_captions_encoded(home, "again", embedder)
    report = await index([out], again)
    assert (report.added, report.captions_encoded, report.notes, report.skipped) == (8, 8, [], [])


async def with_paths(library: Library, out: Path, named: Sequence[str]) -> None:
    """An export whose rows name these files."""
    await export_parquet(library, out)
    table = pq.read_table(out)
    at = table.schema.get_field_index("files")
    files = [[{**files[0], "path": path}] for files, path in zip(table["files"].to_pylist(), named, strict=True)]
    pq.write_table(table.set_column(at, "files", pa.array(files, table["files"].type)), out)


SERVERS = (
    r"\\host\share\a.png", r"\\?\UNC\host\share\a.png", "//host/share/a.png", "//host/a.zip::a.png", "/net/host/a.png",
    "/tmp/../net/host/a.png", "file:////host/share/a%FF.png", r"\/host\share\a.png",
)  # fmt: skip


async def test_an_export_of_a_stranger_has_no_file_on_a_server_looked_at(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.parquet"
    await with_paths(filled, out, SERVERS)
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def look(path: Any, *args: Any, real: Any = real, **named: Any) -> os.stat_result:
            assert "host" not in str(path)
            return real(path, *args, **named)  # type: ignore[no-any-return]

        monkeypatch.setattr(os, name, look)
    _, report = await read_back(home, filled, embedder, out)
    assert [path for path, _ in report.skipped] == list(SERVERS)
    assert all(re.fullmatch(r"named in x.parquet, row \d, but that is on another machine: .*", why)
               for _, why in report.skipped)  # fmt: skip


async def test_files_on_a_server_are_read_below_a_folder_that_the_user_named(
    home: DataDir, filled: Library, embedder: Any, tmp_path: Path, folder: Path
) -> None:
    rows = await filled.rows()
    out = tmp_path / "x.parquet"
    await with_paths(filled, out, [f"/{row.files[0].path}" for row in rows])  # //tmp/… is /tmp/… on Linux
    again = await Library.create_or_open(home, "again", embedder)
    report = await index([out], again)
    assert (report.added, len(report.skipped)) == (0, 8)
    assert (await index([out, Path(f"/{folder}")], again)).skipped == []
    assert {row.id for row in await again.rows()} == {row.id for row in rows}


async def test_an_export_of_a_newer_version_is_said_to_be_one(library: Library, folder: Path, tmp_path: Path) -> None:
    await index([folder], library)
    out = tmp_path / "x.parquet"
    await export_parquet(library, out)
    table = pq.read_table(out)
    at = table.schema.get_field_index("vector")
    field = table.schema.field("vector")
    said = {
        one: text.replace(b'"version":%d' % SCHEMA_VERSION, b'"version":99') for one, text in field.metadata.items()
    }
    pq.write_table(table.cast(table.schema.set(at, field.with_metadata(said))), out)
    [(_, why)] = (await index([out], library)).skipped
    assert "newer version of imagerag" in why


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(clean)


@settings(max_examples=200, deadline=None)
@given(
    title=TEXT, caption=TEXT, author=TEXT, language=TEXT,
    tags=st.lists(TEXT.filter(bool), max_size=4, unique=True).map(tuple),
    metadata=st.dictionaries(TEXT.filter(bool), st.one_of(TEXT, st.integers(-9, 9), st.booleans()), max_size=4),
    taken=st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(
        lambda time: time.replace(microsecond=0, tzinfo=UTC)
    ),
    position=st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
)  # fmt: skip
def test_a_sidecar_says_all_that_is_known(
    title: str, caption: str, author: str, language: str, tags: tuple[str, ...], metadata: dict[str, Any],
    taken: datetime | None, position: tuple[float, float] | None,
) -> None:  # fmt: skip
    latitude, longitude = position or (None, None)
    row = ImageRecord(
        image=REF, title=title, caption=caption, author=author, language=language, tags=tags, metadata=metadata,
        taken=taken, latitude=latitude, longitude=longitude,
    )  # fmt: skip
    blank = ImageRecord(image=REF, title="the stem", source="the path", created=row.created)
    assert read_metadata(ImageSidecar.of(row).model_dump(mode="json", by_alias=True)).applied_to(blank) == row


@given(st.text(max_size=200))
def test_a_name_is_one_that_every_file_system_takes(title: str) -> None:
    name = file_name(ImageRecord(image=REF, title=title))
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>| ')
    assert not name.startswith((".", "-"))
    assert len(name) < 100
    assert name.endswith("abababababab.png")


def test_accents_cost_no_letters_of_a_file_name_however_they_are_written() -> None:
    names = {file_name(ImageRecord(image=REF, title=title)) for title in ("Café Zürich", "Cafe\u0301 Zu\u0308rich")}
    assert {name.partition(REF.sha256[:12])[0] for name in names} == {"Cafe-Zurich-"}


def test_sizes_are_no_powers_of_ten() -> None:
    assert [_megapixels(one) for one in (1e-6, 0.0123, 1.25, 24.3, 151.2)] == ["0.01", "0.012", "1.2", "24", "150"]


async def test_bytes_for_a_folder_are_refused_as_the_command_does(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    with pytest.raises(UsageError, match=r"`with_bytes=True` is for Parquet"):
        await rag.libraries.export(tmp_path / "out", library="shop", with_bytes=True)
