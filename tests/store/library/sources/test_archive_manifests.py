"""Manifests in archives describe the images beside them, as those in folders do."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.sources import archive_listing
from imagerag.store.library.sources.archive_manifests import MemberPaths
from imagerag.store.library.sources.image_names import ImageNames
from imagerag.store.library.sources.manifest_paths import ManifestPaths
from imagerag.store.path_policy import PathPolicy


def packed(path: Path, content: Mapping[str, bytes]) -> Path:
    """An archive, by its name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in content.items():
                zipped.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tarred:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tarred.addfile(member, io.BytesIO(data))
    return path


def lines(*rows: Mapping[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


ROWS: list[dict[str, Any]] = [
    {"file_name": "red.png", "text": "a red card", "price": 3},
    {"file_name": "BLUE.png", "text": "a blue card", "price": 4},
]
MANIFESTS = {
    "metadata.jsonl": lines(*ROWS),
    "metadata.csv": b"file_name,text,price\nred.png,a red card,3\nBLUE.png,a blue card,4\n",
    "metadata.parquet": parquet(ROWS),
    "meta_cap.json": json.dumps({
        "red": {"caption": "a red card", "price": 3}, "blue.png": {"caption": "a blue card", "price": 4}
    }).encode(),
}  # fmt: skip


@pytest.mark.parametrize("archive", ["cards.zip", "cards.tar", "cards.tgz"])
@pytest.mark.parametrize("manifest", MANIFESTS)
async def test_images_are_described_by_the_manifest_beside_them(
    tmp_path: Path, library: Library, picture: Any, archive: str, manifest: str
) -> None:
    content = {f"train/{name}.png": picture(name) for name in ("red", "blue", "green")}
    path = packed(tmp_path / archive, {f"train/{manifest}": MANIFESTS[manifest], **content})
    report = await index([path], library)
    assert (report.added, report.captions, report.skipped, report.notes) == (3, 2, [], [])
    rows = {row.title: (row.caption, row.metadata.get("price")) for row in await library.rows()}
    assert {title: (caption, price and int(price)) for title, (caption, price) in rows.items()} == {
        "red": ("a red card", 3), "blue": ("a blue card", 4), "green": ("", None),
    }  # fmt: skip
    again = await index([path], library)
    assert (again.unchanged, again.did_something) == (3, False)


async def test_each_folder_has_its_own_and_a_sidecar_comes_first(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    path = packed(tmp_path / "cards.zip", {
        "a/one.png": picture("red"), "b/one.png": picture("blue"), "b/one.txt": b"from the sidecar",
        "a/metadata.jsonl": lines({"file_name": "one.png", "text": "of a"}),
        "b/metadata.jsonl": lines({"file_name": "one.png", "text": "of b", "shelf": "B"}),
        "metadata.csv": b"file_name,author\na/one.png,Ada\n./b/one.png,Ben\n",
    })  # fmt: skip
    await index([path], library)
    rows = {row.author: row for row in await library.rows()}
    assert rows["Ada"].caption == "of a"
    assert (rows["Ben"].caption, dict(rows["Ben"].metadata)) == ("from the sidecar", {"shelf": "B"})
    packed(path, {"a/one.png": picture("red"), "a/metadata.jsonl": lines({"file_name": "one.png", "text": "anew"})})
    report = await index([path], library)
    assert (report.updated, [row.caption for row in await library.rows()]) == (1, ["anew"])


async def test_what_a_manifest_says_of_no_image_is_listed(tmp_path: Path, library: Library, picture: Any) -> None:
    path = packed(tmp_path / "cards.zip", {
        "red.png": picture("red"), "blue.png": picture("blue"),
        "metadata.jsonl": lines(
            {"file_name": "gone.png"}, {"file_name": "../../etc/passwd"}, {"file_name": "red.png", "text": "a card"}
        ) + b"\n{",
        "x/metadata.csv": b"a,b\n1,2\n",
        "y/metadata.parquet": b"none",
    })  # fmt: skip
    report = await index([path], library)
    assert report.captions == 1
    where = f"{path}::metadata.jsonl, line"
    told = dict(report.skipped)
    assert told["gone.png"] == f"named in {where} 1, but there is no such file"
    assert told["../../etc/passwd"].startswith(f"named in {where} 2, but it is outside")
    assert "it is not JSON" in told[f"{where} 4"]
    assert f"the manifest {path}::x/metadata.csv has no column that names the images" in told[f"{path}::x/metadata.csv"]
    assert "it is no Parquet file" in told[f"{path}::y/metadata.parquet"]


@pytest.mark.parametrize(
    ("folder", "name", "image"),
    [
        ("a", "one.png", "a/one.png"), ("", "a/one.png", "a/one.png"), ("a", "a/one.png", "a/one.png"),
        ("b", "../a/one.png", "a/one.png"), ("a", "one", "a/one.png"), ("a", "ONE.PNG", "a/one.png"),
        ("", "a\\one.png", "a/one.png"), ("a", "cafe\u0301.png", "a/caf\u00e9.png"),
        ("a", "caf%C3%A9.png", "a/caf\u00e9.png"),
        ("a", "two.png", None), ("", "TWO.png", None), ("a", "../../one.png", None), ("", "", None), ("a", "", None),
        ("a", "x\0", None),
    ],
)  # fmt: skip
def test_how_images_are_named(folder: str, name: str, image: str | None) -> None:
    names = ["a/one.png", "a/caf\u00e9.png", "two.PNG", "Two.png"]
    paths = MemberPaths(Path("/cards.zip"), folder, ImageNames.of_members(names))
    assert paths.find(name) == (Path(f"/cards.zip::{image}") if image else None)


@pytest.mark.parametrize(
    "name", ["one.png", "a/one.png", "a/one", "A/ONE.PNG", "a/caf\u00e9.png", "a/cafe\u0301", "TWO.png"]
)
def test_names_in_an_archive_are_compared_as_in_its_folder(tmp_path: Path, name: str) -> None:
    names = ["a/one.png", "a/caf\u00e9.png", "two.PNG", "Two.png"]
    (tmp_path / "a").mkdir()
    for one in names:
        (tmp_path / one).write_bytes(b"")
    found = ManifestPaths([tmp_path], PathPolicy(tmp_path)).find(name)
    member = MemberPaths(Path("/cards.zip"), "", ImageNames.of_members(names)).find(name)
    assert (member and str(member)) == (found and f"/cards.zip::{found.relative_to(tmp_path).as_posix()}")


TABLES = {
    "captions.csv": b"file_name,text\nred.png,a red card\n",
    "labels.tsv": b"image\tcaption\nred.png\ta red card\n",
    "captions.jsonl": lines({"path": "train/red.png", "caption": "a red card"}),
    "captions.json": json.dumps({"red.png": "a red card"}).encode(),
    "captions.parquet": parquet([{"file_name": "red.png", "text": "a red card"}]),
}


@pytest.mark.parametrize("archive", ["cards.zip", "cards.tgz"])
@pytest.mark.parametrize("table", TABLES)
async def test_a_table_in_an_archive_that_names_its_images_is_a_manifest(
    tmp_path: Path, library: Library, picture: Any, archive: str, table: str
) -> None:
    """Under any name, as nobody can name it; those under the usual names decide."""
    path = packed(tmp_path / archive, {
        f"train/{table}": TABLES[table], "train/red.png": picture("red"), "train/blue.png": picture("blue"),
        "train/metadata.csv": b"file_name,text,price\nblue.png,a blue card,4\n",
        "train/blue.json": b'{"caption": "from its sidecar"}',
    })  # fmt: skip
    report = await index([path], library)
    assert (report.added, report.captions, report.skipped, report.notes) == (2, 2, [], [])
    assert {row.caption for row in await library.rows()} == {"a red card", "from its sidecar"}


async def test_tables_that_name_no_image_of_the_archive(
    tmp_path: Path, library: Library, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {
        "red.png": picture("red"), "prices.csv": b"article,price\n1,2\n",
        "elsewhere.csv": b"path,caption\nx.png,an x\n",
        "info.json": b'{"version": 1}', "broken.json": b"{", "rows.parquet": parquet([{"a": 1}]),
        "red.jpg.supplemental-metadata.json": b'{"description": "of another image"}',
    }  # fmt: skip
    report = await index([path := packed(tmp_path / "cards.zip", content)], library)
    told = dict(report.skipped)
    assert "has no column that names the images" in told.pop(f"{path}::prices.csv")
    assert told == {
        f"{path}::elsewhere.csv": "it names no image of the archive",
        f"{path}::rows.parquet": "an archive or a table in an archive is not read: take it out, and index it",
    }
    assert (report.added, report.captions) == (1, 0)
    monkeypatch.setattr(archive_listing, "MAX_TABLES", 0)
    assert (await index([packed(tmp_path / "other.zip", content)], library)).skipped == []


async def test_sidecars_are_no_manifests(tmp_path: Path, library: Library, picture: Any) -> None:
    path = packed(tmp_path / "cards.zip", {
        "1.png": picture("red"), "1.json": b'{"2.png": "of another", "caption": "one"}',
        "2.png": picture("blue"), "2.png.supplemental-meta.json": b'{"1.png": "of another", "description": "two"}',
    })  # fmt: skip
    await index([path], library)
    assert {row.caption for row in await library.rows()} == {"one", "two"}


async def test_a_table_that_names_images_without_their_endings_is_read_in_an_archive_and_told_in_a_folder(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    content = {"red.png": picture("red"), "captions.csv": b"image,caption\nred,a red card\n"}
    (folder := tmp_path / "cards").mkdir()
    for name, data in {**content, "notes.txt": b"", "files.csv": b"path,caption\nnotes,a note\n"}.items():
        (folder / name).write_bytes(data)
    told = dict((await index([folder], library)).skipped)
    assert f"manifest={str(folder / 'captions.csv')!r}" in told[str(folder / "captions.csv")]
    assert "manifest" not in told[str(folder / "files.csv")]
    await index([packed(tmp_path / "cards.zip", content)], library)
    assert [row.caption for row in await library.rows()] == ["a red card"]
