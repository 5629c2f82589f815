"""Whatever a run did and whatever a library holds, the whole answer stays small: text, data, links and thumbnail."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Hit
from imagerag.agent.qa.qa_record import AnswerRecord, CitedSource
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, ImageRef, Outcome, UsedReference
from imagerag.assistants.image_blocks import MAX_BYTES, Thumbnail
from imagerag.assistants.run_results import error_result, run_result
from imagerag.assistants.search_text import format_answer, format_search
from imagerag.assistants.tool_reports import answer_report, search_report
from imagerag.assistants.tool_result import ToolResult
from imagerag.mcp.jobs import Job
from imagerag.mcp.responses import MAX_RESULT, job_answer, reply, still_running
from tests.assistants.test_texts import nasty, records

HEAVY = "\U0001f408" * 50_000
"""Four bytes a letter, and many of them."""

IMAGE = ImageRef(sha256="ab" * 32, media_type="image/png", width=10**9, height=10**9)


async def small(*_: Any) -> Thumbnail:
    """The heaviest small copy there is."""
    return Thumbnail(data=bytes(MAX_BYTES), media_type="image/jpeg", width=1024, height=1024)


SERVICE: Any = SimpleNamespace(thumbnail=small)


async def size(answer: ToolResult) -> int:
    """Bytes of an answer as the SDK sends it, its thumbnail included."""
    result = await reply(SERVICE, answer, thumbnail=True)
    return len(result.model_dump_json(by_alias=True).encode())


def heavy_reference() -> UsedReference:
    texts = dict.fromkeys(("concept", "caption", "title", "source", "author", "licence"), HEAVY)
    return UsedReference(image=IMAGE, similarity=-0.123456789, **texts)


def heavy_run(outcome: Outcome | None, attempts: int, references: int, offered: int) -> RunRecord:
    offer = {"id": IMAGE.sha256, "similarity": 0.5} | dict.fromkeys(("concept", "title", "caption", "licence"), HEAVY)
    used = [heavy_reference()] * references
    return RunRecord(
        run_id="x" * 100,
        status="ended" if outcome else "interrupted",
        prompt=HEAVY[:1000],
        outcome=outcome,
        reason=HEAVY,
        image={**IMAGE.model_dump(), "path": "/" + "\U0001f408" * 4_095},
        best_attempt=0,
        attempts=[
            Attempt(index=at, round=at, prompt=HEAVY, image=IMAGE, references=tuple(used[:16]))
            for at in range(attempts)
        ],
        unresolved=[HEAVY] * 100,
        references=used,
        has_unknown_cost=[HEAVY] * 100,
        question=None if outcome else {"limit": 16, "candidates": [offer | {"number": at} for at in range(offered)]},
    )


@given(record=records())
@settings(max_examples=8, deadline=None)
async def test_any_run_goes_over_the_wire_small(record: RunRecord) -> None:
    answer = run_result(record)
    assert await size(answer) <= MAX_RESULT
    assert await size(job_answer(answer, 120)) <= MAX_RESULT


@given(
    outcome=st.none() | st.sampled_from(list(Outcome)),
    attempts=st.sampled_from([1, 20]),
    references=st.sampled_from([0, 16, 100]),
    offered=st.sampled_from([1, 40, 800]),
)
@settings(max_examples=12, deadline=None)
async def test_a_run_with_many_attempts_and_long_texts_does(
    outcome: Outcome | None, attempts: int, references: int, offered: int
) -> None:
    assert await size(run_result(heavy_run(outcome, attempts, references, offered))) <= MAX_RESULT


async def test_a_search_of_a_hundred_hits_does() -> None:
    texts = dict.fromkeys(("title", "caption", "source", "author", "licence"), HEAVY)
    hit = Hit(image=IMAGE, similarity=0.123456789, vector=None, tags=(HEAVY,) * 99, metadata={HEAVY: HEAVY}, **texts)
    found = search_report(HEAVY, 0.5, [hit] * 100, note=HEAVY)
    answer = ToolResult(text=format_search(found), data=found.model_dump(mode="json"), images=(IMAGE,) * 100)
    assert await size(answer) <= MAX_RESULT


async def test_an_answer_with_a_thousand_citations_does() -> None:
    cited = CitedSource(number=1, id="ab" * 32, title=HEAVY, similarity=0.5, licence=HEAVY, supports=HEAVY)
    record = AnswerRecord(
        thread_id="t" * 200, turn=1, question=HEAVY, outcome=AnswerOutcome.ANSWERED, answer=HEAVY, in_library=True,
        reason=HEAVY, citations=[cited] * 1_000, retrieved=[], has_unknown_cost=[HEAVY] * 100,
    )  # fmt: skip
    found = answer_report(record)
    assert await size(ToolResult(text=format_answer(found), data=found.model_dump(mode="json"))) <= MAX_RESULT


@given(words=nasty)
@settings(max_examples=15, deadline=None)
async def test_errors_and_runs_under_way_do(words: str) -> None:
    job = Job("x" * 100)
    for answer in (error_result(UsageError(words)), still_running(job), job_answer(job, 120)):
        assert await size(answer) <= MAX_RESULT
