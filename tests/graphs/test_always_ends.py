"""Whatever models and libraries do, a run ends by name, within its step limit, with its best attempt."""

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.serde.types import ERROR

from imagerag.agent.errors import AuthError, BackendError, JudgeReplyError, RefusalError
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.types import Outcome
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary

concepts = st.lists(st.sampled_from(["a heart", "a star", "oil painting", "The Heart", "x" * 300]), max_size=4)
errors = st.sampled_from(
    [BackendError("500"), AuthError("key"), RefusalError("no"), JudgeReplyError("?", raw="?"), RuntimeError("bug")]
)
judgements = st.one_of(concepts, st.floats(0, 1), st.booleans(), errors)
config = st.fixed_dictionaries(
    {},
    optional={
        "max_rounds": st.integers(0, 4),
        "max_references": st.integers(1, 4),
        "threshold": st.sampled_from(["auto", "off", 0.0, 1.0]),
        "judge_mode": st.sampled_from(["fused", "stepwise"]),
        "start": st.sampled_from(["generate", "retrieve"]),
        "max_calls": st.integers(1, 12),
    },
)


@settings(deadline=None, max_examples=60)
@given(
    verdicts=st.lists(judgements, min_size=1, max_size=12),
    named=st.lists(st.one_of(concepts, errors), max_size=12),
    drawn=st.lists(st.one_of(st.none(), st.just(b"no image"), errors), max_size=6),
    planted=st.lists(st.tuples(concepts.filter(bool), st.floats(-1, 1)), max_size=5),
    options=config,
)
@example(  # one picture is found for two things, and is said to have helped with both
    verdicts=[0.0],
    named=[["a heart"], ["a star"]],
    drawn=[],
    planted=[(["a heart"], 0.0), (["a heart"], 1.0)],
    options={"threshold": "off", "start": "retrieve"},
)
def test_a_run_always_ends_by_name(
    new_bench: Any, verdicts: list[Any], named: list[Any], drawn: list[Any], planted: list[Any], options: dict[str, Any]
) -> None:
    bench = new_bench(generator=ScriptedGenerator(*drawn), judge=ScriptedJudge())
    # The last judgement is repeated for ever: a script that runs out would end a run that should go on.
    bench.judge.enqueue(*verdicts, *[verdicts[-1]] * 60)
    bench.judge.enqueue_missing(*named)
    bench.library = ScriptedLibrary(context_length=20)
    for texts, similarity in planted:
        bench.library.plant({f"a detailed picture of {text}": similarity for text in texts})
    record = asyncio.run(bench.run("a heart and a star", **options))

    assert isinstance(record.outcome, Outcome)
    assert record.reason
    judged = [attempt.verdict for attempt in record.attempts if attempt.verdict]
    assert (record.outcome is Outcome.ALIGNED) == any(verdict.aligned is True for verdict in judged)
    if record.attempts:
        assert record.attempts[record.best_attempt] in best_attempts(record.attempts)
    else:
        assert record.outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.BUDGET_EXHAUSTED)
    assert len(record.attempts) <= options.get("max_rounds", 3) + 1
    assert len(record.call_log) <= options.get("max_calls", 10**6)
    for attempt in record.attempts:
        assert len(attempt.references) <= options.get("max_references", 4)
        shas = [reference.image.sha256 for reference in attempt.references]
        assert len(shas) == len(set(shas))


@pytest.mark.parametrize(
    "argument", ["wrong key sk-0123456789abcdefghijkl" + "x" * 100_000, b"\x89PNG" * 10_000, "half \ud800"]
)
async def test_no_checkpointer_is_given_a_secret_or_an_image_in_an_error(new_bench: Any, argument: Any) -> None:
    bench = new_bench(generator=ScriptedGenerator(RuntimeError(argument)))
    record = await bench.run()
    assert record.outcome is Outcome.FAILED
    (error,) = [
        bench.saver.serde.loads_typed(value)
        for writes in bench.saver.writes.values()
        for _, channel, value, _ in writes.values()
        if channel == ERROR
    ]
    assert error.startswith("RuntimeError(")
    assert len(error) < 5_000
    assert "sk-0123456789" not in error
    assert "PNG" not in error
