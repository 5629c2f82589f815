"""The key-free judge: looks at an image through an encoder of texts and images, and compares.

It works with any `Embedder`. What it cannot do, and does not claim: count (`two cats` is judged as one thing), read
text in an image, understand "no cars", or tell relations between things (who holds whom, what is left of what). One
thing in the image may meet several requirements that do not contradict each other. It is deterministic and takes no
temperature or seed; asked for what is missing in other words, it names it in other words. It abstains only where
nothing of a prompt can be checked at all; a requirement that cannot be checked is never met.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from imagerag.agent.intents import concept_of
from imagerag.agent.ports import FREE as FREE_OF_CHARGE
from imagerag.agent.ports import (
    Capabilities,
    Captions,
    Critique,
    Embedder,
    ImagePart,
    MissingConcepts,
    Preference,
    Ranking,
    SamplingParameter,
)
from imagerag.agent.types import Concept, Requirement, SamplingParams, Verdict
from imagerag.tools.judges.clip import hard_negatives as negatives
from imagerag.tools.judges.clip.checklist import ABSENT, checklist, unchecked
from imagerag.tools.judges.clip.crops import AROUND
from imagerag.tools.judges.clip.image_comparison import Comparisons, compared, whole_image_comparisons
from imagerag.tools.judges.clip.region_scorer import RegionScore, RegionScorer, Rivals, Wordings
from imagerag.tools.judges.clip.verdicts import abstention, caption_of, scores_as_json, unmet_requirements, verdict_of

if TYPE_CHECKING:
    from PIL import Image

    from imagerag.tools.judges.clip.crops import Box, Regions

Rewordings: TypeAlias = Callable[[Requirement, int], Sequence[Requirement]]

FREE: Final = 0.0  # US dollars: it runs on the user's own machine
_TIE: Final = 1e-4  # ratings closer than this are the same


def photo_wordings(phrases: Sequence[str], kind: str) -> list[str]:
    """How open_clip's models are usually asked (Radford et al., 2021): `a photo of a cat`. Style speaks for itself."""
    return [*phrases] if kind == "style" else [f"a photo of {text}" for text in phrases]


def border_regions(image: "Image.Image") -> "Sequence[Box]":
    """Boxes of the things on a plain background; none on a photograph."""
    from imagerag.tools.judges.clip.subject_segmentation import regions

    return regions(image)


