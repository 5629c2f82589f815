"""A question whose task is cancelled at any await: its record says so, or that there is none."""

from itertools import count
from typing import Any

import pytest

from imagerag.agent.errors import UnknownThreadError
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.types import RunConfig
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.qa_runner import QARunner
from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.fakes import ScriptedLibrary
from tests.cancellation_points import cancelled_at


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
async def test_a_question_that_is_cancelled_at_any_await_has_ended(tmp_path: Any, again: bool) -> None:
    dependencies = Dependencies(home=DataDir(tmp_path / "home"))
    library = ScriptedLibrary(name="mugs")
    library.plant("which mug?", title="a mug")
    dependencies.use("library", "mugs", library)
    runner, seen = QARunner(dependencies=dependencies), set[Any]()
    for nth in count(1):
        thread = f"at-{nth}"
        work = runner.ask("which mug?", answerer="metadata", library="mugs", config=RunConfig(), thread=thread)
        if not await cancelled_at(work, nth, again=again):
            break
        try:
            seen.add((await runner.record(thread)).outcome)
        except UnknownThreadError:
            seen.add(None)
    assert seen == {None, AnswerOutcome.CANCELLED, AnswerOutcome.ANSWERED}
