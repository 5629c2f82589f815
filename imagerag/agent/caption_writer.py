"""Captions of missing concepts, each short enough for the library's encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.caption_language import language_argument
from imagerag.agent.errors import BackendError, JudgeReplyError, LibraryError
from imagerag.agent.first_words import first_words
from imagerag.agent.judge_input import JudgeInput
from imagerag.agent.ports import Captions, Judge, ReferenceLibrary
from imagerag.agent.types import Concept, Query, SamplingParams

UNLIMITED: Final = 10**6


@dataclass(frozen=True, kw_only=True)
class CaptionWriter:
    """Writes the queries of one round.

    Attributes:
        seen: the conversation the judge is in: what it looked at, and what it said of it.
        again: how captions are asked for after others were searched with in vain.
    """

    judge: Judge
    library: ReferenceLibrary | None
    calls: ModelCaller
    prompt: str
    seen: JudgeInput
    again: SamplingParams | None = None

    async def queries(self, concepts: Sequence[Concept]) -> list[Query]:
        """A query per concept.

        Captions that came with the verdict are used as they are. The judge is asked for the rest, and once more for
        those the encoder could not read whole; what is still too long then falls back to the concept's own few words.
        Nothing is ever cut in silence: the query's `note` says what was done.
        """
        captions: dict[str, str] = {c.text: c.caption for c in concepts if c.caption}
        captions |= await self._ask([c for c in concepts if not captions.get(c.text)])
        shorter = await self._ask([c for c in concepts if not self._fits(captions.get(c.text) or c.text)])
        return [self._query(c, captions.get(c.text) or "", shorter.get(c.text) or "") for c in concepts]

    def without(self, concepts: Sequence[Concept]) -> list[Query]:
        """A query per concept that searches with the concept's own words, cut where the encoder reads fewer."""
        cut = [self._query(concept, concept.text, "") for concept in concepts]
        return [query.model_copy(update={"by": "concept"}) for query in cut]

    async def _ask(self, concepts: Sequence[Concept]) -> dict[str, str]:
        if not concepts:
            return {}
        attempt, verdict = self.seen.attempt, self.seen.attempt.verdict
        limit = self.library.context_length if self.library else UNLIMITED
        content = {
            "prompt": self.prompt,
            "image": attempt.image.sha256,
            "verdict": verdict.model_dump(mode="json") if verdict else None,
            "concepts": [concept.model_dump() for concept in concepts],
            "max_tokens": limit,
        }
        language = language_argument(self.judge, getattr(self.library, "caption_language", ""))
        try:
            answer = await self.calls.execute_and_parse(
                "judge.captions",
                self.judge.identity,
                Captions,
                content | language,
                lambda variation: self.judge.captions(
                    self.prompt,
                    concepts,
                    max_tokens=limit,
                    variation=variation,
                    image=self.seen.image,
                    verdict=verdict,
                    subjects=self.seen.subjects,
                    **language,
                ),
                self.again,
            )
        except JudgeReplyError:
            return {}
        return {concept.text: caption.strip() for concept, caption in zip(concepts, answer.captions, strict=False)}

    def _fits(self, text: str) -> bool:
        if self.library is None:
            return True
        try:
            return self.library.count_tokens(text) <= self.library.context_length
        except BackendError as error:  # of its encoder, and not of the judge that writes captions
            raise LibraryError(f"the encoder of {self.library.name} cannot be used: {error}") from error

    def _query(self, concept: Concept, caption: str, shorter: str) -> Query:
        if caption and self._fits(caption):
            return Query(concept=concept, text=caption)
        if shorter and self._fits(shorter):
            return Query(concept=concept, text=shorter, note="shortened by the judge to fit the encoder")
        note = "the caption was longer than the encoder reads" if caption else "the judge wrote no caption"
        if self._fits(concept.text):
            return Query(concept=concept, text=concept.text, note=f"{note}: searched with the concept's own words")
        cut = f"{note}, and so was the concept: cut to its first words"
        return Query(concept=concept, text=first_words(concept.text, self._fits), note=cut)
