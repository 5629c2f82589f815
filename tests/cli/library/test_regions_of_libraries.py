"""`imagerag index --regions`: what it says, and how the box of a thing among others is shown and sent."""

from pathlib import Path

import pytest

from imagerag.evals.synthetic_images import SyntheticImage
from imagerag.tools.sketch.world import Placed, Scene, Thing
from tests.cli.conftest import Imagerag, document

STAR, BOLT = Thing("star", "red", "striped"), Thing("bolt", "blue", "solid")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    both = Scene((Placed(STAR, 0.25, 0.5, 0.18), Placed(BOLT, 0.75, 0.5, 0.18)))
    (folder / "both.png").write_bytes(SyntheticImage.of(both, 128).data)
    alone = Scene((Placed(Thing("heart", "green", "dotted")),))
    (folder / "heart.png").write_bytes(SyntheticImage.of(alone, 128).data)
    return folder


def test_a_thing_among_others_is_found_and_its_box_is_shown(imagerag: Imagerag, pictures: Path, tmp_path: Path) -> None:
    done = imagerag("index", pictures, "--library", "mine", "--embedder", "sketch", "--regions")
    assert done.exit_code == 0
    assert "2 regions of 2 images encoded" in done.stdout
    again = document(imagerag("index", pictures, "--library", "mine", "--json"))
    assert (again["region_images"], again["regions"], again["unchanged"]) == (0, 0, 2)
    searched = ("search", "a red striped star", "--library", "mine")
    first = document(imagerag(*searched, "--json"))["results"][0]
    assert first["title"] == "both"
    assert first["region"]["right"] < 0.5
    assert "% across" in imagerag(*searched).stdout
    imagerag(*searched, "--html", "found.html", "--sheet", "found.png")
    page = (tmp_path / "found.html").read_text("utf-8")
    assert "% across" in page
    assert (tmp_path / "found.png").stat().st_size
    info = document(imagerag("library", "info", "mine", "--json"))
    assert (info["metadata"]["regions"], info["region_images"], info["regions"]) == ("things-or-tiles", 2, 2)
    assert "2 images, 2 with their regions encoded (2)" in imagerag("library", "info", "mine").stdout
    counted = document(imagerag("library", "stats", "mine", "--json"))["statistics"]
    assert (counted["region_images"], counted["regions"]) == (2, 2)
    assert "2 of 2 images" in imagerag("library", "stats", "mine").stdout


def test_a_run_sends_the_box_and_its_record_and_report_show_it(
    imagerag: Imagerag, pictures: Path, tmp_path: Path
) -> None:
    imagerag("index", pictures, "--library", "mine", "--embedder", "sketch", "--regions")
    prompt = ("generate", "a red striped star", "--library", "mine", "--preset", "sketch", "--threshold", "0.2")
    for crop in ("auto", "whole"):
        run = document(
            imagerag(*prompt, "--start", "retrieve", "--reference-crop", crop, "--out", f"{crop}.png", "--json")
        )
        reference = run["references"][0]
        assert reference["region"]["right"] < 0.5
        assert (reference["crop"] is None) == (crop == "whole")
        assert run["searches"][0]["candidates"][0]["region"] == reference["region"]
    report = imagerag("report", run["run_id"], "--out", "report.html")
    assert report.exit_code == 0
