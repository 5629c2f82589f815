"""Hybrid search, rerankers and several libraries in a question: what is cited first, what is called, what is paid."""

from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import FREE, Capabilities, Filter
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.types import RunConfig
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.qa_runner import QARunner
from imagerag.store.data_dir import DataDir
from imagerag.tools.answerers.metadata import MetadataAnswerer
from imagerag.tools.testing.fakes import ScriptedJudge, ScriptedLibrary, sample_image

QUESTION = "what do we know of the mug"


class Worded(ScriptedLibrary):
    """A library whose words put the least similar first, and that notes how it was searched."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.ways: list[bool] = []

    async def search(self, text: str, *, k: int, filter: Filter, hybrid: bool = False) -> Any:
        self.ways.append(hybrid)
        found = list(await super().search(text, k=k, filter=filter))
        return found[::-1] if hybrid else found


class Looks(MetadataAnswerer):
    """Cites what it is shown, in that order, without a look-up."""

    capabilities = Capabilities(tariff=FREE, needs_images=True)
    identity = "looks"

    async def answer(self, question: str, sources: Any, **told: Any) -> Any:
        from imagerag.agent.qa.ports import AnswerWithCitations
        from imagerag.agent.qa.types import Citation

        self.shown = [source.title for source in sources]
        cited = tuple(Citation(source=source.number, supports="mug") for source in sources)
        return AnswerWithCitations(text="a mug", cited=cited, in_library=True, cost_usd=0.0)


@pytest.fixture
def asker(tmp_path: Any) -> QARunner:
    dependencies = Dependencies(home=DataDir(tmp_path / "home"))
    library = Worded(name="mugs", threshold=0.5)
    for title, similarity in (("near", 0.9), ("middle", 0.8), ("far", 0.7), ("below", 0.1)):
        library.plant({QUESTION: similarity, "know mug": similarity, "mug": similarity}, title=title)
    dependencies.use("library", "mugs", library)
    dependencies.use("library", "plain", ScriptedLibrary(name="plain"))
    dependencies.use("answerer", "looks", Looks())
    dependencies.use("judge", "scripted", ScriptedJudge())
    return QARunner(dependencies=dependencies)


async def ask(asker: QARunner, **options: Any) -> Any:
    library, judge = options.pop("library", "mugs"), "scripted"
    reranker = options.pop("reranker", None)
    config = RunConfig(**options)
    return await asker.ask(QUESTION, answerer="looks", library=library, config=config, reranker=reranker, judge=judge)


def cited(record: Any) -> list[str]:
    return [one.title for one in record.citations]


async def test_by_similarity_unless_something_else_is_asked_for(asker: QARunner) -> None:
    assert cited(await ask(asker)) == ["near", "middle", "far"]


async def test_hybrid_orders_by_words_and_what_is_below_the_threshold_stays_out(asker: QARunner) -> None:
    record = await ask(asker, hybrid=True)
    assert cited(record) == ["far", "middle", "near"]
    library: Any = await asker.dependencies.library("mugs")
    assert set(library.ways) == {True}


async def test_a_library_that_knows_no_words_is_refused(asker: QARunner) -> None:
    with pytest.raises(UsageError, match="'plain' cannot be searched by words"):
        await ask(asker, library="plain", hybrid=True)


async def test_the_judge_orders_what_is_near_enough_and_its_call_is_a_call(asker: QARunner) -> None:
    judge: Any = asker.dependencies.judge("scripted")
    judge.enqueue_rankings([2, 0])
    record = await ask(asker, reranker="vlm")
    assert cited(record) == ["far", "near"]  # the middle one does not fit
    assert record.calls == {"rerank": 1, "answer": 1}


async def test_a_budget_goes_for_the_order_too(asker: QARunner) -> None:
    record = await ask(asker, reranker="vlm", max_calls=1)
    assert record.outcome is AnswerOutcome.BUDGET_EXHAUSTED
    assert record.calls == {"rerank": 1}


async def test_of_several_libraries_each_picture_is_held_to_its_own_threshold(asker: QARunner) -> None:
    other = Worded(name="low", threshold=0.05)
    other.plant({QUESTION: 0.2, "know mug": 0.2, "mug": 0.2}, sample_image("low"), title="low scale")
    asker.dependencies.use("library", "low", other)
    record = await ask(asker, library="mugs,low")
    assert cited(record) == ["near", "low scale", "middle", "far"]
