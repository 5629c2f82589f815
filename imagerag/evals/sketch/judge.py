"""The section `judge`: does the judge see what is there? Questions about generated pictures, one check each."""

from imagerag.agent.ports import Judge
from imagerag.evals.judges.generated_questions import KINDS, Question, questions
from imagerag.evals.judges.questions import JudgeAnswer, ask
from imagerag.evals.sketch.context import Lab
from imagerag.evals.sketch.report_document import Case, unscored
from imagerag.evals.sketch.synthetic_images import named, said


async def judging(lab: Lab) -> list[Case]:
    """Every kind of question, `lab.cases` of each."""
    lab.begin("judge", len(KINDS) * lab.cases)
    found = []
    for name, question in questions(lab.seed, lab.cases):
        found.append(await answered(lab.judge, name, question))
        lab.tell()
    return found


async def answered(judge: Judge, id: str, question: Question) -> Case:
    """Put one question to the judge and score its answer; one that abstains is not scored."""
    kind = id.split("/")[1]
    right, names = f"judge.{kind}", f"judge.{kind}.named"
    metrics = (right,) if question.missing is None else (right, names)
    try:
        answer = await ask(judge, question.for_judge(kind), mode="fused")
        if answer.error is not None:
            raise answer.error
    except Exception as error:
        return unscored(id, question.prompt, metrics, error)
    assert answer.verdict is not None, "without one there is an error"
    if answer.aligned is None:
        reason = answer.verdict.reason
        return Case(id=id, asked=question.prompt, results=dict.fromkeys(metrics), note=reason, error="abstained")
    results = {right: answer.aligned == question.aligned}
    if question.missing is not None:
        results[names] = {thing for text in answer.named for thing in named(text)} == question.missing
    note = "" if all(results.values()) else _note(question, answer)
    return Case(id=id, asked=question.prompt, results=results, note=note)


def _note(question: Question, answer: JudgeAnswer) -> str:
    assert answer.verdict is not None, "only answers with one are scored"
    checks = "; ".join(f"{check.requirement.text}: {'met' if check.met else 'not met'}, {check.evidence}"
                       for check in answer.verdict.checks)  # fmt: skip
    shown = f"shows {said(question.scene.things)} on {question.scene.background}"
    return f"{shown}. {checks or answer.verdict.reason}"
