"""Regions by a real encoder: a tiny open_clip model with random weights, which takes decoded images."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import png
from imagerag.agent.images.regions import DECODED, regions_of
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.verification import verify_table
from imagerag.tools.embedders.openclip import OpenClipEmbedder


def drawn(*colours: str) -> bytes:
    """Squares beside each other on white; the same colour everywhere for one."""
    image = Image.new("RGB", (160, 120), "white" if len(colours) > 1 else colours[0])
    pen = ImageDraw.Draw(image)
    for at, colour in enumerate(colours if len(colours) > 1 else ()):
        pen.rectangle((10 + 50 * at, 40, 40 + 50 * at, 80), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def test_regions_have_the_vectors_of_their_crops_and_a_search_takes_the_best(tiny: Path, tmp_path: Path) -> None:
    scenes = {"two": ("red", "blue"), "three": ("green", "black", "purple"), "one": ("orange",)}
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colours in scenes.items():
        (folder / f"{name}.png").write_bytes(drawn(*colours))
        (folder / f"{name}.txt").write_text(" and ".join(f"a {colour} square" for colour in colours))
    embedder = OpenClipEmbedder(f"local-dir:{tiny}")
    library = await Library.create_or_open(DataDir(tmp_path / "home"), "mine", embedder)
    report = await index([folder], library, regions=True)
    assert (report.region_images, report.regions, report.notes) == (3, 2 + 3 + 13, [])
    assert verify_table(library.table).problems == ()

    records = {one["title"]: one for one in await library.table.records(["title", "vector", "regions"], None)}
    for name, colours in scenes.items():
        crops = [crop for _, crop in regions_of(open_rgb(drawn(*colours), side=DECODED))]
        alone = np.concatenate([await embedder.embed_images([png(crop)]) for crop in crops])
        np.testing.assert_allclose(np.asarray(records[name]["regions"]), alone, atol=1e-5)

    (text,) = await embedder.embed_texts(["a purple square"])
    best = {
        name: max(float(text @ np.asarray(one["vector"])), *(np.asarray(one["regions"]) @ text).tolist())
        for name, one in records.items()
    }
    hits = await library.search("a purple square", k=3)
    assert [hit.title for hit in hits] == sorted(best, key=lambda name: -best[name])
    for hit in hits:
        assert abs(hit.similarity - best[hit.title]) < 1e-5
    assert (await index([folder], library)).region_images == 0
