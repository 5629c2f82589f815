"""Voting of a judge: repeat a question until the majority is certain."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from imagerag.agent.errors import BackendError, JudgeReplyError
from imagerag.agent.types import SamplingParams, Verdict
from imagerag.tools.judges.vlm import prompts
from imagerag.tools.judges.vlm.chat_protocol import ChatResponse

REPEATED: Final = 1 / 3
"""Sampling temperature of votes that repeat an already used wording."""


async def ask_votes(
    again: Callable[[SamplingParams], Awaitable[None]],
    votes: int,
    is_decided: Callable[[], bool],
    first: SamplingParams,
) -> int:
    """Repeat a question until the majority is certain.

    A failed vote counts for neither side, because the earlier responses are already paid for.

    Args:
        again: repeats the question with other sampling parameters, and keeps the response.
        votes: maximum number of responses, the first one included.
        is_decided: whether the majority is certain.
        first: the sampling parameters of the first response.

    Returns:
        Number of requests in all, failed ones included.
    """
    for nth in range(1, votes):
        if is_decided():
            return nth
        seed = (first.seed or 0) + nth
        # At temperature 0 the same wording gets the same response, which would be counted twice.
        temperature = first.temperature if nth < prompts.WORDINGS else REPEATED
        fields = {"seed": seed, "prompt_variant": first.prompt_variant + nth, "temperature": temperature}
        other = first.model_copy(update=fields)
        try:
            await again(other)
        except (JudgeReplyError, BackendError):
            continue
    return votes


def with_notes(verdict: Verdict, replies: Sequence[ChatResponse]) -> Verdict:
    """The verdict, with the notes of the responses added to its reason, each once."""
    notes = dict.fromkeys(reply.note for reply in replies if reply.note)
    return verdict.model_copy(update={"reason": "; ".join([verdict.reason, *notes])}) if notes else verdict
