"""Key-free judge: scores an image's requirements with an encoder of texts and images.

It works with any `Embedder`. It does not count (`two cats` is judged as one thing), read text in an image, understand
"no cars", or check relations between things (who holds whom, what is left of what). One thing in the image may meet
several requirements that do not contradict each other. The judge is deterministic and takes no temperature or seed; for
another prompt variant it rewords the missing concepts. It abstains only if no part of a prompt can be checked; a
requirement that cannot be checked is never met.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from imagerag.agent.feedback import split_feedback
from imagerag.agent.first_words import first_words
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
from imagerag.agent.ports.embedder import embed_images, embed_texts
from imagerag.agent.types import Concept, Requirement, SamplingParams, Verdict
from imagerag.tools.judges.clip import hard_negatives as negatives
from imagerag.tools.judges.clip.checklist import ABSENT, checklist, unchecked
from imagerag.tools.judges.clip.crops import AROUND
from imagerag.tools.judges.clip.feedback import Revise, RevisedChecklist, revise
from imagerag.tools.judges.clip.image_comparison import Comparisons, compared, whole_image_comparisons
from imagerag.tools.judges.clip.region_scorer import RegionScore, RegionScorer, Rivals, Wordings
from imagerag.tools.judges.clip.verdicts import (
    abstention,
    caption_of,
    joined,
    scores_as_json,
    unmet_requirements,
    verdict_of,
)

if TYPE_CHECKING:
    from PIL import Image

    from imagerag.agent.images.crop_boxes import Box
    from imagerag.tools.judges.clip.crops import Regions

Rewordings: TypeAlias = Callable[[Requirement, int], Sequence[Requirement]]

FREE: Final = 0.0  # US dollars: the judge runs on the user's own machine
_TIE: Final = 1e-4  # a smaller difference of ratings is a tie


def photo_wordings(phrases: Sequence[str], kind: str) -> list[str]:
    """CLIP prompts for photographs (Radford et al., 2021): `a photo of a cat`. Style phrases stay as they are."""
    return [*phrases] if kind == "style" else [f"a photo of {text}" for text in phrases]


def border_regions(image: "Image.Image") -> "Sequence[Box]":
    """Boxes of the things on a plain background; none for a photograph."""
    from imagerag.agent.images.subject_segmentation import regions

    return regions(image)


class ClipJudge:
    """Key-free judge on an embedder.

    A requirement is met if, in one of its crops, its cosine is above `floor`, beats every hard negative by `margin`,
    and is less than `slack` below the best of the other objects. Content is searched in the parts of the image, style
    in the whole.

    The defaults are for real photographs and are not calibrated: they use only relative values, which do not depend on
    the encoder's scale. Images that were sent are compared only for requirements that need it.

    Args:
        embedder: the encoder.
        hard_negatives: rewordings that must score lower: `a red ball` -> `a blue ball`, ...
        others: further objects as rivals, for content only.
        wordings: formats requirements and rivals of one kind as encoder input.
        split: splits a prompt into requirements.
        regions: finds separate things as boxes; if it finds none, the image is tiled.
        around: margin around such a box, as a share of its longer side.
        whole: whether content is also searched in the whole image.
        margin, slack, floor: cosines; by default the slack follows from the encoder's scale (`SLACK`).
        unchecked: reason why no image can show a requirement; empty if one can.
        comparisons: how images that were sent are compared; by default whole images and their parts.
        split_edit: splits the prompt of an edit into requirements; by default as `split`.
        revise: the checklist of a prompt after feedback; by default by `clip.feedback`'s grammar.
        reworded: other wordings of a missing requirement, selected by `prompt_variant`, from 1.
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
        slack: float | None = None,
        floor: float = 0.0,
        unchecked: Callable[[Requirement], str] = unchecked,
        comparisons: Comparisons | None = None,
        split_edit: Callable[[str], Sequence[Requirement]] | None = None,
        revise: Revise = revise,
        reworded: Rewordings = negatives.reworded,
        identity: str | None = None,
    ) -> None:
        self._embedder, self._split, self._identity = embedder, split, identity
        self._split_edit, self._revise, self._reworded = split_edit or split, revise, reworded
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

    capabilities = Capabilities(tariff=FREE_OF_CHARGE, sees_references=True, takes_feedback=True)

    @property
    def identity(self) -> str:
        """The given identity, by default `clip:` and the embedder's spec."""
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
        language: str = "",
    ) -> Critique:
        """Judge `image` on `requirements`, by default the prompt's own; "stepwise" returns only yes or no.

        Raises:
            UsageError: the image cannot be read.
        """
        checklist = self._checklist(prompt, subjects, requirements)
        findings = await self._findings(prompt, image, subjects, checklist)
        raw = scores_as_json(findings)
        own = [finding for finding, one in zip(findings, checklist, strict=True) if one.image is None]
        if all(finding.unchecked for finding in own):
            return Critique(verdict=abstention(own, raw), requirements=checklist, raw=raw, cost_usd=FREE)
        if mode == "stepwise":
            aligned = all(finding.met for finding in findings)
            reason = "everything asked for is there" if aligned else "something asked for is not there"
            return Critique(verdict=Verdict(aligned=aligned, reason=reason, raw=raw), raw=raw, cost_usd=FREE)
        return Critique(verdict=verdict_of(checklist, findings, raw), requirements=checklist, raw=raw, cost_usd=FREE)

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """Name the unmet requirements; empty only if all are met.

        Another prompt variant uses other wordings, without concepts that were already searched in vain or are in the
        image.
        """
        checklist = self._checklist(prompt, subjects, [check.requirement for check in verdict.checks])
        findings = await self._findings(prompt, image, subjects, checklist)
        unmet = unmet_requirements(checklist, findings)
        concepts = tuple(concept for concept in map(concept_of, unmet) if concept is not None)
        if variation.prompt_variant and concepts:
            failed_texts = {text.casefold() for text in variation.failed_searches}
            concept_texts = {concept.text for concept in concepts}
            unmet_own = [requirement for requirement in unmet if requirement.text in concept_texts]
            own = chain(*self._parts(prompt, unmet_own))
            others = [other for requirement in own for other in self._reworded(requirement, variation.prompt_variant)]
            remaining = tuple(other for other in dict.fromkeys(others) if other.text.casefold() not in failed_texts)
            findings = await self._eye.look(image.data, remaining) if remaining else []
            concepts = tuple(filter(None, map(concept_of, unmet_requirements(remaining, findings))))
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
        language: str = "",
    ) -> Captions:
        """The concepts as captions; words beyond the encoder's context length are dropped from the end."""
        captions = tuple(self._fitting(concept.caption or caption_of(concept), max_tokens) for concept in concepts)
        return Captions(captions=captions, raw=json.dumps(captions, ensure_ascii=False), cost_usd=FREE)

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """Compare by the cosine of prompt and whole image, plus the requirements' mean cosine in their best crops."""
        one, other = await self._rate(prompt, first.data), await self._rate(prompt, second.data)
        raw = json.dumps([round(one, 4), round(other, 4)])
        if abs(one - other) < _TIE:
            return Preference(better="neither", raw=raw, cost_usd=FREE)
        return Preference(better="first" if one > other else "second", raw=raw, cost_usd=FREE)

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """All images, the most similar to the query first."""
        if not images:
            return Ranking(order=(), cost_usd=FREE)
        text = (await embed_texts(self._embedder, [query]))[0]
        cosines = (await embed_images(self._embedder, [image.data for image in images])) @ text
        order = tuple(int(index) for index in (-cosines).argsort(kind="stable"))
        raw = ", ".join(f"{float(cosines[index]):.4f}" for index in order)
        return Ranking(order=order, raw=raw, cost_usd=FREE)

    def _checklist(
        self, prompt: str, sent_images: Sequence[ImagePart], requirements: Sequence[Requirement]
    ) -> tuple[Requirement, ...]:
        """The checklist; if it has none of the prompt's own requirements, these come before it."""
        if any(requirement.of_prompt for requirement in requirements):
            return tuple(requirements)
        words, feedback = split_feedback(prompt)
        if feedback:
            return (*self._revise(words, feedback).of_prompt, *requirements)
        split = self._split_edit if _edits(sent_images) else self._split
        return (*split(prompt), *requirements)

    async def _findings(
        self, prompt: str, image: ImagePart, sent_images: Sequence[ImagePart], requirements: Sequence[Requirement]
    ) -> list[RegionScore]:
        """One score per requirement: present, absent, or comparing."""
        parts = self._parts(prompt, requirements)
        negates = _edits(sent_images) or any(one.kind == "feedback" for one in requirements)
        visible = [part for each in parts for part in each if part.image is None]
        scores = iter(await self._present_or_absent(image, visible, negates=negates))
        compare = [one for one in requirements if one.image is not None]
        against = iter(await compared(self._comparisons, prompt, image, sent_images, compare))
        return [
            next(against if one.image is not None else scores)
            if each == (one,)
            else joined(one.text, [next(scores) for _ in each])
            for one, each in zip(requirements, parts, strict=True)
        ]

    def _parts(self, prompt: str, requirements: Sequence[Requirement]) -> list[Sequence[Requirement]]:
        """For each requirement what is checked: itself, or for feedback what there should be after it."""
        words, feedback = split_feedback(prompt)
        changes = dict(zip(feedback, self._revise(words, feedback).of_feedback, strict=True)) if feedback else {}
        return [changes.get(one.text, (one,)) if one.kind == "feedback" else (one,) for one in requirements]

    async def _present_or_absent(
        self, image: ImagePart, requirements: Sequence[Requirement], *, negates: bool
    ) -> list[RegionScore]:
        """One score per requirement; where `negates`, one that begins with `no` is met if the rest is not seen."""
        absent = [negates and one.text.startswith(ABSENT) for one in requirements]
        look = [
            one.model_copy(update={"text": one.text.removeprefix(ABSENT)}) if away else one
            for one, away in zip(requirements, absent, strict=True)
        ]
        scores = await self._eye.look(image.data, look) if look else []
        return [
            replace(score, text=one.text, met=not score.met) if away else score
            for score, one, away in zip(scores, requirements, absent, strict=True)
        ]

    async def _rate(self, prompt: str, data: bytes) -> float:
        words, feedback = split_feedback(prompt)
        revised = self._revise(words, feedback) if feedback else RevisedChecklist(tuple(self._split(prompt)))
        findings = await self._eye.look(data, [*revised.of_prompt, *chain(*revised.of_feedback)])
        text = ", ".join((words, *feedback))
        whole = (await embed_images(self._embedder, [data])) @ (await embed_texts(self._embedder, [text]))[0]
        parts = sum(finding.similarity for finding in findings) / max(1, len(findings))
        return float(whole[0]) + parts

    def _fitting(self, caption: str, max_tokens: int) -> str:
        return first_words(caption, lambda part: self._embedder.count_tokens(part) <= max_tokens)


def _edits(sent_images: Sequence[ImagePart]) -> bool:
    return bool(sent_images) and sent_images[0].role == "edit"
