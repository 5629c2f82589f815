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
