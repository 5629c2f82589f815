"""Choosing between attempts that are equally good: the judge is asked which fits better, in both orders."""

from functools import partial

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.errors import ImageRAGError
from imagerag.agent.feedback import requested
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.ports import Judge, Preference
from imagerag.agent.sent_images import ImageParts
from imagerag.agent.state import RunState
from imagerag.agent.types import Attempt


async def preferred_attempt(
    judge: Judge, parts: ImageParts, calls: ModelCaller, state: RunState, *, compare: bool
) -> Attempt | None:
    """The best attempt of a run; None when there is none.

    Args:
        compare: ask the judge where several are equally good; otherwise it is the first of them.
    """
    equals = best_attempts(state.get("attempts") or [])
    best = equals[0] if equals else None
    for rival in equals[1:] if compare else ():
        if best and await _prefers(judge, parts, calls, requested(state), rival, best):
            best = rival
    return best


async def _prefers(
    judge: Judge, parts: ImageParts, calls: ModelCaller, prompt: str, rival: Attempt, best: Attempt
) -> bool:
    """Whether the judge puts `rival` before `best` in both orders; a judge that cannot say leaves things be."""

    async def better(first: Attempt, second: Attempt) -> str:
        one, two = await parts.image(first.image), await parts.image(second.image)
        content = {"prompt": prompt, "images": [first.image.sha256, second.image.sha256]}
        ask = partial(judge.compare, prompt, one, two)
        return (await calls.execute("judge.compare", judge.identity, Preference, content, ask)).better

    try:
        return await better(best, rival) == "second" and await better(rival, best) == "first"
    except ImageRAGError:
        return False