class ClipJudge:
    """A judge that needs no key.

    A requirement is met when, in one of its views, its cosine is above `floor`, beats every near miss by `margin`, and
    is less than `slack` below the best of the other things an image could show. Content is looked for in the parts of
    the image, style in the whole.

    The defaults are for real photographs and were not calibrated on any: they ask only for what is relative, which
    needs no number of the encoder. Images that were sent along are looked at only where a requirement compares with
    one.

    Args:
        embedder: what it looks through.
        hard_negatives: rewordings that must not fit as well: `a red ball` -> `a blue ball`, ...
        others: further things it could be, for content only.
        wordings: how a requirement and its rivals, which are of one kind, are put to the encoder.
        split: makes the checklist of a prompt.
        regions: finds separate things as boxes; where it finds none, the image is tiled.
        around: what is kept around such a box, as a share of its longer side.
        whole: whether content is looked for in the whole image, too.
        margin, slack, floor: cosines.
        unchecked: why a requirement cannot be told from any image; empty where it can.
        comparisons: how it compares with images that were sent; by default whole images and their parts.
        split_edit: makes the checklist of a prompt that asks for a change; by default as of any.
        reworded: other words for a requirement that is missing, by the wording asked for, from 1.
        identity: `provider:model`; by default `clip:` and the embedder's spec.
    """

    honours: frozenset[SamplingParameter] = frozenset({"prompt_variant"})

    def __init__(
        self,
        embedder: Embedder,
        *,
        hard_negatives: Rivals = negatives.hard_negatives,
        others: Rivals = negatives.common_objects,
        wordings: Wordings = photo_wordings,
        split: Callable[[str], Sequence[Requirement]] = checklist,
        regions: "Regions" = border_regions,
        around: float = AROUND,
        whole: bool = True,
        margin: float = 0.0,
        slack: float = 0.02,
        floor: float = 0.0,
        unchecked: Callable[[Requirement], str] = unchecked,
        comparisons: Comparisons | None = None,
        split_edit: Callable[[str], Sequence[Requirement]] | None = None,
        reworded: Rewordings = negatives.reworded,
        identity: str | None = None,
    ) -> None:
        self._embedder, self._split, self._identity = embedder, split, identity
        self._split_edit, self._reworded = split_edit or split, reworded
        self._comparisons = comparisons or whole_image_comparisons(embedder, regions)
        self._eye = RegionScorer(
            embedder=embedder,
            hard_negatives=hard_negatives,
            others=others,
            wordings=wordings,
            regions=regions,
            around=around,
            whole=whole,
            margin=margin,
            slack=slack,
            floor=floor,
            unchecked=unchecked,
        )

    capabilities = Capabilities(tariff=FREE_OF_CHARGE, sees_references=True)

    @property
    def identity(self) -> str:
        """`clip:` and the embedder's spec, unless it was given one."""
        return self._identity or f"clip:{self._embedder.identity.spec}"

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
        """Judge `image` on `requirements`, or on the prompt's own; "stepwise" says yes or no and nothing else.

        Raises:
            UsageError: the image cannot be read.
        """
        asked = self._asked(prompt, subjects, requirements)
        findings = await self._findings(prompt, image, subjects, asked)
        raw = scores_as_json(findings)
        own = [finding for finding, one in zip(findings, asked, strict=True) if one.image is None]
        if all(finding.unchecked for finding in own):
            return Critique(verdict=abstention(own, raw), requirements=asked, raw=raw, cost_usd=FREE)
        if mode == "stepwise":
            aligned = all(finding.met for finding in findings)
            reason = "everything asked for is there" if aligned else "something asked for is not there"
            return Critique(verdict=Verdict(aligned=aligned, reason=reason, raw=raw), raw=raw, cost_usd=FREE)
        return Critique(verdict=verdict_of(asked, findings, raw), requirements=asked, raw=raw, cost_usd=FREE)

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """Name the requirements that are not met; none only when it finds all of them met.

        Asked in another wording, it names them in other words: what was searched in vain is not named again, nor what
        is in the image.
        """
        asked = self._asked(prompt, subjects, [check.requirement for check in verdict.checks])
        findings = await self._findings(prompt, image, subjects, asked)
        unmet = unmet_requirements(asked, findings)
        concepts = tuple(concept for concept in map(concept_of, unmet) if concept is not None)
        if variation.prompt_variant and concepts:
            known = {text.casefold() for text in variation.failed_searches}
            named = {concept.text for concept in concepts}
            own = [requirement for requirement in unmet if requirement.text in named]
            others = [other for requirement in own for other in self._reworded(requirement, variation.prompt_variant)]
            asked = tuple(other for other in dict.fromkeys(others) if other.text.casefold() not in known)
            findings = await self._eye.look(image.data, asked) if asked else []
            concepts = tuple(filter(None, map(concept_of, unmet_requirements(asked, findings))))
        return MissingConcepts(concepts=concepts, raw=scores_as_json(findings), cost_usd=FREE)

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
        """The concepts' own words as captions; last words are left off where the encoder reads fewer."""
        captions = tuple(self._fitting(concept.caption or caption_of(concept), max_tokens) for concept in concepts)
        return Captions(captions=captions, raw=json.dumps(captions, ensure_ascii=False), cost_usd=FREE)

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """By the cosine of prompt and whole image, plus the mean cosine of the requirements in their best views."""
        one, other = await self._rate(prompt, first.data), await self._rate(prompt, second.data)
        raw = json.dumps([round(one, 4), round(other, 4)])
        if abs(one - other) < _TIE:
            return Preference(better="neither", raw=raw, cost_usd=FREE)
        return Preference(better="first" if one > other else "second", raw=raw, cost_usd=FREE)

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """All of the images, the most similar to the query first."""
        if not images:
            return Ranking(order=(), cost_usd=FREE)
        text = (await self._embedder.embed_texts([query]))[0]
        cosines = (await self._embedder.embed_images([image.data for image in images])) @ text
        order = tuple(int(index) for index in (-cosines).argsort(kind="stable"))
        raw = ", ".join(f"{float(cosines[index]):.4f}" for index in order)
        return Ranking(order=order, raw=raw, cost_usd=FREE)

    def _asked(
        self, prompt: str, sent: Sequence[ImagePart], requirements: Sequence[Requirement]
    ) -> tuple[Requirement, ...]:
        """The checklist: that of the prompt is made here where there is none but what compares images."""
        if any(requirement.image is None for requirement in requirements):
            return tuple(requirements)
        split = self._split_edit if _edits(sent) else self._split
        return (*split(prompt), *requirements)

    async def _findings(
        self, prompt: str, image: ImagePart, sent: Sequence[ImagePart], asked: Sequence[Requirement]
    ) -> list[RegionScore]:
        """One finding per requirement: what is looked for, what may not be there any more, and what is compared."""
        gone = [_edits(sent) and one.image is None and one.text.startswith(ABSENT) for one in asked]
        look = [
            one.model_copy(update={"text": one.text.removeprefix(ABSENT)}) if away else one
            for one, away in zip(asked, gone, strict=True)
            if one.image is None
        ]
        compare = [one for one in asked if one.image is not None]
        seen = iter(await self._eye.look(image.data, look) if look else [])
        against = iter(await compared(self._comparisons, prompt, image, sent, compare))
        findings = []
        for one, away in zip(asked, gone, strict=True):
            finding = next(seen) if one.image is None else next(against)
            findings.append(replace(finding, text=one.text, met=not finding.met) if away else finding)
        return findings

    async def _rate(self, prompt: str, data: bytes) -> float:
        asked = tuple(self._split(prompt))
        findings = await self._eye.look(data, asked)
        whole = (await self._embedder.embed_images([data])) @ (await self._embedder.embed_texts([prompt]))[0]
        parts = sum(finding.similarity for finding in findings) / max(1, len(findings))
        return float(whole[0]) + parts

    def _fitting(self, caption: str, max_tokens: int) -> str:
        words = caption.split()
        while len(words) > 1 and self._embedder.count_tokens(" ".join(words)) > max_tokens:
            words.pop()
        return " ".join(words)


def _edits(sent: Sequence[ImagePart]) -> bool:
    return bool(sent) and sent[0].role == "edit"
