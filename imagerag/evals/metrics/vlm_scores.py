"""Scores by a vision-language model: the probability of a yes (VQAScore), and grades (GPTScore, DreamBench++).

The grading model is never the judge of the loop: that grade would only measure how well the loop satisfies its own
judge.

VQAScore: Lin et al., "Evaluating Text-to-Visual Generation with Image-to-Text Generation" (2024). Grades from 0 to 4:
Peng et al., "DreamBench++" (2024). The prompts are imagerag's own.
"""

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import BackendError, JudgeReplyError, UsageError
from imagerag.agent.images.encoding import encode_for_model
from imagerag.agent.ports import ModelResponse
from imagerag.agent.types import RunConfig, SamplingParams
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.metrics.base import DIGITS, Sample
from imagerag.evals.result_record import Score
from imagerag.evals.retries import with_retries
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage, ChatModel
from imagerag.tools.judges.vlm.reasoning import reasoning_in
from imagerag.tools.model_text import clean, silence
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.spec import BackendSpec

ASK: Final = 'Does this picture show "{prompt}"? Answer with one word: Yes or No.'
GRADE: Final = """You grade how well a picture shows what was asked for. Asked for was: "{prompt}"

Look for every thing that was asked for, for its properties (shape, colour, pattern, number, material), for how the
things stand to each other, and for the style. How well the picture is made does not count.

0: nothing of it is there
1: little of it
2: about half
3: nearly all, one property is off
4: all of it

Say in one or two sentences what is there and what is not. Then write on a line of its own: Score: N"""
MARK: Final = re.compile(r"score\W{0,4}\s*([0-4])(?!\d)", re.IGNORECASE)
TIMEOUT_S: Final = 120.0
TOP: Final = 20


@dataclass(frozen=True, kw_only=True)
class YesProbability(ModelResponse):
    """P(yes) / (P(yes) + P(no)), in [0, 1]."""

    yes: float


@dataclass(frozen=True, kw_only=True)
class TextScorer(ModelResponse):
    """The raw response of a grader, in `raw`."""


@dataclass
class GradingCalls:
    """The calls of graders by graded run; they count towards the budget.

    Attributes:
        calls: run id → the callers of its gradings.
    """

    calls: dict[str, list[ModelCaller]] = field(default_factory=dict)

    def pop(self, run_id: str) -> list[dict[str, Any]]:
        """Remove and return a run's grading calls: requests, and US dollars (None where the price is not known)."""
        model_calls = [call for calls in self.calls.pop(run_id, []) for call in calls.made]
        return [
            {
                "role": call.role,
                "backend": call.backend,
                "requests": 0 if call.cached else call.requests,
                "usd": call.cost_usd if call.completed else call.counted_usd if call.counts else 0.0,
            }
            for call in model_calls
        ]


@dataclass
class _Grader:
    """Base of both grading metrics; the grader must not be a judge of the loop.

    Raises:
        UsageError: the grader is a judge of the loop.
    """

    spec: str
    grader: str
    dependencies: EvalDependencies
    judges: frozenset[str]
    config: RunConfig = field(default_factory=RunConfig)
    graded: "GradingCalls" = field(default_factory=lambda: GradingCalls())
    needs_image = True

    def __post_init__(self) -> None:
        bare = _model_of(BackendSpec.parse(self.grader))
        for judge in self.judges:
            for one in BackendSpec.parse_all(judge):
                if _model_of(one) == bare:
                    raise UsageError(
                        f"{self.spec}: {self.grader} is the judge of the loop; a loop is not graded by its own judge: "
                        "name another model"
                    )

    def _calls(self, sample: Sample) -> ModelCaller:
        calls = ModelCaller(
            config=self.config,
            journal=self.dependencies.held_journal,
            run_id=graded_id(sample.result.run_id),
            task="",
            before=[],
            round=0,
            failed={},
            backends={},
        )
        self.graded.calls.setdefault(sample.result.run_id, []).append(calls)
        return calls

    async def _chat_image(self, sample: Sample) -> ChatImage:
        assert sample.image is not None, "it needs one"
        data, media_type = encode_for_model(sample.image)
        return ChatImage(data, media_type)


def _model_of(spec: BackendSpec) -> tuple[str, str, str]:
    """The model of a spec, in one spelling: without the provider's default address and a trailing slash."""
    url = (spec.base_url or "").rstrip("/").lower()
    return spec.provider.lower(), spec.model, "" if url == "https://api.openai.com/v1" else url


GRADED: Final = "-graded"


def graded_id(run_id: str) -> str:
    """The run id of a run's grading calls in the journal."""
    return f"{run_id}{GRADED}"


