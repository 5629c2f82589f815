"""Fakes of the ports, for tests: ours, and those of anyone who builds on imagerag. No torch, no network.

A scripted fake answers from a queue: `judge.enqueue(0.5, True)`. One that runs out of script fails loudly and names
the call. Everything that was asked is kept in `calls`.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

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
    "ScriptedGenerator",
    "ScriptedJudge",
    "ScriptedLibrary",
    "describe_image",
    "sample_image",
]


class ScriptExhaustedError(AssertionError):
    """A fake was asked more often than its script has answers."""


Judgement: TypeAlias = float | bool | Sequence[str] | Verdict | Critique | BaseException
"""What a scripted judge finds: a score, a bare yes or no, the concepts that are missing, a whole answer, or an error to
raise. True and an empty list are aligned; so is a score of 1."""


class _Script:
    """The queue and the record that the scripted fakes share."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.calls: list[RecordedSearch] = []

    async def _called(self, method: str, **arguments: Any) -> None:
        self.calls.append(RecordedSearch(method, arguments))
        if self.latency_s:
            await asyncio.sleep(self.latency_s)

    def _next(self, queue: "deque[Any]", method: str) -> Any:
        if not queue:
            asked = ", ".join(f"{name}={value!r}"[:80] for name, value in self.calls[-1].arguments.items())
            raise ScriptExhaustedError(f"{type(self).__name__} has no answer left for {method}({asked}): enqueue more")
        answer = queue.popleft()
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ScriptedGenerator(_Script):
    """Draws a PNG in the prompt's colour, unless something else is enqueued.

    Args:
        script: what the first calls give: bytes, a `GeneratedImage`, an error to raise, or None for the usual image.
        latency_s: how long a call takes, in seconds.
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
        """Add what the next calls give."""
        self._queue.extend(answers)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """The next of the script, else an image that depends on prompt, references and seed."""
        await self._called("generate", prompt=prompt, references=references, variation=variation, size=size)
        answer = self._next(self._queue, "generate") if self._queue else None
        if isinstance(answer, GeneratedImage):
            return answer
        if answer is None:
            sent = "".join(hashlib.sha256(part.data).hexdigest() for part in references)
            answer = sample_image(
                f"{prompt}/{sent}/{variation.seed if self.capabilities.supports_seed else None}", size
            )
        return GeneratedImage(data=answer)


class ScriptedJudge(_Script):
    """Answers from a script of judgements; see `Judgement`.

    `missing_concepts`, `captions` and `rephrase` have queues of their own, and answer without a script, too: with what
    the last judgement called missing, with `a detailed picture of …`, and with `…, in plain words`.

    Args:
        script: what the first critiques find; or one callable `(prompt, image) -> Judgement` for all of them.
        honours: which variations it claims to honour.
        latency_s: how long a call takes, in seconds.
    """

    capabilities = Capabilities()

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
        """Add what the next critiques find."""
        self._queue.extend(judgements)

    def enqueue_missing(self, *answers: Sequence[str] | BaseException) -> None:
        """Add what the next `missing_concepts` name, or raise; an empty list names nothing."""
        self._naming.extend(answers)

    def enqueue_captions(self, *answers: Sequence[str] | BaseException) -> None:
        """Add the next answers of `captions`, each a list with one caption per concept."""
        self._captions.extend(answers)

    def enqueue_rephrased(self, *answers: str | BaseException) -> None:
        """Add the next answers of `rephrase`."""
        self._rewordings.extend(answers)

    def enqueue_preferences(self, *answers: Literal["first", "second", "neither"] | BaseException) -> None:
        """Add the next answers of `compare`."""
        self._preferences.extend(answers)

    def enqueue_rankings(self, *answers: Sequence[int] | BaseException) -> None:
        """Add the next answers of `choose`: indices, best first."""
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
    ) -> Critique:
        """The next judgement, as a verdict in the mode that was asked for."""
        await self._called(
            "critique",
            prompt=prompt,
            image=image,
            subjects=subjects,
            requirements=requirements,
            mode=mode,
            variation=variation,
            max_tokens=max_tokens,
        )
        found = self._rule(prompt, image) if self._rule else self._next(self._queue, "critique")
        if isinstance(found, BaseException):
            raise found
        critique = found if isinstance(found, Critique) else _critique(found, tuple(requirements), mode, prompt)
        named = tuple(concept.text for concept in critique.verdict.missing)
        self._lacking = named if isinstance(found, (bool, float, int, Verdict, Critique)) else tuple(found)
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
        """The next of its script, else what the last judgement called missing."""
        asked = {"prompt": prompt, "image": image, "verdict": verdict, "variation": variation, "subjects": subjects}
        await self._called("missing_concepts", **asked)
        named = self._next(self._naming, "missing_concepts") if self._naming else self._lacking
        return MissingConcepts(concepts=tuple(Concept(text=text) for text in named), raw="; ".join(named))

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
    ) -> Captions:
        """The next of its script, else `a detailed picture of …` for each concept."""
        asked = {"prompt": prompt, "concepts": concepts, "max_tokens": max_tokens, "variation": variation}
        await self._called("captions", **asked, image=image, verdict=verdict, subjects=subjects)
        if self._captions:
            return Captions(captions=tuple(self._next(self._captions, "captions")))
        return Captions(captions=tuple(f"a detailed picture of {concept.text}" for concept in concepts))

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """The next of its script, else `PROMPT, in plain words`."""
        await self._called("rephrase", prompt=prompt, variation=variation)
        words = self._next(self._rewordings, "rephrase") if self._rewordings else f"{prompt}, in plain words"
        return Rephrased(prompt=words, raw=words)

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """The next of its script, else a tie."""
        await self._called("compare", prompt=prompt, first=first, second=second)
        return Preference(better=self._next(self._preferences, "compare") if self._preferences else "neither")

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """The next of its script, else all of them in their order."""
        await self._called("choose", query=query, images=images)
        order = self._next(self._rankings, "choose") if self._rankings else range(len(images))
        return Ranking(order=tuple(order), raw=", ".join(map(str, order)))


def _critique(
    found: float | bool | Sequence[str] | Verdict, asked: tuple[Requirement, ...], mode: str, prompt: str
) -> Critique:
    if isinstance(found, Verdict):
        return Critique(verdict=found, requirements=asked, raw=found.raw)
    aligned = found >= 1 if isinstance(found, (bool, int, float)) else not found
    if isinstance(found, bool) or mode == "stepwise":
        return Critique(
            verdict=Verdict(aligned=aligned, raw="yes" if aligned else "no"), raw="yes" if aligned else "no"
        )
    if isinstance(found, (int, float)):
        raw = f"{found:g}"
        return Critique(verdict=Verdict(aligned=aligned, score=found, raw=raw), requirements=asked, raw=raw)
    asked = asked or (Requirement(text=prompt), *(Requirement(text=text) for text in found))
    checks = tuple(
        RequirementCheck(requirement=requirement, met=requirement.text not in found) for requirement in asked
    )
    score = sum(check.met for check in checks) / len(checks)
    verdict = Verdict(
        aligned=aligned,
        score=score if not aligned else 1.0,
        checks=checks,
        missing=tuple(Concept(text=text, caption=f"a detailed picture of {text}") for text in found),
        raw="; ".join(found),
    )
    return Critique(verdict=verdict, requirements=asked, raw=verdict.raw)
