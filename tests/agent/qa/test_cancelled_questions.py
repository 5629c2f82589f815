"""A question that is stopped keeps its record, and says what its calls may have cost."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import UnknownThreadError
from imagerag.agent.ports import Capabilities, PriceEstimator
from imagerag.agent.qa.ports import AnswerWithCitations
from imagerag.agent.qa.qa_record import AnswerRecord
from imagerag.agent.qa.types import AnswerOutcome, Citation
from imagerag.assistants.search_text import format_answer
from imagerag.assistants.tool_reports import answer_report
from imagerag.tools.testing.fake_stores import sample_image
from imagerag.tools.testing.fakes import ScriptedLibrary


class Slow:
    """Answers when it is told to, for a quarter dollar."""

    identity, synonyms = "slow:1", {}
    capabilities = Capabilities(
        tariff=PriceEstimator(known=True, most=lambda prompt, images, size: 0.25),
        needs_images=True,
        takes_images=True,
    )

    def __init__(self) -> None:
        self.asked, self.continue_run = asyncio.Event(), asyncio.Event()

    async def answer(self, question: str, sources: Any, **asked: Any) -> AnswerWithCitations:
        self.asked.set()
        await self.continue_run.wait()
        return AnswerWithCitations(text="Yes [1].", cited=(Citation(source=1),), cost_usd=0.2)

    async def answer_without(self, question: str, **asked: Any) -> AnswerWithCitations:
        return AnswerWithCitations(text="Perhaps.", cost_usd=0.2)


@pytest.fixture
def rag(tmp_path: Path) -> ImageRAG:
    made = ImageRAG(preset="sketch", answerer="slow", library="mine", home=tmp_path / "home")
    library = ScriptedLibrary(name="mine")
    library.plant("is it there?", title="It")
    made.dependencies.use("library", "mine", library)
    return made


async def stopped(rag: ImageRAG, slow: Slow, **asked: Any) -> None:
    rag.dependencies.use("answerer", "slow", slow)
    task = asyncio.ensure_future(rag.ask("is it there?", thread="talk", **asked))
    await slow.asked.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_it_has_a_record_with_what_it_may_have_cost(rag: ImageRAG) -> None:
    await stopped(rag, Slow(), images=[sample_image("mine")])
    record = await rag.questions.get("talk")
    assert (record.outcome, record.in_library, record.turn, record.new_thread) == (
        AnswerOutcome.CANCELLED,
        False,
        1,
        True,
    )
    assert (record.cost_usd, record.unsettled_usd, record.calls) == (0.25, 0.25, {"answer": 1})
    assert [(call.order, call.completed, len(call.question_images)) for call in record.asked] == [(1, False, 1)]
    assert [one.title for one in record.retrieved] == ["It"]


async def test_what_nobody_answered_is_told_in_words(rag: ImageRAG) -> None:
    await stopped(rag, Slow())
    told = format_answer(answer_report(await rag.questions.get("talk")))
    assert told.startswith("cancelled: the question was stopped before its end.")
    assert "Cost: $0.25 at most, unanswered (1 model call)" in told


async def test_the_next_question_of_the_thread_does_not_take_its_calls_over(rag: ImageRAG) -> None:
    await stopped(rag, Slow())
    slow = Slow()
    slow.continue_run.set()
    rag.dependencies.use("answerer", "slow", slow)
    record = await rag.ask("is it there?", thread="talk")
    assert (record.outcome, record.turn, record.cost_usd) == (AnswerOutcome.ANSWERED, 1, 0.2)
    assert (record.unsettled_usd, record.calls) == (0.0, {"answer": 1})
    assert (await rag.questions.get("talk")).answer == record.answer


async def test_one_whose_process_was_killed_is_told_the_same(rag: ImageRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(*args: Any) -> None:
        """Nothing is written: the process is gone."""

    monkeypatch.setattr(type(rag._context.qa_runner), "_cancel", killed)
    await stopped(rag, Slow())
    record: AnswerRecord = await rag.questions.get("talk")
    assert (record.outcome, record.unsettled_usd) == (AnswerOutcome.CANCELLED, 0.25)
    assert "stopped before its end" in record.reason


async def test_one_that_was_killed_goes_on_with_its_picture(rag: ImageRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(*args: Any) -> None:
        """Nothing is written: the process is gone."""

    monkeypatch.setattr(type(rag._context.qa_runner), "_cancel", killed)
    await stopped(rag, Slow(), images=[sample_image("mine")])
    slow = Slow()
    slow.continue_run.set()
    rag.dependencies.use("answerer", "slow", slow)
    async with rag._context.qa_runner._graph("slow", "mine", None, rag.settings.judge, {}) as (graph, *_):
        state = await graph.ainvoke(None, {"configurable": {"thread_id": "talk"}}, durability="sync")
    assert state["reply"] is not None
    assert len(state["shown"]) == 1
    record = await rag.questions.get("talk")
    assert (record.outcome, record.cost_usd, record.unsettled_usd) == (AnswerOutcome.ANSWERED, 0.45, 0.25)


async def test_a_thread_that_there_is_not_has_no_record(rag: ImageRAG) -> None:
    with pytest.raises(UnknownThreadError, match="no thread 'nowhere'"):
        await rag.questions.get("nowhere")
