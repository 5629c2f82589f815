"""`imagerag index --caption-embedder` and `imagerag search --by captions`: what they say, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.ports import Hit, SearchTerm
from imagerag.agent.types import ImageRef
from imagerag.client.client import ImageRAG
from imagerag.client.search_document import document as search_document
from imagerag.client.search_results import Hits
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library_metadata import read_library_metadata
from tests.cli.conftest import Imagerag, document
from tests.store.conftest import ColourEmbedder

CAPTIONS = {"one": ("a red circle", "red"), "two": ("a blue square", "blue"), "three": ("", "green")}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, (caption, colour) in CAPTIONS.items():
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(caption)
    return folder


def test_captions_are_encoded_searched_and_shown(imagerag: Imagerag, pictures: Path, tmp_path: Path) -> None:
    assert "encoded" not in imagerag("index", pictures, "--library", "mine", "--embedder", "sketch").stdout
    refused = imagerag("search", "red", "--by", "captions", "--library", "mine")
    assert refused.exit_code == 1
    assert "imagerag index PATH --library mine --caption-embedder own" in " ".join(refused.stderr.split())
    done = imagerag("index", pictures, "--library", "mine", "--caption-embedder", "own")
    assert "2 texts with sketch" in done.stdout
    again = document(imagerag("index", pictures, "--library", "mine", "--json"))
    assert (again["captions_encoded"], again["caption_embedder"]) == (0, "sketch")
    found = document(imagerag("search", "a blue square", "--by", "captions", "--library", "mine", "--json"))
    assert [one["caption"] for one in found["results"]] == ["a blue square", "a red circle"]
    assert (found["by"], found["threshold"], found["results"][0]["accepted"]) == ("captions", None, None)
    assert found["results"][0]["caption_similarity"] == pytest.approx(1, abs=1e-5)
    assert found["results"][0]["similarity"] < 1
    by_images = document(imagerag("search", "a blue square", "--library", "mine", "--json"))
    assert {one["caption_similarity"] for one in by_images["results"]} == {None}
    shown = imagerag("search", "a blue square", "--by", "captions", "--library", "mine", "--sheet", "found.png",
                     "--html", "found.html")  # fmt: skip
    assert "1.000" in shown.stdout
    assert "threshold of captions not known" in shown.stdout
    assert "compared with" in (tmp_path / "found.html").read_text("utf-8")
    info = document(imagerag("library", "info", "mine", "--json"))
    assert (info["caption_vectors"], info["metadata"]["caption_encoder"]["spec"]) == (2, "sketch")
    assert info["metadata"]["caption_threshold"]["cosine"] is None
    assert "2 vectors with sketch, the library's own" in imagerag("library", "info", "mine").stdout
    assert "2 with sketch" in imagerag("library", "stats", "mine").stdout
    calibrated = document(imagerag("library", "calibrate", "mine", "--json"))
    assert calibrated["caption_threshold"]["captions"] == 2
    assert "too few of 2 captions say different things" in " ".join(
        imagerag("library", "calibrate", "mine").stdout.split()
    )
    for terms in (("a sofa + red",), ("--image", str(pictures / "one.png"))):
        assert "with one text" in imagerag("search", *terms, "--by", "captions", "--library", "mine").stderr
    imagerag("index", pictures, "--library", "mine", "--caption-embedder", "none")
    assert document(imagerag("library", "info", "mine", "--json"))["caption_vectors"] == 0
    assert imagerag("index", pictures, "--library", "new", "--caption-embedder", "no-such").exit_code == 2
    assert "new" not in imagerag("library", "list").stdout


def test_what_a_search_by_captions_cannot_find_is_said(imagerag: Imagerag, pictures: Path) -> None:
    (pictures / "one.txt").unlink()
    (pictures / "two.txt").unlink()
    imagerag("index", pictures, "--library", "mine", "--embedder", "sketch", "--caption-embedder", "own")
    search = ("search", "red", "--by", "captions", "--library", "mine")
    assert document(imagerag(*search, "--json"))["no_match"] == "no image here has a caption"
    assert "nothing: no image here has a caption" in imagerag(*search).stdout
    refused = imagerag(*search, "--hybrid")
    assert refused.exit_code == 2
    assert "leave --hybrid or --by captions out" in " ".join(refused.stderr.split())


def test_an_image_of_a_library_without_a_threshold_is_not_called_accepted() -> None:
    images = [ImageRef(sha256=digit * 64, media_type="image/png", width=8, height=8) for digit in "ab"]
    hits = Hits(
        [
            Hit(image=images[0], vector=np.zeros(4), similarity=0.1, caption_similarity=0.9, threshold=0.8),
            Hit(image=images[1], vector=np.zeros(4), similarity=0.1, caption_similarity=0.2),
        ],
        library="one,two", home=DataDir(Path()), terms=[SearchTerm(text="red")], by="captions",
    )  # fmt: skip
    assert [one.accepted for one in search_document("red", hits, None, "").results] == [True, None]


def test_several_libraries_are_searched_by_captions_each_with_its_threshold(imagerag: Imagerag, pictures: Path) -> None:
    for name in ("one", "two"):
        imagerag("index", pictures, "--library", name, "--embedder", "sketch", "--caption-embedder", "own")
    found = document(imagerag("search", "a red circle", "--by", "captions", "--library", "one,two", "--json"))
    assert [one["caption"] for one in found["results"]] == ["a red circle", "a blue square"]
    rag = ImageRAG()
    assert [hit.library for hit in rag.libraries.search_sync("red", by="captions", library="one,two")] == ["one", "one"]
    imagerag("library", "migrate", "one", "--embedder", "sketch")
    assert read_library_metadata(rag.dependencies.home, "one").caption_encoder is not None


def test_a_migration_encodes_own_captions_anew(imagerag: Imagerag, pictures: Path) -> None:
    rag = ImageRAG(library="mine")
    for name in ("one", "two"):
        rag.dependencies.use("embedder", f"colours:{name}", ColourEmbedder(name))
    rag.libraries.index_sync(pictures, embedder="colours:one", caption_embedder="own")
    rag.libraries.migrate_sync(embedder="colours:two")
    metadata = read_library_metadata(rag.dependencies.home, "mine")
    assert (metadata.spec, metadata.caption_encoder and metadata.caption_encoder.spec) == ("colours:two", "colours:two")
    assert rag.libraries.search_sync("blue square", by="captions")[0].caption == "a blue square"
