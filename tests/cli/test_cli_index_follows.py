"""`imagerag index` follows folders: what it says of it, dry runs, and watching until Ctrl-C."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw
from tests.cli.conftest import Imagerag, document
from tests.processes import IMAGERAG, Python


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for product in products()[:6]:
        draw(product_scene(product), 64).save(folder / f"{product.stem}.png")
    return folder


def test_what_became_of_files_is_counted_and_a_dry_run_says_it_before(imagerag: Imagerag, pictures: Path) -> None:
    dry = document(imagerag("index", pictures, "--library", "mine", "--dry-run", "--json"))
    assert (dry["added"], dry["dry_run"], len(dry["examples"]["added"])) == (6, True, 6)
    assert "mine" not in imagerag("library", "list").stdout
    imagerag("index", pictures, "--library", "mine")
    first, second, third, *_ = sorted(pictures.glob("*.png"))
    first.unlink()
    second.rename(pictures / "moved.png")
    third.write_bytes(sorted(pictures.glob("*.png"))[-1].read_bytes())
    planned = imagerag("index", pictures, "--library", "mine", "--dry-run").stdout
    assert "would be: " in planned
    assert "1 moved" in planned
    assert str(pictures / "moved.png")[-20:] in planned
    done = document(imagerag("index", pictures, "--library", "mine", "--json"))
    assert (done["added"], done["moved"], done["removed"], done["dry_run"]) == (0, 1, 2, False)
    # One was deleted, and one written over.
    assert done["moved"] + done["unchanged"] == 6 + done["added"] - done["removed"]


def test_a_pattern_in_quotes_may_begin_at_home(
    imagerag: Imagerag, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(pictures.parent))
    (pictures.parent / "said.csv").write_text("path,caption\n")
    told = imagerag("index", "~/pictures/*.png", "--manifest", "~/said.csv", "--library", "mine", "--dry-run", "--json")
    assert document(told)["added"] == 6


def test_a_folder_that_is_empty_now_takes_nothing_out(imagerag: Imagerag, pictures: Path) -> None:
    imagerag("index", pictures, "--library", "mine")
    shutil.rmtree(pictures)
    assert imagerag("index", pictures, "--library", "mine").exit_code == 2
    pictures.mkdir()
    result = imagerag("index", pictures, "--library", "mine", "--json")
    assert (document(result)["missing"], document(result)["removed"]) == (6, 0)
    assert "--prune" in result.stderr
    pruned = document(imagerag("index", pictures, "--library", "mine", "--prune", "--json"))
    assert (pruned["missing"], pruned["removed"]) == (0, 6)


def test_changes_are_followed_until_ctrl_c(home: Path, pictures: Path) -> None:
    command = ("--home", str(home), "index", str(pictures), "--library", "mine", "--watch", "--json", "--quiet")
    with Python(*IMAGERAG, *command) as running:
        assert _next(running)["added"] == 6
        (pictures / "new.png").write_bytes(b"not yet")
        draw(product_scene(products()[7]), 64).save(pictures / "new.png")
        assert _next(running)["added"] == 1
        (pictures / "new.png").unlink()
        assert _next(running)["removed"] == 1
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate()
    assert running.wait() == 0, errors
    assert "Traceback" not in errors


def _next(running: Python) -> dict[str, int]:
    """The next JSON document that a process writes."""
    text = ""
    for line in running.stdout:
        text += line
        if line.startswith("}"):
            found: dict[str, int] = json.loads(text)
            return found
    raise AssertionError(f"it ended: {text}")
