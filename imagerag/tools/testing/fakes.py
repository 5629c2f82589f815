"""Fakes of the ports, for tests of imagerag and of packages that build on it. No torch, no network.

A scripted fake returns responses from a queue: `judge.enqueue(0.5, True)`. If the queue is empty, it raises an error
that names the call. All calls are recorded in `calls`.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from imagerag.agent.feedback import split_feedback
from imagerag.agent.ports import (
    Capabilities,
    Captions,
    Critique,
    GeneratedImage,
    ImagePart,
    MissingConcepts,
    Preference,
    Ranking,
    ReferenceTemplate,
    SamplingParameter,
)
from imagerag.agent.rephrasing import Rephrased
from imagerag.agent.types import Concept, Requirement, RequirementCheck, SamplingParams, Size, Verdict
from imagerag.tools.testing.fake_describer import ScriptedDescriber
from imagerag.tools.testing.fake_ocr import ScriptedOcrReader
from imagerag.tools.testing.fake_stores import (
    HashEmbedder,
    MemoryBlobs,
    RecordedSearch,
    ScriptedLibrary,
    describe_image,
    sample_image,
)

__all__ = [
    "HashEmbedder",
    "Judgement",
    "MemoryBlobs",
    "RecordedSearch",
    "ScriptExhaustedError",
    "ScriptedDescriber",
    "ScriptedGenerator",
    "ScriptedJudge",
    "ScriptedLibrary",
    "ScriptedOcrReader",
    "describe_image",
    "sample_image",
]


class ScriptExhaustedError(AssertionError):
    """A fake was called more often than its script has responses."""


Judgement: TypeAlias = float | bool | Sequence[str] | Verdict | Critique | BaseException
"""Scripted judgement: a score, a bare yes or no, the missing concepts, a complete response, or an error to raise. True,
an empty list and a score of 1 are aligned."""


class _Script:
    """Queue and call record of the scripted fakes."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.calls: list[RecordedSearch] = []

    async def _called(self, method: str, **arguments: Any) -> None:
        self.calls.append(RecordedSearch(method, arguments))
        if self.latency_s:
            await asyncio.sleep(self.latency_s)

    def _next(self, queue: "deque[Any]", method: str) -> Any:
        if not queue:
            arguments = ", ".join(f"{name}={value!r}"[:80] for name, value in self.calls[-1].arguments.items())
            raise ScriptExhaustedError(
                f"{type(self).__name__} has no answer left for {method}({arguments}): enqueue more"
            )
        answer = queue.popleft()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ScriptedGenerator(_Script):
    """Generates a PNG in a colour of the prompt, unless something else is enqueued.

    Args:
        script: results of the first calls: bytes, a `GeneratedImage`, an error to raise, or None for the usual image.
        latency_s: duration of a call, in seconds.
    """

    def __init__(
        self,
        *script: bytes | GeneratedImage | BaseException | None,
        max_references: int = 4,
        supports_seed: bool = True,
        sizes: tuple[Size, ...] | None = None,
        template: ReferenceTemplate | None = None,
        identity: str = "scripted:generator",
        latency_s: float = 0,
    ) -> None:
        super().__init__(latency_s)
        self.identity, self.max_references, self.sizes = identity, max_references, sizes
        self.template = template or ReferenceTemplate()
        self.capabilities = Capabilities(supports_seed=supports_seed)
        self._queue = deque(script)

    def enqueue(self, *answers: bytes | GeneratedImage | BaseException | None) -> None:
        """Add results of the next calls."""
        self._queue.extend(answers)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """The next result of the script, otherwise an image that depends on prompt, references and seed."""
        await self._called("generate", prompt=prompt, references=references, variation=variation, size=size)
        answer = self._next(self._queue, "generate") if self._queue else None
        if isinstance(answer, GeneratedImage):
            return answer
        if answer is None:
            digests = "".join(hashlib.sha256(part.data).hexdigest() for part in references)
            answer = sample_image(
                f"{prompt}/{digests}/{variation.seed if self.capabilities.supports_seed else None}", size
            )
        return GeneratedImage(data=answer)


