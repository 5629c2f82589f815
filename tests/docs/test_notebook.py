"""The tutorial notebook, run by a Jupyter kernel; and what results show in one."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import copied

nbclient = pytest.importorskip("nbclient", reason="a development tool that is not installed")
nbformat = pytest.importorskip("nbformat", reason="a development tool that is not installed")

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorials" / "notebook.ipynb"


@pytest.fixture(scope="module")
def outputs(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """What each code cell printed and showed."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    here = tmp_path_factory.mktemp("notebook")
    copied(sketch_home, here / "home")
    env = {name: value for name, value in os.environ.items() if not name.startswith("IMAGERAG_")}
    env |= {"IMAGERAG_HOME": str(here / "home"), "IPYTHONDIR": str(here), "JUPYTER_RUNTIME_DIR": str(here)}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(here), env=env)
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def shown(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = (one["data"] for one in outputs if one["output_type"] == "execute_result")
    return dict(found)


def test_it_runs_from_top_to_bottom(outputs: list[list[dict[str, Any]]]) -> None:
    assert not [one for cell in outputs for one in cell if one["output_type"] == "error"]
    assert len(outputs) >= 6


def test_a_run_shows_its_picture_and_how_it_ended(outputs: list[list[dict[str, Any]]]) -> None:
    run = shown(outputs[1])
    assert run["image/png"].startswith("iVBOR")
    assert '<img src="data:image/png;base64,' in run["text/html"]
    assert "a teal checkered crescent and a red solid circle" in run["text/html"]
    assert "✓" in run["text/html"]


def test_hits_show_their_pictures_and_an_answer_what_it_stands_on(outputs: list[list[dict[str, Any]]]) -> None:
    hits = shown(outputs[3])
    assert hits["text/html"].count("<img ") == 6
    answer = shown(outputs[5])
    assert "[1]" in answer["text/html"]
