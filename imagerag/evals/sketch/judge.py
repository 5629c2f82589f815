"""Section `judge`: one check for each question to the judge about a generated image."""

from collections.abc import AsyncIterator
from typing import Any

from imagerag.agent.ports import Judge
from imagerag.evals.check_record import Check, unscored_check
from imagerag.evals.judges.generated_questions import KINDS, Question, questions
from imagerag.evals.judges.questions import JudgeAnswer, ask
from imagerag.evals.sketch.context import CheckContext
from imagerag.evals.synthetic_images import caption_text, things_in_text


async def check_judge(context: CheckContext) -> AsyncIterator[Check]:
    """Ask every kind of question, `context.cases` of each."""
    context.begin("judge", len(KINDS) * context.cases)
    for name, question in questions(context.seed, context.cases):
        if context.wants(name):
            yield await judge_answer(context.judge, name, question)
        context.step()


async def judge_answer(judge: Judge, id: str, question: Question) -> Check:
    """Ask the judge one question and score its verdict; a judge that abstains is not scored."""
    kind = id.split("/")[1]
    right, names = f"judge.{kind}", f"judge.{kind}.named"
    metrics = (right,) if question.missing is None else (right, names)
    try:
        answer = await ask(judge, question.for_judge(kind), mode="fused")
    except Exception as error:  # an error inside the judge counts as one request at no cost, as in a run
        return unscored_check(id, question.prompt, metrics, error, calls=1)
    costs: Any = {"calls": answer.calls, "cost_usd": answer.cost_usd}
    if answer.error is not None:
        return unscored_check(id, question.prompt, metrics, answer.error, **costs)
    assert answer.verdict is not None, "without one there is an error"
    if answer.aligned is None:
        reason = answer.verdict.reason
        return Check(
            id=id, prompt=question.prompt, results=dict.fromkeys(metrics), note=reason, error="abstained", **costs
        )
    results = {right: answer.aligned == question.aligned}
    if question.missing is not None:
        results[names] = {thing for text in answer.named for thing in things_in_text(text)} == question.missing
    note = "" if all(results.values()) else _note(question, answer)
    return Check(id=id, prompt=question.prompt, results=results, note=note, **costs)


def _note(question: Question, answer: JudgeAnswer) -> str:
    assert answer.verdict is not None, "only answers with one are scored"
    checks = "; ".join(f"{check.requirement.text}: {'met' if check.met else 'not met'}, {check.evidence}"
                       for check in answer.verdict.checks)  # fmt: skip
    content = f"shows {caption_text(question.scene.things)} on {question.scene.background}"
    return f"{content}. {checks or answer.verdict.reason}"