class ScriptedJudge(_Script):
    """Returns scripted judgements; see `Judgement`.

    `missing_concepts`, `captions` and `rephrase` have their own queues, and defaults if these are empty: the missing
    concepts of the last judgement, `a detailed picture of …`, and `…, in plain words`.

    Args:
        script: judgements of the first critiques; or a callable `(prompt, image) -> Judgement` for all of them.
        honours: the sampling parameters that it claims to support.
        latency_s: duration of a call, in seconds.
    """

    capabilities = Capabilities(takes_feedback=True)

    def __init__(
        self,
        *script: Judgement | Callable[[str, ImagePart], Judgement],
        honours: frozenset[SamplingParameter] = frozenset({"temperature"}),
        identity: str = "scripted:judge",
        latency_s: float = 0,
    ) -> None:
        super().__init__(latency_s)
        self.identity, self.honours = identity, honours
        self._rule = script[0] if len(script) == 1 and callable(script[0]) else None
        self._queue: deque[Any] = deque(() if self._rule else script)
        self._naming: deque[Any] = deque()
        self._captions: deque[Any] = deque()
        self._rewordings: deque[Any] = deque()
        self._preferences: deque[Any] = deque()
        self._rankings: deque[Any] = deque()
        self._lacking: tuple[str, ...] = ()

    def enqueue(self, *judgements: Judgement) -> None:
        """Add judgements of the next critiques."""
        self._queue.extend(judgements)

    def enqueue_missing(self, *answers: Sequence[str] | BaseException) -> None:
        """Add results of the next `missing_concepts`, or errors to raise; an empty list names nothing."""
        self._naming.extend(answers)

    def enqueue_captions(self, *answers: Sequence[str] | BaseException) -> None:
        """Add results of the next `captions`, each a list with one caption per concept."""
        self._captions.extend(answers)

    def enqueue_rephrased(self, *answers: str | BaseException) -> None:
        """Add results of the next `rephrase`."""
        self._rewordings.extend(answers)

    def enqueue_preferences(self, *answers: Literal["first", "second", "neither"] | BaseException) -> None:
        """Add results of the next `compare`."""
        self._preferences.extend(answers)

    def enqueue_rankings(self, *answers: Sequence[int] | BaseException) -> None:
        """Add results of the next `choose`: indices, best first."""
        self._rankings.extend(answers)

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
        """The next judgement, as a verdict in the requested mode."""
        await self._called(
            "critique",
            prompt=prompt,
            image=image,
            subjects=subjects,
            requirements=requirements,
            mode=mode,
            variation=variation,
            max_tokens=max_tokens,
            language=language,
        )
        reply = self._rule(prompt, image) if self._rule else self._next(self._queue, "critique")
        if isinstance(reply, BaseException):
            raise reply
        critique = reply if isinstance(reply, Critique) else _critique(reply, tuple(requirements), mode, prompt)
        texts = tuple(concept.text for concept in critique.verdict.missing)
        self._lacking = texts if isinstance(reply, (bool, float, int, Verdict, Critique)) else tuple(reply)
        return critique

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """The next result of its script, otherwise the missing concepts of the last judgement."""
        arguments = {"prompt": prompt, "image": image, "verdict": verdict, "variation": variation, "subjects": subjects}
        await self._called("missing_concepts", **arguments)
        texts = self._next(self._naming, "missing_concepts") if self._naming else self._lacking
        return MissingConcepts(concepts=tuple(Concept(text=text) for text in texts), raw="; ".join(texts))

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
        """The next result of its script, otherwise `a detailed picture of …` for each concept."""
        arguments = {"prompt": prompt, "concepts": concepts, "max_tokens": max_tokens, "variation": variation}
        await self._called("captions", **arguments, image=image, verdict=verdict, subjects=subjects, language=language)
        if self._captions:
            return Captions(captions=tuple(self._next(self._captions, "captions")))
        return Captions(captions=tuple(f"a detailed picture of {concept.text}" for concept in concepts))

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """The next result of its script, otherwise `PROMPT, in plain words`."""
        await self._called("rephrase", prompt=prompt, variation=variation)
        words = self._next(self._rewordings, "rephrase") if self._rewordings else f"{prompt}, in plain words"
        return Rephrased(prompt=words, raw=words)

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """The next result of its script, otherwise a tie."""
        await self._called("compare", prompt=prompt, first=first, second=second)
        return Preference(better=self._next(self._preferences, "compare") if self._preferences else "neither")

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """The next result of its script, otherwise all images in their order."""
        await self._called("choose", query=query, images=images)
        order = self._next(self._rankings, "choose") if self._rankings else range(len(images))
        return Ranking(order=tuple(order), raw=", ".join(map(str, order)))


def _critique(
    reply: float | bool | Sequence[str] | Verdict, requirements: tuple[Requirement, ...], mode: str, prompt: str
) -> Critique:
    if isinstance(reply, Verdict):
        return Critique(verdict=reply, requirements=requirements, raw=reply.raw)
    aligned = reply >= 1 if isinstance(reply, (bool, int, float)) else not reply
    if isinstance(reply, bool) or mode == "stepwise":
        return Critique(
            verdict=Verdict(aligned=aligned, raw="yes" if aligned else "no"), raw="yes" if aligned else "no"
        )
    if isinstance(reply, (int, float)):
        raw = f"{reply:g}"
        return Critique(verdict=Verdict(aligned=aligned, score=reply, raw=raw), requirements=requirements, raw=raw)
    if not any(requirement.of_prompt for requirement in requirements):
        words, feedback = split_feedback(prompt)
        own = (Requirement(text=words), *(Requirement(text=text) for text in reply if text not in feedback))
        requirements = (*own, *requirements)
    checks = tuple(
        RequirementCheck(requirement=requirement, met=requirement.text not in reply) for requirement in requirements
    )
    score = sum(check.met for check in checks) / len(checks)
    verdict = Verdict(
        aligned=aligned,
        score=score if not aligned else 1.0,
        checks=checks,
        missing=tuple(Concept(text=text, caption=f"a detailed picture of {text}") for text in reply),
        raw="; ".join(reply),
    )
    return Critique(verdict=verdict, requirements=requirements, raw=verdict.raw)
