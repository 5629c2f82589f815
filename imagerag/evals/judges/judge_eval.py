"""Evaluate a judge on questions with known answers, several at a time.

The questions are about captioned images of a library (`library_questions`) or about generated ones
(`generated_questions`). Repeats measure how often a judge contradicts itself.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from imagerag.agent.errors import BackendError
from imagerag.agent.ports import Judge
from imagerag.evals.judges.judge_score import (
    Answered,
    JudgeEval,
    concept_scores,
    kind_scores,
    named_rate,
    verdict_on,
)
from imagerag.evals.judges.questions import JudgeAnswer, JudgeQuestion, Mode, ask
from imagerag.evals.statistics.estimators import require_scipy

CONCURRENCY: Final = 4
Progress = Callable[[int, int], None]


async def evaluate_judge(
    judge: Judge,
    questions: Sequence[JudgeQuestion],
    *,
    library: str | None = None,
    repeats: int = 1,
    mode: Mode = "stepwise",
    concepts: bool = True,
    synonyms: Mapping[str, str] = {},
    progress: Progress = lambda count, total: None,
) -> JudgeEval:
    """Ask every question and score the answers.

    Args:
        library: library of the images; None for generated images.
        repeats: number of requests for each question.
        mode: "stepwise" requests a yes or no, as in the paper.
        concepts: after a no without a list, request the missing concepts with one more call.
        synonyms: further synonyms, see `concept_match`.
        progress: called with the number of answers so far and in all.
    """
    require_scipy()  # check before a call is paid
    gate, count, total = asyncio.Semaphore(CONCURRENCY), 0, len(questions) * repeats
    progress(0, total)

    async def answer(question: JudgeQuestion, repeat: int) -> JudgeAnswer:
        nonlocal count
        async with gate:
            reply = await ask(judge, question, mode=mode, attempt=repeat, concepts=concepts)
        count += 1
        progress(count, total)
        return reply

    tasks = [(question, repeat) for question in questions for repeat in range(repeats)]
    first = await answer(*tasks[0])
    if isinstance(first.error, BackendError) and first.verdict is None:
        answered: list[Answered] = [(questions[0], [first])]  # a judge that is down is not asked all the rest
    else:
        answers = [first, *await asyncio.gather(*(answer(*one) for one in tasks[1:]))]
        answered = [(question, answers[at * repeats : (at + 1) * repeats]) for at, question in enumerate(questions)]
    pairs = [(question, answer) for question, answers in answered for answer in answers]
    costs, scores = [answer.cost_usd for _, answer in pairs], kind_scores(answered, synonyms)
    return JudgeEval(
        judge=judge.identity,
        library=library,
        mode=mode,
        classes=list(dict.fromkeys(question.there for question in questions)) if library else [],
        repeats=repeats,
        verdict=verdict_on((question.aligned, answer.aligned) for question, answer in pairs),
        kinds=scores,
        named_rate=named_rate(answered, scores) if concepts else None,
        concepts=concept_scores(answered, synonyms) if concepts else None,
        cost_usd=None if None in costs else round(sum(cost for cost in costs if cost is not None), 12),
        problem=next((answer.problem for _, answer in pairs if answer.problem), ""),
    )
