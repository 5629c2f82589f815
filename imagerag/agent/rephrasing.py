"""A prompt in other words: what some judges can write, beside looking at images."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from imagerag.agent.ports import ModelResponse
from imagerag.agent.types import SamplingParams


@dataclass(frozen=True, kw_only=True)
class Rephrased(ModelResponse):
    """A prompt in words that an image generator knows; the prompt itself where all of its words are clear."""

    prompt: str


@runtime_checkable
class Rephraser(Protocol):
    """A judge that words a prompt anew; not every judge does."""

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """Say the prompt so that rare words become descriptions of what they look like.

        Raises:
            RefusalError: content policy.
            BackendError: the model did not answer.
            JudgeReplyError: its answer is no prompt.
        """
        ...
