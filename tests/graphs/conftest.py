"""A generation graph on fakes, with real checkpoints, and a record of the path it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import RetryPolicy

from imagerag.agent.calls.journal import Journal
from imagerag.agent.extraction_schedule import recursion_limit
from imagerag.agent.nodes import Nodes
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.types import RunConfig
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.generation import build_workflow, is_retryable
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.store.sqlite.checkpoint_types import serializer
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedGenerator, ScriptedJudge, ScriptedLibrary

NO_WAIT = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False, retry_on=is_retryable)


@dataclass
class Bench:
    """One graph on fakes. `path` is the nodes in the order they finished, `values` the final state."""

    generator: ScriptedGenerator = field(default_factory=ScriptedGenerator)
    judge: ScriptedJudge = field(default_factory=ScriptedJudge)
    library: ScriptedLibrary | None = field(default_factory=ScriptedLibrary)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    journal: Journal | None = None
    saver: InMemorySaver = field(default_factory=lambda: InMemorySaver(serde=serializer()))
    path: list[str] = field(default_factory=list)
    values: Mapping[str, Any] = field(default_factory=dict)

    async def run(self, prompt: str = "a scene", thread: str = "run", **options: Any) -> RunRecord:
        """Run to the end. `options` are config, or further input: subjects, initial_image."""
        given = {name: options.pop(name) for name in ("subjects", "initial_image") if name in options}
        config = RunConfig(**options)
        nodes = Nodes(
            generator=self.generator, judge=self.judge, library=self.library, blobs=self.blobs, journal=self.journal
        )
        graph = build_workflow(nodes, retry=NO_WAIT).compile(checkpointer=self.saver)
        thread_config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": recursion_limit(config)}
        stream = graph.astream(
            {"prompt": prompt, **given}, thread_config, context=config, stream_mode=["updates"], version="v2"
        )
        async for chunk in stream:
            self.path += [name for name in chunk["data"] if not name.startswith("__")]
        self.values = (await graph.aget_state(thread_config)).values
        return run_record(thread, self.values)


@pytest.fixture
def bench() -> Bench:
    """A graph on fakes."""
    return Bench()


@pytest.fixture(scope="session")
def new_bench() -> type[Bench]:
    """Makes graphs on fakes, for tests that need many."""
    return Bench


@dataclass
class Stage:
    """A real runner with a real home, and fakes for what costs money."""

    runner: Runner
    generator: ScriptedGenerator
    judge: ScriptedJudge
    library: ScriptedLibrary


def make_stage(root: Path, judgements: Sequence[Any] = (), **generator: Any) -> Stage:
    """A runner whose specs `scripted` are fakes."""
    dependencies = Dependencies(DataDir.find(root))
    stage = Stage(
        Runner(dependencies=dependencies), ScriptedGenerator(**generator), ScriptedJudge(*judgements), ScriptedLibrary()
    )
    dependencies.use("generator", "scripted", stage.generator)
    dependencies.use("judge", "scripted", stage.judge)
    dependencies.use("library", "scripted", stage.library)
    return stage


@pytest.fixture(name="make_stage")
def make_stage_fixture() -> Any:
    """Makes runners on fakes, in a home of one's own."""
    return make_stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A runner on fakes in an empty home."""
    return make_stage(tmp_path / "home")
