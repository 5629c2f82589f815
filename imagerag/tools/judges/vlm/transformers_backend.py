"""A vision-language model in this process, through transformers: `transformers:MODEL` or `transformers:/DIR`.

Supports any model that `AutoModelForImageTextToText` loads and whose processor has a chat template: Qwen-VL, LLaVA,
Gemma, … The prompt describes the form of the response; decoding is unconstrained. Checked against transformers 5.23.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar, Final

from imagerag.agent.control_tokens import without_tokens
from imagerag.agent.errors import BackendError, JudgeReplyError, first_line
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import FREE, Embedder, PriceEstimator, SamplingParameter
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.diffusers.devices import (
    DTYPES,
    choose_device,
    choose_dtype,
    free,
    is_out_of_memory,
    out_of_memory,
    seeded,
    worker,
)
from imagerag.tools.generators.diffusers.weight_sources import is_here, short
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage, ChatResponse, Schema
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.spec import JUDGE_OPTIONS, pop_judge_options
from imagerag.tools.judges.vlm.tokenizer import control_tokens_of, decoded
from imagerag.tools.judges.vlm.transformers_loading import SMALLER, LoadedModel, check_local, load
from imagerag.tools.model_text import clean
from imagerag.tools.pricing.call_cost import with_cost
from imagerag.tools.spec import with_options
from imagerag.tools.spec_options import Choice, Number, Reader

if TYPE_CHECKING:
    from imagerag.tools.spec import BackendSpec

MAX_NEW_TOKENS: Final = 1024
SETTINGS: Final[Mapping[str, Reader]] = {
    **JUDGE_OPTIONS, "device": str, "dtype": Choice(*DTYPES), "max_new_tokens": Number(int, least=1),
}  # fmt: skip
"""Options of a spec, after `?`."""


class _Free:
    """Price of local computation: zero."""

    def __call__(self, model: str, usage: Mapping[str, Any]) -> float:
        return 0.0

    def tariff(self, *, draws: bool, quality: str | None = None, answer: int | None = None) -> PriceEstimator:
        """The maximum cost is known before a call: zero."""
        return FREE


@dataclass(frozen=True, kw_only=True)
class TransformersChat:
    """One model in this process, loaded on first use and kept. Responses are generated one at a time.

    Decoding is greedy unless a temperature above 0 is set; then tokens are sampled with the given seed. A cancelled
    call stops at the next token.

    Attributes:
        model: repository id or local directory.
        device: "cpu", "cuda", "mps"; None takes the best there is.
        dtype: "float32", "float16" or "bfloat16"; None takes what the device computes fast.
        max_new_tokens: maximum length of a response, in tokens.
        price: zero.
    """

    price: ClassVar[_Free] = _Free()
    model: str
    device: str | None = None
    dtype: str | None = None
    max_new_tokens: int = MAX_NEW_TOKENS
    honours: frozenset[SamplingParameter] = field(
        default=frozenset({"temperature", "seed", "prompt_variant"}), init=False
    )

    @property
    def identity(self) -> str:
        """`transformers:MODEL`, a directory by its name, and the options that change responses."""
        length = self.max_new_tokens if self.max_new_tokens != MAX_NEW_TOKENS else None
        return with_options(f"transformers:{short(self.model)}", {"dtype": self.dtype, "max_new_tokens": length})

    def ready(self) -> str:
        """The device, and whether the weights are present; loads and downloads nothing.

        Raises:
            ImageRAGError: a directory without a model, or an unavailable device.
        """
        place = choose_device(self.device, "transformers")
        numbers = str(choose_dtype(self.dtype, place)).removeprefix("torch.")
        return f"on {place} in {numbers}; {is_here(self.model, 'config.json')}"

    async def ask(
        self, turns: Sequence[ChatMessage], *, schema: Schema | None, variation: SamplingParams
    ) -> ChatResponse:
        """Send a conversation and return the model's response.

        Returns:
            The text, token counts of input and output, and a cost of 0.

        Raises:
            MissingExtraError: transformers, or a package that this model needs, is not installed.
            BackendError: the weights cannot be loaded, memory is exhausted, or the model fails.
            JudgeReplyError: the response is empty or cut off.
        """
        stop = Event()
        work = asyncio.get_running_loop().run_in_executor(worker(), self._answer, turns, schema, variation, stop)
        try:
            return await work
        finally:
            stop.set()

    def _answer(
        self, turns: Sequence[ChatMessage], schema: Schema | None, variation: SamplingParams, stop: Event
    ) -> ChatResponse:
        loaded = load(self.model, self.device, self.dtype)
        failure = None
        try:
            messages = _messages(turns, schema, control_tokens_of(loaded.processor))
            input_ids, output_ids, ended = self._generate(loaded, messages, variation, stop)
        except Exception as error:
            failure = self._failure(error)
        if failure is not None:  # raised outside of the handler, which would keep the model's tensors alive
            free()
            raise failure
        text = decoded(loaded.processor, input_ids, output_ids)
        usage = {"input_tokens": len(input_ids), "output_tokens": len(output_ids)}
        with with_cost(0.0, usage):
            self._check_text(text, ended=ended)
        return ChatResponse(text=text, usage=usage, cost_usd=0.0, variation=variation)

    def _check_text(self, text: str, *, ended: bool) -> None:
        if not ended:
            message = f"{self.identity} was cut off at {self.max_new_tokens} tokens: set max_new_tokens higher"
            raise JudgeReplyError(message, raw=text)
        if not text.strip():
            raise JudgeReplyError(f"{self.identity} answered with nothing")
        if not clean(text):
            raise JudgeReplyError(f"{self.identity} sent reasoning and no answer after it", raw=text)

    def _failure(self, error: Exception) -> BackendError:
        if is_out_of_memory(error):
            return out_of_memory(self.identity, SMALLER)
        message = f"{self.identity} could not answer: {type(error).__name__}: {first_line(error)}"
        return BackendError(message, retryable=False)

    def _generate(
        self, loaded: LoadedModel, messages: list[dict[str, Any]], variation: SamplingParams, stop: Event
    ) -> tuple[list[int], list[int], bool]:
        """Input tokens, output tokens, and whether the response ended by itself."""
        import torch

        model = loaded.model
        inputs = _read(loaded.processor, messages).to(model.device, dtype=model.dtype)
        length = int(inputs["input_ids"].shape[1])
        with seeded(str(model.device), variation.seed), torch.inference_mode():
            whole = model.generate(
                **inputs,
                **_sampling(variation),
                max_new_tokens=self.max_new_tokens,
                stopping_criteria=[lambda ids, _scores, **_: torch.full((len(ids),), stop.is_set())],
            )
        tokens = whole[0, length:].tolist()
        ends = model.generation_config.eos_token_id
        ended = len(tokens) < self.max_new_tokens or tokens[-1] in (ends if isinstance(ends, list) else [ends])
        return inputs["input_ids"][0].tolist(), tokens, ended


@dataclass(frozen=True, kw_only=True)
class TransformersJudge(VlmJudge):
    """A `VlmJudge` whose model is in this process."""

    chat: TransformersChat

    def ready(self) -> str:
        """See `TransformersChat.ready`."""
        return self.chat.ready()


def transformers_judge(spec: "BackendSpec", *, embedder: Embedder | None = None) -> TransformersJudge:
    """`transformers:MODEL` or `transformers:/DIR`, with `SETTINGS` after a `?`: a judge in this process.

    Args:
        embedder: ignored; this judge needs none.

    Raises:
        SpecError: no model, an address, or an unknown option.
        MissingExtraError: transformers is not installed.
    """
    settings = spec.settings(SETTINGS)
    check_local(spec)
    own = pop_judge_options(settings)
    return TransformersJudge(chat=TransformersChat(model=spec.model, **settings), **own)


def _messages(turns: Sequence[ChatMessage], schema: Schema | None, tokens: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Convert messages for chat templates, with the form of the response described at the end.

    Args:
        tokens: the tokenizer's control tokens; they are neutralised in every text.
    """
    messages: list[dict[str, Any]] = [
        {"role": turn.role, "content": [_part(part, tokens) for part in turn.parts]} for turn in turns
    ]
    if schema is not None and messages:
        form = json.dumps(schema.json_schema, ensure_ascii=False)
        instruction = f"Answer with one JSON object and nothing else. It must fit this JSON schema:\n{form}"
        messages[-1]["content"].append({"type": "text", "text": instruction})
    return messages


def _part(part: str | ChatImage, tokens: Sequence[str]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": without_tokens(part, tokens)}
    return {"type": "image", "image": open_rgb(part.data)}


def _read(processor: Any, messages: list[dict[str, Any]]) -> Any:
    """The model's inputs. For templates without a system message, its text goes before the first question."""
    from jinja2 import TemplateError

    form: Mapping[str, Any] = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
    try:
        return processor.apply_chat_template(messages, add_generation_prompt=True, **form)
    except TemplateError:
        if len(messages) < 2 or messages[0]["role"] != "system":
            raise
        joined = {"role": "user", "content": [*messages[0]["content"], *messages[1]["content"]]}
        return processor.apply_chat_template([joined, *messages[2:]], add_generation_prompt=True, **form)


def _sampling(variation: SamplingParams) -> dict[str, Any]:
    """Generation arguments: greedy, whatever the model's own settings say, unless a temperature is set."""
    if variation.temperature:
        return {"do_sample": True, "temperature": variation.temperature}
    return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
