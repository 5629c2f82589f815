"""Answerer on a vision-language model, which gets the retrieved images with their metadata.

It uses the same `ChatModel` as the judge of its spec, so any model that can judge can answer. Prompts are in
`prompts.py`, response parsing in `response_parsing.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagerag.agent.errors import JudgeReplyError, SpecError
from imagerag.agent.ports import Capabilities, Embedder, ImagePart
from imagerag.agent.qa.ports import AnswerWithCitations, Source
from imagerag.agent.qa.types import ConversationTurn, MetadataResult
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams
from imagerag.tools.answerers import prompts
from imagerag.tools.answerers.response_parsing import ANSWER, read_answer
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage, ChatModel, built_messages, with_cost_of
from imagerag.tools.judges.vlm.images import scaled
from imagerag.tools.judges.vlm.judge import LONGEST_SIDE, VlmJudge
from imagerag.tools.model_text import check_refusal, clean, silence
from imagerag.tools.pricing.call_cost import words_tariff

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices
    from imagerag.tools.spec import BackendSpec


@dataclass(frozen=True, kw_only=True)
class VlmAnswerer:
    """Answers with a vision-language model, one request per question.

    Attributes:
        chat: the model.
        longest_side: images are scaled down to this many pixels on their longer side.
    """

    chat: ChatModel
    longest_side: int = LONGEST_SIDE

    @property
    def identity(self) -> str:
        """The model's identity."""
        return self.chat.identity

    @property
    def synonyms(self) -> Mapping[str, str]:
        """Empty: the model interprets words that the metadata query does not understand."""
        return {}

    @property
    def capabilities(self) -> Capabilities:
        """Takes the sources' and the question's images, at the model's prices."""
        return Capabilities(tariff=words_tariff(self.chat), needs_images=True, takes_images=True)

    async def answer(
        self,
        question: str,
        sources: Sequence[Source],
        *,
        finding: MetadataResult | None,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """Send the user's own images, the sources and the question, and parse the answer with its citations.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the answer cannot be parsed, or no source supports it.
        """
        parts = await self._own(question_images)
        for source in sources:
            parts.append(prompts.source_text(source))
            if source.image is not None:
                parts.append(await in_thread(scaled, source.image.data, self.longest_side))
        parts.append(
            prompts.question(
                question,
                finding=finding,
                earlier=earlier,
                sources=sources,
                variant=variation.prompt_variant,
                question_images=len(question_images),
            )
        )
        turns = [ChatMessage("system", (prompts.SYSTEM,)), ChatMessage("user", tuple(parts))]
        reply = await self.chat.ask(turns, schema=ANSWER, variation=variation)
        with with_cost_of([reply]):
            answer = read_answer(reply.text, len(sources))
        return AnswerWithCitations(
            text=answer.text, cited=answer.cited, in_library=answer.held, raw=reply.text, **built_messages(reply)
        )

    async def answer_without(
        self,
        question: str,
        *,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """Ask the same question without any source.

        Raises:
            RefusalError: content policy.
            BackendError: no response.
            JudgeReplyError: the response is empty.
        """
        own = await self._own(question_images)
        turns = [
            ChatMessage("system", (prompts.PLAIN_SYSTEM,)),
            ChatMessage(
                "user", (*own, prompts.plain_question(question, earlier, question_images=len(question_images)))
            ),
        ]
        reply = await self.chat.ask(turns, schema=None, variation=variation)
        text = clean(reply.text)
        with with_cost_of([reply]):
            check_refusal(text)
            if not text:
                raise JudgeReplyError(f"the answer cannot be used: {silence(reply.text)}", raw=reply.text)
        return AnswerWithCitations(text=text, in_library=False, raw=reply.text, **built_messages(reply))

    async def _own(self, question_images: Sequence[ImagePart]) -> list[str | ChatImage]:
        """The user's own images, each with a label."""
        parts: list[str | ChatImage] = []
        for number, image in enumerate(question_images, start=1):
            parts += [prompts.own_image_text(number), await in_thread(scaled, image.data, self.longest_side)]
        return parts


def vlm_answerer(
    spec: "BackendSpec", *, embedder: Embedder | None = None, prices: "Prices | None" = None
) -> VlmAnswerer:
    """Factory for specs whose judge is a vision-language model: `openai:MODEL[@URL]`, `transformers:MODEL`.

    Raises:
        SpecError: no model is named, or an option is unknown to the judge.
        MissingExtraError: a package that the judge needs is not installed.
    """
    from imagerag.tools.registry import make_judge

    judge = make_judge(spec, prices=prices)
    if not isinstance(judge, VlmJudge):
        raise SpecError(f"{str(spec)!r} does not answer questions; 'metadata' does without a model")
    return VlmAnswerer(chat=judge.chat, longest_side=judge.longest_side)