class VqaScore(_Grader):
    """`vqa:openai:MODEL[@URL]`: P(yes) to "does this image show …?", from the first token's log probabilities."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one = BackendSpec.parse(self.grader)
        if one.provider != "openai":
            raise UsageError(f"{self.spec}: log probabilities come from openai:MODEL[@URL] only")
        self._model, self._account = one.model, OpenAICredentials.of_spec(one)

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """The probability, in [0, 1]."""
        chat_image = await self._chat_image(sample)
        words = ASK.format(prompt=sample.case.prompt)
        identity, content = self._account.named_as("openai", self._model), {"prompt": words, "image": chat_image.sha256}
        calls = self._calls(sample)
        ask = lambda: self._ask(identity, words, chat_image)  # noqa: E731
        odds = await with_retries(lambda: calls.execute("grade.vqa", identity, YesProbability, content, ask))
        return {self.spec: round(odds.yes, DIGITS)}

    async def _ask(self, identity: str, words: str, chat_image: ChatImage) -> YesProbability:
        import openai

        url = f"data:{chat_image.media_type};base64,{b64encode(chat_image.data).decode()}"
        parts: list[Any] = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": neutralised(words)},
        ]
        client = self._account.client(identity, TIMEOUT_S)  # shared by the event loop, so not closed here
        try:
            answer = await client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": parts}],
                max_tokens=1,
                temperature=0,
                logprobs=True,
                top_logprobs=TOP,
            )
        except openai.APIConnectionError as error:
            raise BackendError(f"{identity} could not be reached: {error}", retryable=True) from None
        except openai.APIStatusError as error:
            again = error.status_code == 429 or error.status_code >= 500
            raise BackendError(f"{identity} answered {error.status_code}", retryable=again) from None
        return YesProbability(
            yes=chance_of_yes(identity, answer.choices[0]), raw=answer.choices[0].message.content or ""
        )


def chance_of_yes(identity: str, choice: Any) -> float:
    """P(yes) / (P(yes) + P(no)) over the first token's alternatives, ignoring case and spaces.

    Raises:
        JudgeReplyError: there are no log probabilities, or neither word is among them.
    """
    tokens = choice.logprobs.content if choice.logprobs else None
    content = choice.message.content or ""
    extra = getattr(choice.message, "model_extra", None) or {}
    field, thoughts = reasoning_in({**extra, "content": choice.message.content})
    if thoughts or (content.strip() and not clean(content)):
        message = (
            f"{identity} begins to reason{f' in {field}' if field else ''} before it says yes or no: switch that off"
        )
        raise JudgeReplyError(message, raw=thoughts or content)
    if not tokens:
        raise JudgeReplyError(f"{identity} gives no log probabilities", raw=content)
    odds = {"yes": 0.0, "no": 0.0}
    for token in tokens[0].top_logprobs or tokens[:1]:
        word = token.token.strip().strip(".,!\"'").lower()
        if word in odds:
            odds[word] += math.exp(token.logprob)
    if not sum(odds.values()):
        raise JudgeReplyError(f"{identity} said neither yes nor no", raw=content)
    return odds["yes"] / sum(odds.values())


class GradeScore(_Grader):
    """`grade:JUDGE`: grade from 0 to 4 by a vision-language model, divided by 4."""

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """In [0, 1]."""
        chat = getattr(self.dependencies.judge(self.grader), "chat", None)
        if chat is None:
            raise UsageError(f"{self.spec}: {self.grader} is no vision-language model, and gives no marks")
        chat_image = await self._chat_image(sample)
        turns = [ChatMessage("user", (chat_image, GRADE.format(prompt=sample.case.prompt)))]
        content = {"prompt": turns[0].parts[1], "image": chat_image.sha256}
        calls = self._calls(sample)

        async def ask(variation: SamplingParams) -> TextScorer:
            return await _marked(chat, turns, variation)

        answer = await with_retries(
            lambda: calls.execute_and_parse("grade.marks", chat.identity, TextScorer, content, ask)
        )
        return {self.spec: int(MARK.findall(clean(answer.raw))[-1]) / 4}


async def _marked(chat: ChatModel, turns: list[ChatMessage], variation: SamplingParams) -> TextScorer:
    reply = await chat.ask(turns, schema=None, variation=variation)
    reply_text = clean(reply.text)
    if not MARK.search(reply_text):
        why = "" if reply_text else f": {silence(reply.text)}"
        unmarked = JudgeReplyError(f"{chat.identity} gave no mark{why}", raw=reply.text)
        raise unmarked.with_cost(reply.cost_usd, reply.usage)
    return TextScorer(raw=reply.text, cost_usd=reply.cost_usd, usage=reply.usage)
