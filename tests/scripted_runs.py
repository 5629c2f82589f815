"""Runs on a stage (`tests/graphs/conftest.py`), whose backends are named `scripted`."""

from typing import Any

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.graphs.runs.events import last_record


def scripted_spec(**config: Any) -> RunSpec:
    """The stage's backends with this configuration."""
    return RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig(**config))


async def scripted_run(stage: Any, *judgements: Any, subjects: Any = (), **config: Any) -> RunRecord:
    """The run `first` of "a heart", with these judgements."""
    stage.judge.enqueue(*judgements)
    return await last_record(stage.runner.start("a heart", scripted_spec(**config), run_id="first", subjects=subjects))
