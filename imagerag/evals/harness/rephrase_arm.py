"""The arm `rephrase`: redraw from a rephrased prompt, without references and without judging.

As in the paper's ablation (tables 3 and 8): a clear prompt is kept with its first image. Rare words are replaced by
descriptions, and the image generated from the new prompt is returned, whether it is better or worse.
"""

from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.errors import BackendError
from imagerag.agent.outcomes import result_from_error
from imagerag.agent.rephrasing import Rephrased, Rephraser
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, RunResult
from imagerag.evals.harness.arm_context import ArmContext, initial_attempt
from imagerag.evals.retries import parsed_or_retried


async def rephrase(job: ArmContext) -> RunRecord:
    """Rephrase the prompt, and return the image generated from it."""
    attempts = [initial_attempt(job)]
    try:
        words, by = await reworded(job)
        if _same(words, job.case.prompt):
            return job.record(attempts, RunResult(outcome=Outcome.BEST_EFFORT, reason=f"{by}: the first image stays"))
        attempts.append(await job.draw(words, round=1))
    except Exception as error:
        job.model_caller().made.extend(call for call in calls_from_error(error) if call not in job.model_caller().made)
        drawing = isinstance(error, BackendError) and bool(job.model_caller().made)
        return job.record(attempts, result_from_error(error, "regenerate" if drawing else "critique"))
    reason = f"drawn from other words, and not looked at: {words}"
    return job.record(attempts, RunResult(outcome=Outcome.BEST_EFFORT, reason=reason), best=1)


async def reworded(job: ArmContext) -> tuple[str, str]:
    """The rephrased prompt and its origin: the case, else the judge's model."""
    prompt, judge = job.case.prompt, job.dependencies.judge(job.setup.judge)
    if job.case.rephrased:
        return job.case.rephrased, "the case words its prompt alike"
    if not isinstance(judge, Rephraser):
        return prompt, f"{judge.identity} words nothing"
    answer = await parsed_or_retried(
        job.model_caller(), judge, "judge.rephrase", Rephrased, {"prompt": prompt},
        lambda variation: judge.rephrase(prompt, variation=variation),
    )  # fmt: skip
    return answer.prompt, "the prompt is clear as it is"


def _same(words: str, prompt: str) -> bool:
    one, other = (" ".join(text.casefold().split()).rstrip(".") for text in (words, prompt))
    return one == other
