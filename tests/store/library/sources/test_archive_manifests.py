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
from imagerag.store.library.sources.archive_manifests import MemberPaths


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
    paths = MemberPaths(Path("/cards.zip"), folder, ["a/one.png", "a/caf\u00e9.png", "two.PNG", "Two.png"])
    assert paths.find(name) == (Path(f"/cards.zip::{image}") if image else None)
