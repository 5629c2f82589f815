"""A third-party package, installed by pip into a folder and used through its entry points, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.conftest import copied

PACKAGE = Path(__file__).parent / "data" / "imagerag-plain"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder it was installed into; it is built from a copy, so that nothing is left behind here."""
    root = tmp_path_factory.mktemp("plain")
    shutil.copytree(PACKAGE, root / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(root / "site"), str(root / "source")]
    made = subprocess.run(pip, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return root / "site"


def imagerag(site: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(site, home, "-m", "imagerag", *arguments)


def environment(site: Path, home: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("IMAGERAG_")}
    return env | {"PYTHONPATH": str(site), "IMAGERAG_HOME": str(home)}


def python(site: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process that begins with the imports done, and therefore has to be told of the folder."""
    kind, what, *rest = arguments
    runs = f"import runpy, sys; sys.argv[0] = {what!r}; runpy.run_module({what!r}, run_name='__main__', alter_sys=True)"
    code = f"import sys; sys.path.insert(1, {str(site)!r})\n" + (runs if kind == "-m" else what)
    return processes.python("-c", code, *rest, env=environment(site, home), cwd=home.parent)


def test_it_draws_and_judges_by_its_spec(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "imagerag.toml").write_text('preset = "sketch"\nlibrary = ""\n')
    shared = ("generate", "a picture in blue", "--json", "--quiet", "--judge", "plain:blue", "--max-cost-usd", "0")
    done = imagerag(installed, tmp_path / "home", *shared, "--generator", "plain:blue")
    record = json.loads(done.stdout)
    assert (done.returncode, record["outcome"], record["cost_usd"]) == (0, "aligned", 0.0), done.stderr
    assert record["attempts"][0]["generator"] == "plain:blue"
    red = imagerag(installed, tmp_path / "home", *shared, "--generator", "plain:red")
    assert (red.returncode, json.loads(red.stdout)["outcome"]) == (3, "no_usable_reference")


def test_it_is_listed_and_can_be_part_of_a_cascade(installed: Path, tmp_path: Path) -> None:
    done = imagerag(
        installed, tmp_path / "home", "doctor", "--generator", "nosuch", "--judge", "plain,sketch", "--json"
    )
    found = json.loads(done.stdout)
    assert "plain" in found["problems"][0]  # there is no generator 'nosuch'; there is: …, plain, …
    judges = [one for one in found["backends"] if one["role"] == "judge"]
    assert [(one["identity"], one["reachable"], one["price"]) for one in judges] == [
        ("plain", True, "free"),
        ("sketch", True, "free"),
    ]


ASKING = """
import asyncio, json, sys
from imagerag import ImageRAG
from imagerag.agent.errors import SpecError
from imagerag.tools.registry import make_answerer, make_generator, make_judge, make_reranker
from imagerag.tools.testing.fakes import ScriptedLibrary

async def main():
    plain = {"generator": "plain:red", "judge": "plain:blue", "answerer": "plain:blue", "reranker": "plain:blue"}
    rag = ImageRAG(preset="sketch", library="mine", home=sys.argv[1], **plain)
    held = ScriptedLibrary(name="mine")
    held.plant("a picture in blue", similarity=0.9, title="a red one")
    held.plant({"a picture in blue": 0.8, "What is blue?": 0.9}, title="a blue one")
    rag.dependencies.use("library", "mine", held)
    run = await rag.generate("a picture in blue", max_rounds=1, max_references=1)
    answer = await rag.ask("What is blue?")
    told = {"sent": [one.title for one in run.attempts[-1].references]}
    told |= {"answer": answer.answer, "cited": [one.title for one in answer.citations], "by": answer.answerer}
    told["refused"] = []
    made = (make_generator, make_judge, make_answerer, lambda spec: make_reranker(spec, judge=None))
    for make in made:
        try:
            make("plain:blue?size=3")
        except SpecError as error:
            told["refused"].append(str(error))
    print(json.dumps(told))

asyncio.run(main())
"""


def test_its_answerer_answers_its_reranker_ranks_and_none_takes_unknown_options(
    installed: Path, tmp_path: Path
) -> None:
    done = python(installed, tmp_path / "home", "-c", ASKING, str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sent"] == ["a blue one"], "less similar, but ranked first"
    assert (told["answer"], told["cited"], told["by"]) == ("1 are blue", ["a blue one"], "plain:blue")
    assert len(told["refused"]) == 4
    assert all("plain:blue?size=3" in why and "size" in why for why in told["refused"])


def test_its_library_is_searched_and_sent_from(installed: Path, tmp_path: Path) -> None:
    shared = ("--library", "plain:blue", "--json")
    # This one begins with nothing, and finds the folder in PYTHONPATH.
    command = [sys.executable, "-m", "imagerag", "search", "something blue", *shared]
    env = environment(installed, tmp_path / "home")
    found = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=120)
    assert found.returncode == 0, found.stderr
    (hit,) = json.loads(found.stdout)["results"]
    assert (hit["title"], hit["similarity"], hit["accepted"]) == ("blue", 0.9, True)
    drawn = ("--generator", "plain:red", "--judge", "plain:blue", "--max-rounds", "1", "--quiet")
    done = imagerag(installed, tmp_path / "home", "generate", "a picture in blue", *shared, *drawn)
    record = json.loads(done.stdout)
    assert [one["title"] for one in record["attempts"][-1]["references"]] == ["blue"], done.stderr
    other = imagerag(installed, tmp_path / "home", "search", "something blue", "--library", "nosuch:blue")
    assert other.returncode == 2
    assert "no library 'nosuch'" in other.stderr
    assert "plain" in other.stderr


def test_a_found_file_of_settings_may_not_name_an_installed_library(
    installed: Path, sketch_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "imagerag.toml").write_text('library = "plain:blue"\n')
    done = imagerag(installed, copied(sketch_home, tmp_path / "home"), "search", "something blue", "--json")
    assert "imagerag.toml is not trusted" in done.stderr
    assert json.loads(done.stdout)["library"] == "sketch"


def test_it_is_as_short_as_the_documents_say() -> None:
    lines = (PACKAGE / "imagerag_plain.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 35
