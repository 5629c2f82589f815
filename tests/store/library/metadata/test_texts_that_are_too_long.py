"""What is longer than a library keeps, or more, is listed with its file, from whatever source it came."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library

LONG = "x" * 20_001
TAG = "y" * 2_001
KEPT = "was left out: it has 20,001 characters, and at most 20,000 are kept"
XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">
{LONG}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("red.json", json.dumps({"caption": LONG}), f"of its sidecar red.json, caption {KEPT}"),
        ("red.json", json.dumps({"title": LONG, "caption": "a card"}), f"of its sidecar red.json, title {KEPT}"),
        ("red.json", json.dumps({"tags": [TAG, "b"]}), "of its sidecar red.json, a tag was left out: it has 2,001"),
        ("red.json", json.dumps({"note": TAG}), "of its sidecar red.json, note was left out: it has 2,001 characters"),
        ("red.json", json.dumps({"tags": [str(n) for n in range(102)]}), "2 tags were left out: at most 100 are kept"),
        ("red.json", json.dumps({f"k{n}": n for n in range(103)}), "3 values were left out: at most 100 are kept"),
        ("red.json", json.dumps([TAG, "b"]), "of its sidecar red.json, a tag was left out"),
        ("red.txt", LONG, "its sidecar red.txt was left out: it is longer than 20,000 characters"),
        ("red.xmp", XMP, f"of its sidecar red.xmp, caption {KEPT}"),
    ],
)
async def test_in_a_sidecar(library: Library, tmp_path: Path, picture: Any, name: str, text: str, problem: str) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    (tmp_path / name).write_text(text, "utf-8")
    for _ in range(2):  # each time, as long as it is so
        report = await index([tmp_path / "red.png"], library)
        assert [path for path, _ in report.skipped + report.notes] == [str(tmp_path / "red.png")]
        assert problem in (report.skipped + report.notes)[0][1]


async def test_in_the_image_itself(library: Library, tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Description", LONG)
    Image.new("RGB", (24, 16), "red").save(tmp_path / "red.png", pnginfo=texts)
    report = await index([tmp_path / "red.png"], library)
    assert f"of its own metadata, caption {KEPT}" in (report.skipped + report.notes)[0][1]
    (row,) = await library.rows()
    assert row.caption == ""


@pytest.mark.parametrize("tags", [[TAG], TAG])
async def test_tags_of_a_manifest(library: Library, tmp_path: Path, picture: Any, tags: object) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    manifest = tmp_path / "m.json"
    manifest.write_text(json.dumps([{"path": "red.png", "caption": "a card", "tags": tags}]))
    report = await index([tmp_path / "red.png"], library, manifest=manifest)
    problem = "a tag was left out: it has 2,001 characters, and at most 2,000 are kept"
    assert ("m.json, column tags", problem) in report.notes


async def test_what_programs_write_beside_every_image_is_counted_in_one_note(
    library: Library, tmp_path: Path, picture: Any
) -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    for number, more in enumerate(({}, {}, {"history": {"steps": [TAG]}})):
        (tmp_path / f"{number}.png").write_bytes(picture("red", mark=number))
        record = {"workflow": {"nodes": [TAG]}, "shapes": [{"points": [1, 2] * 999}], "price": number, **more}
        (tmp_path / f"{number}.json").write_text(json.dumps(record), "utf-8")
    report = await index([tmp_path], library)
    why = "objects and lists longer than 2,000 characters were left out: workflow, history"
    assert report.notes == [("sidecars of 3 images", why)]
    assert {row.metadata["price"] for row in await library.rows()} == {0, 1, 2}
    again = await index([tmp_path], library)
    assert (again.unchanged, again.notes) == (3, []), "it is no reason to read them again"
    (tmp_path / "0.json").write_text(json.dumps({"workflow": [TAG], "price": 9}), "utf-8")
    changed = await index([tmp_path], library)
    assert changed.notes == [("sidecars of 1 image", why.removesuffix(", history"))]


async def test_objects_of_a_manifest(library: Library, tmp_path: Path, picture: Any) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    manifest = tmp_path / "m.jsonl"
    row = {"path": "red.png", "workflow": {"nodes": [TAG]}, "short": {"a": 1}, "bbox": [1.5] * 999}
    manifest.write_text(json.dumps(row))
    report = await index([tmp_path / "red.png"], library, manifest=manifest)
    assert report.notes == [
        ("m.jsonl, column workflow", "an object or a list of more than 2,000 characters is left out")
    ]


@pytest.mark.parametrize(("tag", "name"), [(0x010E, "ImageDescription"), (0x9C9C, "XPComment"), (0x8298, "Copyright")])
async def test_exif_of_more_than_64_kb(library: Library, tmp_path: Path, tag: int, name: str) -> None:
    exif = Image.Exif()
    exif[tag] = b"x" * 70_000 if name == "XPComment" else "x" * 70_000
    Image.new("RGB", (24, 16), "red").save(tmp_path / "red.png", exif=exif)
    report = await index([tmp_path / "red.png"], library)
    (note,) = report.notes
    assert note[1].startswith(f"of its own metadata, {name} was left out: it has 70,0")
    assert note[1].endswith("bytes, and at most 65,536 are read")
