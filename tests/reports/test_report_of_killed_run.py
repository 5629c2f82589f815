"""A process that is killed (-9) at any step: `show` tells where its run stands and what resumes it, and that works.

At two steps here; `STORM=full` in the environment makes it all of them (minutes):

    STORM=full python -m pytest tests/reports/test_report_of_killed_run.py
"""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagerag.cli import main
from tests.conftest import copied
from tests.processes import python

FULL = os.environ.get("STORM") == "full"

HELD = "a red solid heart and a blue split crescent on a mint background"

NODES = ("generate", "critique", "extract_concepts", "write_captions", "retrieve", "shortlist", "regenerate", "finish")

DIES = """
import os, signal, sys
from imagerag.agent.nodes import Nodes

home, run, node, prompt = sys.argv[1:]
at_work = getattr(Nodes, node)

async def dies(self, state, runtime):
    os.kill(os.getpid(), signal.SIGKILL)

dies.__annotations__ = at_work.__annotations__
setattr(Nodes, node, dies)

import asyncio
from imagerag import ImageRAG

asyncio.run(ImageRAG(preset="sketch", home=home).generate(prompt, run_id=run))
"""
"""A run in which a node kills its own process as it begins."""


@pytest.fixture(scope="module")
def home(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(sketch_home, tmp_path_factory.mktemp("killed") / "home")


def imagerag(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *arguments])


def killed_in(home: Path, node: str) -> str:
    """The id of a run whose process died in that node."""
    name = f"dies-in-{node}"
    child = python("-c", DIES, home, name, node, HELD)
    assert child.returncode == -signal.SIGKILL, child.stderr
    return name


@pytest.mark.timeout(600)
@pytest.mark.parametrize("node", NODES if FULL else ["extract_concepts", "regenerate"])
def test_a_killed_run_shows_where_it_stands_and_what_resumes_it(home: Path, node: str, tmp_path: Path) -> None:
    run = killed_in(home, node)
    shown = imagerag(home, "show", run)
    assert shown.exit_code == 0
    number = re.search(rf"stands at step (\d+) \({node}\)", shown.stdout)
    assert number, shown.stdout
    (standing,) = [line.split() for line in shown.stdout.splitlines() if line.split()[:2] == [number[1], "…"]]
    assert standing[2] == node
    (command,) = set(re.findall(r"imagerag (?:--home \S+ )?(resume \S+)", shown.stdout))
    resumed = imagerag(home, *command.split(), "--json", "--out", str(tmp_path / "x.png"))
    assert resumed.exit_code == 0, resumed.output
    record = json.loads(resumed.stdout)
    assert (record["run_id"], record["outcome"]) == (run, "aligned")
    after = imagerag(home, "show", run).stdout
    assert "stands at" not in after
    assert [line.split()[1] for line in after.splitlines() if re.match(r"\s+\d+  \w", line)][1:] == [
        *NODES[:-1],
        "critique",
        "finish",
    ]
