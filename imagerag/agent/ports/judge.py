"""The port of judges."""

from collections.abc import Sequence
from typing import Literal, Protocol

from imagerag.agent.ports.generator import ImagePart
from imagerag.agent.ports.responses import Captions, Critique, MissingConcepts, Preference, Ranking
from imagerag.agent.types import Concept, Requirement, SamplingParams, Verdict

SamplingParameter = Literal["temperature", "seed", "prompt_variant"]


class Judge(Protocol):
    """Judges images against prompts.

    Every method may raise RefusalError, BackendError, or JudgeReplyError when a response could not be parsed.
    Its `capabilities` are optional (see `Capabilities`). With `sees_references`, `subjects` of every method holds all
    images that the judged one was drawn with, in the order they were sent (their `role` tells them apart), and
    `requirements` may have some with an `image`: those compare the judged image with one of these, by its number
    from 1. With `takes_feedback`, some may be of kind "feedback": the user's own words about an earlier image, which
    the prompt has, too. Where all of them are of these two sorts (`Requirement.of_prompt` is false), the judge makes
    the checklist of the prompt itself, and puts them at its end.

    Attributes:
        identity: `provider:model`.
        honours: which variations change its responses.
    """

    @property
    def identity(self) -> str: ...
    @property
    def honours(self) -> frozenset[SamplingParameter]: ...

    async def critique(
        self,
        prompt: str,
        image: ImagePart,
        *,
        subjects: Sequence[ImagePart],
        requirements: Sequence[Requirement],
        mode: Literal["fused", "stepwise"],
        variation: SamplingParams,
        max_tokens: int | None = None,
        language: str = "",
    ) -> Critique:
        """Judge `image` against `prompt`, on the checklist `requirements` (empty: make one).

        A fused judge writes captions too: `max_tokens` is what the library's encoder reads of one, when known;
        `language` is as in `captions`.
        """
        ...

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """Name what of the prompt is missing in the image, content and style. Follows the verdict."""
        ...

    async def captions(
        self,
        prompt: str,
        concepts: Sequence[Concept],
        *,
        max_tokens: int,
        variation: SamplingParams,
        image: ImagePart | None = None,
        verdict: Verdict | None = None,
        subjects: Sequence[ImagePart] = (),
        language: str = "",
    ) -> Captions:
        """Write one detailed, stand-alone caption per concept, each within `max_tokens` of the library's encoder.

        Only a judge whose capabilities have `takes_language` is given the `language` of the library's captions, a BCP
        47 tag; without one it is free.
        `image`, `verdict` and `subjects` are the conversation so far, for judges that hold one.
        """
        ...

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """Say which of two images fits the prompt better."""
        ...

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """Rank candidate references for `query`, by their pixels and captions."""
        ...
