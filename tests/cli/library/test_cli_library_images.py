"""`library add`, `remove`, `update`, and what is done to whole libraries."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imagerag.cli.library.upkeep import verification_lines
from imagerag.store.library.maintenance import changes, image_selection
from imagerag.store.library.maintenance.verification import LibraryProblem, Verification
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw
from tests.cli.conftest import Imagerag, document, one_line
from tests.cli.library.test_cli_library import drawn, indexed_home, mine

__all__ = ["drawn", "indexed_home", "mine"]


def titles(imagerag: Imagerag) -> set[str]:
    found = document(imagerag("search", "a thing", "--library", "mine", "-k", "50", "--threshold", "off", "--json"))
    return {str(result["title"]) for result in found["results"]}


def test_images_are_removed_and_stay_out(imagerag: Imagerag, mine: str, drawn: Path) -> None:
    would = imagerag("library", "remove", "mine", drawn / "widget-a.png", "--dry-run")
    assert (would.exit_code, "1 image would be removed" in would.stdout) == (0, True)
    assert "Widget A" in would.stderr
    assert len(titles(imagerag)) == 12
    gone = document(imagerag("library", "remove", "mine", "--filter", "category=gadget", "--yes", "--json"))
    assert (gone["schema"], gone["action"], gone["dry_run"]) == ("imagerag.library-images/1", "remove", False)
    assert {image["title"] for image in gone["images"]} == {"Gadget X", "Gadget Y", "Gadget Z"}
    assert gone["count"] == 3
    assert len(titles(imagerag)) == 9
    again = document(imagerag("index", drawn, "--library", "mine", "--json"))
    assert (again["added"], again["removed_before"]) == (0, 3)
    assert "library add mine FILE" in again["warnings"][-1]
    back = document(
        imagerag("library", "add", "mine", drawn / "gadget-x.png", "--caption", "a thing", "--set", "shelf=3", "--json")
    )
    assert [image["caption"] for image in back["images"]] == ["a thing"]
    assert "Gadget X" in titles(imagerag)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--whole-library"),
        (("nowhere.png",), "holds no image"),
        (("--whole-library", "x.png"), "one of them"),
        (("--tag", "gadget"), "--yes"),
        (("--whole-library",), "--yes"),
        (("--filter", "nokey=1", "--yes"), "nokey"),
    ],
)
def test_nothing_goes_that_was_not_surely_meant(
    imagerag: Imagerag, mine: str, arguments: tuple[str, ...], said: str
) -> None:
    result = imagerag("library", "remove", "mine", *arguments)
    assert result.exit_code == 2
    assert said in one_line(result)
    assert len(titles(imagerag)) == 12


def test_an_image_is_added_once_and_copied_where_that_is_said(
    imagerag: Imagerag, mine: str, drawn: Path, tmp_path: Path
) -> None:
    file = drawn / "gadget-x.png"
    assert "library mine: 1 was there already" in imagerag("library", "add", "mine", file).stdout
    assert document(imagerag("library", "stats", "mine", "--json"))["statistics"]["copied"] == 0
    draw(product_scene(products()[0]), 48).save(tmp_path / "new.png")
    told = imagerag("library", "add", "mine", file, tmp_path / "new.png", "--copy").stdout
    assert "library mine: 1 image added, 1 was there already" in told
    assert document(imagerag("library", "stats", "mine", "--json"))["statistics"]["copied"] == 2


def test_images_are_updated(imagerag: Imagerag, mine: str, drawn: Path) -> None:
    changed = imagerag(
        "library", "update", "mine", "--filter", "category=gadget", "--tag", "loud", "--set", "price=3",
        "--licence", "CC0-1.0", "--yes",
    )  # fmt: skip
    assert (changed.exit_code, "3 images changed" in changed.stdout) == (0, True)
    found = document(imagerag("search", "x", "--library", "mine", "--tag", "loud", "-k", "50", "--json"))["results"]
    assert {one["title"] for one in found} == {"Gadget X", "Gadget Y", "Gadget Z"}
    assert all(one["metadata"]["price"] == 3 and one["licence"] == "CC0-1.0" for one in found)
    again = imagerag("library", "update", "mine", "--filter", "category=gadget", "--tag", "loud", "--yes", "--json")
    assert document(again)["images"] == []
    told = one_line(imagerag("library", "update", "mine", drawn / "widget-a.png"))
    assert "say what changes: --title TEXT" in told
    assert "--tag TAG, --untag TAG, --set KEY=VALUE, --unset KEY" in told


@pytest.mark.parametrize("change", [("update", "--title", "x"), ("remove",)])
def test_of_many_images_the_number_and_the_first_are_told(
    imagerag: Imagerag, mine: str, change: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (changes, image_selection):
        monkeypatch.setattr(module, "LISTED", 7)
    command, *options = change
    everything = ("library", command, "mine", "--filter", "width>0", *options, "--dry-run")
    told = imagerag(*everything)
    assert "12 images would be" in told.stdout
    assert "and 6 more" in told.stderr
    listed = document(imagerag(*everything, "--json"))
    assert (listed["count"], len(listed["images"])) == (12, 7)
    assert [one["id"] for one in listed["images"]] == sorted(one["id"] for one in listed["images"])


@pytest.mark.parametrize("change", [("update", "--title", "x"), ("remove",)])
def test_a_filter_that_leaves_nothing_is_explained_as_by_a_search(
    imagerag: Imagerag, mine: str, change: tuple[str, ...]
) -> None:
    command, *options = change
    told = imagerag("library", command, "mine", "--filter", "category=gadgets", *options, "--dry-run").stdout
    assert "0 images would be" in told
    searched = imagerag("search", "x", "--library", "mine", "--filter", "category=gadgets", "--json")
    why = document(searched)["no_match"]
    assert "gadget" in why
    assert f"nothing: {why}" in " ".join(told.split())


@pytest.mark.parametrize("options", [("--threshold", "0.5"), ("--threshold", "0.5", "--keep", "first")])
def test_what_to_type_to_remove_duplicates_has_the_options_that_found_them(
    imagerag: Imagerag, mine: str, options: tuple[str, ...]
) -> None:
    command = f"imagerag library dedupe mine {' '.join(options)} --remove"
    assert imagerag("library", "dedupe", "mine", *options).stdout.splitlines()[-1].endswith(command)
    refused = imagerag("library", "dedupe", "mine", *options, "--remove")
    assert f"{command} --yes" in one_line(refused)


def test_whole_libraries_are_counted_checked_written_and_renamed(imagerag: Imagerag, mine: str, tmp_path: Path) -> None:
    stats = document(imagerag("library", "stats", "mine", "--json"))
    assert (stats["schema"], stats["statistics"]["images"]) == ("imagerag.library-stats/1", 12)
    shown = imagerag("library", "stats", "mine").stdout
    assert "12 captions" in shown
    assert "reach the threshold" in shown
    assert "all in order" in imagerag("library", "verify", "mine").stdout
    assert document(imagerag("library", "verify", "mine", "--json"))["verification"]["problems"] == []
    written = document(imagerag("library", "export", "mine", tmp_path / "mine.parquet", "--json"))
    assert (written["format"], written["export"]["images"]) == ("parquet", 12)
    assert pq.read_table(tmp_path / "mine.parquet").num_rows == 12
    assert "--overwrite" in one_line(imagerag("library", "export", "mine", tmp_path / "mine.parquet"))
    assert imagerag("library", "export", "mine", tmp_path / "folder").exit_code == 0
    assert len(list((tmp_path / "folder").glob("*.json"))) == 12
    assert json.loads(next((tmp_path / "folder").glob("*.json")).read_text())["schema"] == "imagerag.image/1"
    assert document(imagerag("library", "optimize", "mine", "--json"))["disk"]["rows"] > 0
    renamed = document(imagerag("library", "rename", "mine", "yours", "--json"))
    assert (renamed["library"], renamed["renamed_from"]) == ("yours", "mine")
    assert len(titles(imagerag)) == 12  # under its old name


def test_a_problem_of_a_snapshot_is_not_mended_there() -> None:
    problem = LibraryProblem(kind="image", id="a" * 64, problem="gone")
    found = Verification(images=1, files=1, copies=0, dimension=3, problems=(problem,))
    last = verification_lines("mine@v1", found, repair=False)[-1]
    assert last == "a snapshot is only read: imagerag library verify mine --repair mends the library itself"


def test_a_problem_is_told_and_sets_the_exit_code(imagerag: Imagerag, mine: str, home: Path) -> None:
    stray = home / "libraries" / "mine.lance" / "images" / "00" / ("0" * 62)
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    result = imagerag("library", "verify", "mine")
    assert (result.exit_code, "stray" in result.stdout, "--repair" in result.stdout) == (1, True, True)
    listed = json.loads(imagerag("library", "verify", "mine", "--json").stdout)
    assert (listed["count"], listed["left"], [one["kind"] for one in listed["verification"]["problems"]]) == (
        1, 1, ["stray"],
    )  # fmt: skip
    assert imagerag("library", "verify", "mine", "--repair").exit_code == 0
    assert not stray.exists()


def test_an_export_names_what_it_lacks_and_what_to_type(
    imagerag: Imagerag, mine: str, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (drawn / "widget-a.png").unlink()
    written = imagerag("library", "export", "mine", tmp_path / "out")
    [first, *lines] = written.stdout.splitlines()
    assert (written.exit_code, "11 images" in first) == (1, True)
    assert "widget-a.png is gone since it was indexed. Type: imagerag index" in " ".join(" ".join(lines).split())
    assert all(len(line) <= 80 for line in lines if "/" not in line)
