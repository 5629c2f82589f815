"""A clock that was set back between a kill and the resume makes no duration negative."""

from imagerag.agent.qa import qa_record
from imagerag.agent.run_record import _elapsed
from imagerag.agent.types import ModelCall, Outcome, RunResult

LATER, EARLIER = "2026-11-30T10:00:00.000+00:00", "2026-11-29T10:00:07.000+00:00"


def test_a_run_that_ended_before_it_began_took_as_long_as_its_calls() -> None:
    calls = [ModelCall(role="generate", backend="b", elapsed_s=2.5)]
    result = RunResult(outcome=Outcome.ALIGNED, reason="", at=EARLIER)
    assert _elapsed(LATER, result, calls) == 2.5
    assert _elapsed(EARLIER, result.model_copy(update={"at": LATER}), calls) == 86393
    assert qa_record._elapsed(LATER, EARLIER) == 0
