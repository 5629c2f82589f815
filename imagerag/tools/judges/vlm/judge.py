"""A judge that is a vision-language model: fused (one structured question) or stepwise (the paper's three).

Sources: ImageRAG, section 3.2 and appendix C (three questions in one conversation); the fused checklist is imagerag's
own. Prompts are in `prompts.py`, response parsing in `response_parsing.py` and `structured_verdict.py`, the model
behind `ChatModel`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from imagerag.agent.calls.call_context import current_call
from imagerag.agent.ports import (
    Capabilities,
    Captions,
    Critique,
    ImageCheck,
    ImagePart,
    MissingConcepts,
    Preference,
    Ranking,
    SamplingParameter,
)
from imagerag.agent.rephrasing import Rephrased
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Concept, Requirement, SamplingParams, Verdict
from imagerag.tools.judges.vlm import prompts, rephrasing, response_parsing
from imagerag.tools.judges.vlm.chat_protocol import (
    ChatImage,
    ChatMessage,
    ChatModel,
    ChatResponse,
    ask_once,
    built_messages,
    with_cost_of,
)
from imagerag.tools.judges.vlm.image_limits import LearnsImageLimit, probe_image_limit
from imagerag.tools.judges.vlm.images import SHEET_SIDE, contact_sheets, scaled
from imagerag.tools.judges.vlm.messages import NEXT_ANSWER, decided, joined, listed, system, user
from imagerag.tools.judges.vlm.ranking_parser import PREFERENCE, RANKING, parse_preference, parse_ranking
from imagerag.tools.judges.vlm.repeat_prompts import other_captions, other_concepts
from imagerag.tools.judges.vlm.structured_verdict import (
    CRITIQUE,
    VerdictPayload,
    combine_votes,
    majority_vote,
    parse_critique,
    verdict_of,
)
from imagerag.tools.judges.vlm.voting import ask_votes, with_notes
from imagerag.tools.pricing.call_cost import times, words_tariff
from imagerag.tools.spec import with_options

LONGEST_SIDE: Final = 1024


@dataclass(frozen=True, kw_only=True)
class VlmJudge:
    """Judge on a vision-language model. It is stateless: a conversation is rebuilt from verdicts.

    Attributes:
        chat: the model.
        longest_side: images are scaled down to this many pixels on their longer side.
        votes: maximum number of responses after a no, the first included; the majority counts, and a tie stays a no.
            Fewer are requested if the run's call budget is smaller.
    """

    chat: ChatModel
    longest_side: int = LONGEST_SIDE
    votes: int = 1

    @property
    def identity(self) -> str:
        """The model's identity, and the judge's options if they are not the defaults."""
        votes = self.votes if self.votes != 1 else None
        side = self.longest_side if self.longest_side != LONGEST_SIDE else None
        return with_options(self.chat.identity, {"votes": votes, "longest_side": side})

    @property
    def capabilities(self) -> Capabilities:
        """At most `votes` requests per question, and the known image limit: more images are put on one sheet."""
        return Capabilities(
            tariff=times(words_tariff(self.chat), self.votes),
            sees_references=True,
            takes_feedback=True,
            takes_language=True,
            max_images=getattr(self.chat, "image_limit", None),
            votes=self.votes,
        )

    @property
    def honours(self) -> frozenset[SamplingParameter]:
        """The sampling parameters that take effect, as far as known."""
        return self.chat.honours

    def image_check_needed(self, count: int) -> bool:
        """Whether it is unknown if the model takes `count` images per request; False if the backend does not say."""
        return isinstance(self.chat, LearnsImageLimit) and self.chat.image_check_needed(count)

    def images_checked(self, count: int, limit: int | None) -> None:
        """Store the result of an earlier check."""
        if isinstance(self.chat, LearnsImageLimit):
            self.chat.images_checked(count, limit)

    async def check_images(self, count: int) -> ImageCheck:
        """Check with `count` tiny images whether the model takes them.

        Raises:
            NoImagesError: the model takes no images.
            BackendError: no response.
        """
        return await probe_image_limit(self.chat, count)

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
        """Judge `image` against `prompt`: one request, and more only for votes after a no.

        Args:
            requirements: for fused: the checklist, used verbatim and in order; if it has none of the prompt's own,
                the model writes these.
            max_tokens: context length of the library's encoder, for captions; None if not known.
            language: of captions, a BCP 47 tag; "" leaves it to the model.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the response cannot be parsed.
        """
        opening = await self._opening_messages(prompt, image, subjects)
        if mode == "stepwise":
            return await self._decide(opening, subjects, variation)
        edit, words = any(subject.role == "edit" for subject in subjects), prompts.caption_words(max_tokens)
        question = partial(prompts.fused, words=words, language=language, edit=edit)
        return await self._fused(opening, requirements, question, variation)

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """Ask for missing concepts, as the second question after the verdict.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the response is no list of concepts.
        """
        opening = await self._opening_messages(prompt, image, subjects)
        turns = [
            *decided(opening, verdict, subjects),
            user(prompts.list_missing(variation.prompt_variant), *other_concepts(variation.failed_searches)),
        ]
        reply = await self.chat.ask(turns, schema=None, variation=variation)
        with with_cost_of([reply]):
            concepts = response_parsing.concepts(reply.text)
        return MissingConcepts(concepts=concepts, raw=reply.text, **built_messages(reply))

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
        """Ask for one caption per concept, as the third question.

        Args:
            image: the judged image; with `verdict`, the first two questions and responses of the conversation are
                included. Without it, the model gets only the prompt and the concepts.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: not as many captions as concepts.
        """
        if not concepts:
            return Captions()
        before = [system(), user(prompts.asked_for(prompt))]
        if image is not None and verdict is not None:
            before = listed(decided(await self._opening_messages(prompt, image, subjects), verdict, subjects), concepts)
        words, variant = prompts.caption_words(max_tokens), variation.prompt_variant
        question = prompts.write_captions(concepts, words=words, variant=variant, language=language)
        turns = joined([*before, user(question, *other_captions(variation.failed_searches))])
        reply = await self.chat.ask(turns, schema=None, variation=variation)
        with with_cost_of([reply]):
            texts = response_parsing.captions(reply.text, len(concepts))
        return Captions(captions=texts, raw=reply.text, **built_messages(reply))

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """Ask for the prompt in other words: rare words become descriptions, clear ones stay.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the response is no prompt.
        """
        return await rephrasing.rephrase(self.chat, prompt, variation)

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """Ask which of two images fits the prompt better.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the response names neither of them.
        """
        one, two = await self._scaled(first), await self._scaled(second)
        question = user(
            prompts.asked_for(prompt), "The first picture:", one, "The second picture:", two, prompts.compare()
        )
        reply = await self.chat.ask([system(), question], schema=PREFERENCE, variation=SamplingParams())
        with with_cost_of([reply]):
            better = parse_preference(reply.text)
        return Preference(better=better, raw=reply.text, **built_messages(reply))

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """Ask which candidates fit a search, by their numbers on contact sheets.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the response has no numbers, or one without a candidate.
        """
        if not images:
            return Ranking(order=())
        sheets = await in_thread(contact_sheets, [image.data for image in images], SHEET_SIDE)
        question = prompts.choose(query, [image.caption for image in images], sheets=len(sheets))
        reply = await self.chat.ask([system(), user(*sheets, question)], schema=RANKING, variation=SamplingParams())
        with with_cost_of([reply]):
            order = tuple(parse_ranking(reply.text, len(images)))
        return Ranking(order=order, raw=reply.text, **built_messages(reply))

    async def _fused(
        self,
        opening: list[ChatMessage],
        requirements: Sequence[Requirement],
        question: Callable[..., str],
        variation: SamplingParams,
    ) -> Critique:
        def turns(checklist: Sequence[Requirement], variant: int) -> list[ChatMessage]:
            return joined([*opening, user(question(checklist, variant=variant))])

        replies: list[ChatResponse] = []
        answers: list[VerdictPayload] = []

        async def ask(checklist: Sequence[Requirement], sampling: SamplingParams) -> None:
            question = turns(checklist, sampling.prompt_variant)
            text = await ask_once(self.chat, question, replies, schema=CRITIQUE, variation=sampling)
            answers.append(parse_critique(text, checklist))

        with with_cost_of(replies):
            await ask(requirements, variation)
            checklist = answers[0].requirements
            votes = 1 if all(check.met for check in answers[0].checks) else current_call().allowed(self.votes)
            request_count = await ask_votes(
                lambda other: ask(checklist, other), votes, lambda: combine_votes(answers, votes), variation
            )
        raw = NEXT_ANSWER.join(reply.text for reply in replies)
        verdict = with_notes(verdict_of(majority_vote(answers), raw), replies)
        return Critique(
            verdict=verdict, requirements=checklist, raw=raw, **built_messages(*replies, requests=request_count)
        )

    async def _decide(
        self, opening: list[ChatMessage], subjects: Sequence[ImagePart], variation: SamplingParams
    ) -> Critique:
        def turns(variant: int) -> list[ChatMessage]:
            return joined([*opening, user(prompts.decide(variant, subjects))])

        replies: list[ChatResponse] = []
        answers: list[bool] = []

        async def ask(sampling: SamplingParams) -> None:
            question = turns(sampling.prompt_variant)
            text = await ask_once(self.chat, question, replies, schema=None, variation=sampling)
            answers.append(response_parsing.verdict(text))

        with with_cost_of(replies):
            await ask(variation)
            votes = 1 if answers[0] else current_call().allowed(self.votes)

            def certain() -> bool:
                yes, remaining = sum(answers), votes - len(answers)
                return 2 * yes > votes or 2 * (yes + remaining) <= votes

            request_count = await ask_votes(ask, votes, certain, variation)
        aligned = 2 * sum(answers) > len(answers)
        raw = NEXT_ANSWER.join(reply.text for reply in replies)
        counted = f" ({sum(answers)} of {len(answers)} answers say yes)" if len(answers) > 1 else ""
        reason = f"the judge says {'yes' if aligned else 'no'}{counted}"
        verdict = with_notes(Verdict(aligned=aligned, reason=reason, raw=raw), replies)
        return Critique(verdict=verdict, raw=raw, **built_messages(*replies, requests=request_count))

    async def _opening_messages(
        self, prompt: str, image: ImagePart, subjects: Sequence[ImagePart]
    ) -> list[ChatMessage]:
        """First messages of every conversation: system message, prompt, the user's own images, and the judged image."""
        parts: list[str | ChatImage] = [prompts.asked_for(prompt, subjects)]
        for number, subject in enumerate(subjects, start=1):
            parts += [prompts.sent_along(number, subject), await self._scaled(subject)]
        if subjects:
            parts.append("The last picture, to be judged:")
        parts.append(await self._scaled(image))
        return [system(), user(*parts)]

    async def _scaled(self, image: ImagePart) -> ChatImage:
        return await in_thread(scaled, image.data, self.longest_side)
