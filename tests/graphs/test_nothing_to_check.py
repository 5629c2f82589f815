"""A prompt of which nothing can be checked is neither aligned nor not aligned, whatever judge looks."""

from typing import Any

import pytest

from imagerag import Outcome
from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.ports import ImagePart
from imagerag.agent.prompts import says_something
from imagerag.agent.types import Requirement, SamplingParams
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.judges.vlm.structured_verdict import parse_critique
from imagerag.tools.registry import make_embedder
from imagerag.tools.sketch.judge import sketch_clip_judge
from imagerag.tools.testing.fakes import sample_image

WORDLESS = ["???", "!", "…", "-- --", "¿?", "«»", "***", "\u200d?"]


@pytest.mark.parametrize("prompt", WORDLESS)
async def test_without_words_no_judge_is_asked(bench: Any, prompt: str) -> None:
    bench.judge.enqueue([])
    record = await bench.run(prompt)
    assert record.outcome is Outcome.JUDGE_UNAVAILABLE
    assert "can be checked" in record.reason
    assert record.calls == {"generate": 1}
    assert record.attempts[0].verdict.aligned is None
    assert record.attempts[0].verdict.score is None


@pytest.mark.parametrize("prompt", ["猫", "кот", "7", "🐱", "☀", "a?", "Ⅻ", "नमस्ते"])
def test_letters_digits_and_pictographs_say_something(prompt: str) -> None:
    assert says_something(prompt)


@pytest.mark.parametrize(
    "prompt", [*WORDLESS, "our office mascot", "draw something", "一只猫", "in the style of Van Gogh"]
)
@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_the_sketch_judge_abstains_where_it_knows_no_word(prompt: str, mode: Any) -> None:
    found = await _asked(sketch_clip_judge(make_embedder("sketch")), prompt, mode=mode)
    assert (found.status, found.aligned, found.score) == ("abstained", None, None)
    assert found.reason.startswith("nothing of the prompt can be checked")


async def test_the_clip_judge_abstains_where_there_are_no_words() -> None:
    found = await _asked(ClipJudge(make_embedder("sketch")), "???")
    assert (found.status, found.aligned) == ("abstained", None)


@pytest.mark.parametrize("prompt", ["a red zorple", "a red solid circle and our office mascot"])
async def test_what_the_sketch_judge_does_not_know_is_never_met(prompt: str) -> None:
    found = await _asked(sketch_clip_judge(make_embedder("sketch")), prompt, requirement=prompt)
    assert found.aligned is not True
    assert not any(check.met for check in found.checks if "zorple" in check.requirement.text)


async def test_a_known_thing_with_an_unknown_word_is_still_judged() -> None:
    found = await _asked(sketch_clip_judge(make_embedder("sketch")), "a beautiful red solid circle")
    assert found.status == "judged"


def test_a_models_checklist_of_marks_alone_is_none() -> None:
    with pytest.raises(JudgeReplyError, match="checklist is empty"):
        parse_critique('{"checks": [{"requirement": "???", "met": true}]}', ())


async def _asked(judge: ClipJudge, prompt: str, *, mode: Any = "fused", requirement: str = "") -> Any:
    requirements = (Requirement(text=requirement),) if requirement else ()
    seen = ImagePart(data=sample_image("anything"), media_type="image/png")
    answer = await judge.critique(
        prompt, seen, subjects=(), requirements=requirements, mode=mode, variation=SamplingParams()
    )
    return answer.verdict
