"""Homes of earlier versions: their steps are refused by name, and calls without an answer are read."""

from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from imagerag.agent.calls.journal import CallRequest, JournalEntry
from imagerag.agent.calls.pending_calls import recovered_call
from imagerag.agent.errors import RunStateError
from imagerag.agent.qa.types import STATE_TYPES
from imagerag.agent.types import FrozenModel
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.qa import build_qa
from imagerag.graphs.runs.history import steps
from imagerag.graphs.runs.qa_runner import QARunner
from imagerag.graphs.runs.run_snapshot import read_snapshot
from imagerag.store.data_dir import DataDir
from imagerag.store.journal import LOST, StoreJournal
from imagerag.store.sqlite.checkpoint_types import open_checkpointer
from imagerag.tools.answerers.metadata import MetadataAnswerer


class Knobs(FrozenModel):
    """A value of a class that there is no more."""

    journal: str = "record"


Knobs.__module__ = "imagerag.agent.types"

VARIATION = {"attempt": 1, "lever": "temperature", "temperature": 0.5, "seed": None, "wording": 2, "in_vain": []}
CALL = {
    "role": "generate", "backend": "openai:x", "variation": VARIATION, "elapsed_s": 1.5, "most_usd": 0.04,
    "raw": "words", "answered": False, "unsettled": True, "call_id": "abc", "reused": False,
}  # fmt: skip


@pytest.mark.parametrize("values", [{"setup": Knobs()}, {"attempts": [Knobs()]}], ids=["value", "list"])
async def test_a_run_of_an_earlier_version_is_refused_by_name(tmp_path: Path, values: dict[str, Any]) -> None:
    dependencies = Dependencies(DataDir(tmp_path))
    async with dependencies.checkpoints() as saver:
        graph = dependencies.workflow().compile(checkpointer=saver)
        given: Any = {"prompt": "a red circle", **values}
        await graph.aupdate_state({"configurable": {"thread_id": "old"}}, given, as_node="generate")
    for read in (read_snapshot, steps):
        with pytest.raises(RunStateError, match=r"run old was made by an earlier version.*generate\('a red circle'\)`"):
            await read(dependencies, "old")


async def test_a_thread_of_an_earlier_version_is_refused_by_name(tmp_path: Path) -> None:
    dependencies = Dependencies(DataDir(tmp_path))
    async with open_checkpointer(dependencies.home.conversations, STATE_TYPES) as saver:
        graph = build_qa(answerer=MetadataAnswerer(), library=None).compile(checkpointer=saver)
        given: Any = {"question": "how many?", "earlier": [Knobs()]}
        await graph.aupdate_state({"configurable": {"thread_id": "old"}}, given, as_node="finish")
    runner = QARunner(dependencies=dependencies)
    with pytest.raises(RunStateError, match=r"thread old was made by an earlier version.*without `thread`"):
        await runner.record("old")


async def test_calls_without_an_answer_are_read_from_journals_of_earlier_versions() -> None:
    store = InMemoryStore()
    lost = {"run_id": "old", "call": CALL, "at": "2026-01-01T00:00:00+00:00", "task": "t", "under_way": True}
    await store.aput((LOST, "old"), "abc", lost)
    [found] = await StoreJournal(store).unanswered("old")
    call = found.call
    assert (call.max_cost_usd, call.raw_response, call.completed, call.cached) == (0.04, "words", False, False)
    assert (call.variation.varied_parameter, call.variation.prompt_variant) == ("temperature", 2)


def test_a_recorded_call_of_an_earlier_version_keeps_how_it_was_varied() -> None:
    asked = CallRequest(role="judge.critique", backend="x", content={"variation": VARIATION}, request="r")
    entry = JournalEntry(run_id="old", asked=asked, answer={"raw": "words"}, elapsed_s=1, at="2026-01-01T00:00:00Z")
    assert recovered_call(entry).variation.varied_parameter == "temperature"
