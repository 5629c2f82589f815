"""Vision-language model over OpenAI's Chat Completions, at OpenAI or any compatible server.

Servers differ in the options they accept: temperature, seed, JSON schema, tools. Options that a model is declared to
refuse are not sent; an option that it refuses at run time (a 400 that names it) is left out from then on. Workarounds
for ChatOpenAI were checked against langchain-openai 1.7.3 and have a comment where they are.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from imagerag.agent.lone_surrogates import valid_text
from imagerag.agent.ports import SamplingParameter
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams
from imagerag.tools.judges.vlm.chat_protocol import TIMEOUT_S, ChatMessage, ChatResponse, Schema, answer_limit
from imagerag.tools.judges.vlm.error_mapping import FINAL_ERRORS, failure_of, image_limit, refused_form, unkept_form
from imagerag.tools.judges.vlm.hashed_chat_openai import (
    UnansweredError,
    image_bytes,
    new_client,
)
from imagerag.tools.judges.vlm.image_limits import known_limit, no_images, takes_none
from imagerag.tools.judges.vlm.images import SHEET_SIDE, on_sheets
from imagerag.tools.judges.vlm.messages import without_system
from imagerag.tools.judges.vlm.openai_messages import idempotency_headers, images_of, langchain_messages
from imagerag.tools.judges.vlm.reasoning import answer_text
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import is_refusal_reason, refusal
from imagerag.tools.pricing.billed_cost import listen
from imagerag.tools.pricing.call_cost import Price, cost_of, with_cost
from imagerag.tools.pricing.token_usage import counts_of
from imagerag.tools.spec import with_options

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableConfig
    from langchain_openai import ChatOpenAI

DECIDING: Final = 0.0
"""Sampling temperature of verdicts and captions, as in ImageRAG."""


@dataclass(kw_only=True)
class OpenAIChat:
    """One model on one server. Shared by any number of runs and event loops.

    Attributes:
        model: the server's name for it.
        account: address and key.
        timeout_s: for the whole response, in seconds.
        detail: "low", "high" or "auto" for services that support it; None leaves it out.
        temperature: default of questions without one; None is 0 for models that accept a temperature, and leaves it to
            the others.
        max_tokens: maximum length of a response; None leaves it to the service if length costs nothing (see
            `answer_tokens`).
        price: computes `cost_usd` from the usage that the service reports.
        refused: options that this model refuses, declared or found: "temperature", "seed", "json_schema", "tool",
            "system" (a system message), "detail", "max_tokens" (the limit is then sent under its other name).
        max_images: maximum number of images per request; more are put on one sheet. None is no limit, until the server
            reports one.
    """

    model: str
    account: OpenAICredentials = field(default_factory=OpenAICredentials.of)
    timeout_s: float = TIMEOUT_S
    detail: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    price: Price | None = field(default=None, repr=False)
    refused: set[str] = field(default_factory=set)
    max_images: int | None = None
    _image_limit: int | None = field(default=None, repr=False)
    _images_taken: int = field(default=0, repr=False)
    _clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, ChatOpenAI]" = field(
        default_factory=WeakKeyDictionary, repr=False
    )

    @property
    def identity(self) -> str:
        """`openai:MODEL`, the options that change responses, and the address if it is not OpenAI's, without secrets."""
        fields = {"detail": self.detail, "max_tokens": self.max_tokens, "temperature": self.temperature}
        fields["max_images"] = self.max_images
        return with_options(self.account.named_as("openai", self.model), fields)

    @property
    def answer_tokens(self) -> int | None:
        """Maximum number of response tokens; None for no limit."""
        return answer_limit(self.max_tokens, self.price)

    @property
    def honours(self) -> frozenset[SamplingParameter]:
        """Temperature unless declared or found to be refused; a seed until refused; prompt variants always."""
        varied: set[SamplingParameter] = {"prompt_variant"}
        if "temperature" not in self.refused and declared_temperature(self.model):
            varied.add("temperature")
        if "seed" not in self.refused:
            varied.add("seed")
        return frozenset(varied)

    @property
    def image_limit(self) -> int | None:
        """Maximum number of images per request: declared, found, or known of the model."""
        return min(
            (limit for limit in (self.max_images, self._image_limit, self._known_limit) if limit is not None),
            default=None,
        )

    @property
    def _known_limit(self) -> int | None:
        return known_limit(self.account.host, self.model)

    def image_check_needed(self, count: int) -> bool:
        """Whether it is unknown if the model takes `count` images (or one sheet of them)."""
        return self._images_taken < count and self.max_images is None and not (self._image_limit or self._known_limit)

    def images_checked(self, count: int, limit: int | None) -> None:
        """Store the result of an earlier check."""
        self._images_taken = max(self._images_taken, count)
        self._image_limit = limit if self._image_limit is None else self._image_limit

    @property
    def _temperature(self) -> float | None:
        """Default temperature of questions: the same image should get the same verdict again."""
        if self.temperature is None and "temperature" in self.honours:
            return DECIDING
        return self.temperature

    async def ask(
        self, turns: Sequence[ChatMessage], *, schema: Schema | None, variation: SamplingParams
    ) -> ChatResponse:
        """Send a conversation, in the best form that this server is known to accept.

        Raises:
            RefusalError: content policy.
            NoImagesError: the model takes no images.
            BackendError: no response; `retryable` says whether a retry can help.
            JudgeReplyError: the response is empty or cut off.
        """
        if self.max_images is None and self._known_limit == 0 and images_of(turns):
            raise no_images(self.identity)
        unkept: set[str] = set()  # forms that the model did not follow in this call
        while True:
            sampling, without = self._within_reach(variation), self.refused | unkept
            options, messages = self._options(schema, sampling, without), await self._fitted(turns, without)
            sent_fields = self._sent_fields(messages, options)
            try:
                message = await self._invoke(messages, options, without)
                self._images_taken = max(self._images_taken, len(images_of(turns)))
                return self._reply(message, _with(sampling, options))
            except Exception as error:
                form, again = refused_form(error, sent_fields), unkept_form(error, sent_fields)
                fewer = self._fewer(error, messages)
                failure = failure_of(error, self.identity, self.timeout_s, self.account.secrets)
                if form is None and images_of(messages) and takes_none(error) and not isinstance(failure, FINAL_ERRORS):
                    failure = no_images(self.identity, str(failure).removeprefix(f"{self.identity}: "))
            if again is not None and again not in without:
                unkept.add(again)
            elif fewer is not None:
                self._image_limit = fewer
            elif form is not None and form not in self.refused and not isinstance(failure, FINAL_ERRORS):
                self.refused.add(form)
            else:
                # Outside of the handler: `__context__` would keep the request, its key and its images alive.
                raise failure

    async def _fitted(self, turns: Sequence[ChatMessage], without: AbstractSet[str]) -> list[ChatMessage]:
        """Convert the conversation to a form that this server is known to accept."""
        messages = await in_thread(on_sheets, turns, self.image_limit, SHEET_SIDE)
        return without_system(messages) if "system" in without else messages

    def _fewer(self, error: Exception, messages: Sequence[ChatMessage]) -> int | None:
        """Image limit that an error names, if the request exceeded it; at least 1, for the judged image."""
        limit, count = image_limit(error), len(images_of(messages))
        return max(1, limit) if limit is not None and max(1, limit) < count else None

    def _sent_fields(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> set[str]:
        """Optional parts of the request, by their names in `refused`."""
        body = options.get("extra_body", {})
        fields = {
            "json_schema": "response_format" in body,
            "max_tokens": "max_tokens" in body,
            "tool": "tools" in options,
            "system": any(turn.role == "system" for turn in messages),
            "detail": self.detail is not None and "detail" not in self.refused,
        }
        return {name for name, is_sent in fields.items() if is_sent} | (options.keys() & {"temperature", "seed"})

    def _within_reach(self, variation: SamplingParams) -> SamplingParams:
        """Parameters that this model accepts: if it refuses temperature, a retry gets another seed.

        The caller, who reads `honours`, chooses the prompt variant. Only the call that finds the refusal gets here with
        a temperature: the first of a retry schedule, or the first of a process that resumes a run.
        """
        if variation.temperature is None or "temperature" in self.honours:
            return variation
        if not variation.attempt:
            return variation.model_copy(update={"temperature": None, "varied_parameter": "none"})
        seed = variation.attempt if variation.seed is None else variation.seed
        return variation.model_copy(update={"temperature": None, "varied_parameter": "seed_and_wording", "seed": seed})

    def _options(self, schema: Schema | None, variation: SamplingParams, without: AbstractSet[str]) -> dict[str, Any]:
        options: dict[str, Any] = {}
        temperature = self._temperature if variation.temperature is None else variation.temperature
        if temperature is not None and "temperature" not in without:
            options["temperature"] = temperature
        if variation.seed is not None and "seed" not in without:
            options["seed"] = variation.seed
        # ChatOpenAI would send the new name to every server; some know only the old one.
        new = self.account.official or "max_tokens" in without
        name = "max_completion_tokens" if new else "max_tokens"
        body: dict[str, Any] = {name: self.answer_tokens} if self.answer_tokens else {}
        if body:
            options["extra_body"] = body
        if schema is None:
            return options
        if "json_schema" not in without:
            form = {"name": schema.name, "strict": True, "schema": schema.json_schema}
            # As an ordinary option, ChatOpenAI would pass it to the SDK's `parse`, which raises on responses that were
            # cut off or filtered before they can be parsed here.
            options["extra_body"] = body | {"response_format": {"type": "json_schema", "json_schema": form}}
        elif "tool" not in without:
            function = {"name": schema.name, "strict": True, "parameters": schema.json_schema}
            options["tools"] = [{"type": "function", "function": function}]
            options["tool_choice"] = {"type": "function", "function": {"name": schema.name}}
        return options

    async def _invoke(
        self, turns: Sequence[ChatMessage], options: Mapping[str, Any], without: AbstractSet[str]
    ) -> "AIMessage":
        by_hash = {part.sha256: part for part in images_of(turns)}
        messages = langchain_messages(turns, None if "detail" in self.refused else self.detail)
        client, headers = self._client(), idempotency_headers(turns, {**options, "without": sorted(without)}) or None
        listen()
        try:
            with image_bytes(by_hash):
                async with asyncio.timeout(self.timeout_s):
                    config: RunnableConfig = {"run_name": self.identity}
                    return await client.ainvoke(messages, config, **options, extra_headers=headers)
        except UnansweredError as unanswered:
            error = unanswered.error
        raise error

    def _reply(self, message: "AIMessage", variation: SamplingParams) -> ChatResponse:
        reported = message.response_metadata.get("token_usage")
        usage, cost = counts_of(reported or {}), cost_of(self.price, self.model, reported)
        with with_cost(cost, usage):
            text, note = self._text(message)
        return ChatResponse(text=text, note=note, usage=usage, cost_usd=cost, variation=variation)

    def _text(self, message: "AIMessage") -> tuple[str, str]:
        declined = message.additional_kwargs.get("refusal")
        finish = message.response_metadata.get("finish_reason")
        if declined or is_refusal_reason(finish):
            words = str(declined or "its content filter stopped the answer")
            raise refusal(self.identity, words, self.account.secrets)
        calls = [json.dumps(call["args"], ensure_ascii=False) for call in message.tool_calls]
        broken = [str(call.get("args") or "") for call in message.invalid_tool_calls]
        text = next(iter([*calls, *broken]), "") or str(message.text)
        text = valid_text(text)
        extra_fields, cut_off = message.additional_kwargs, finish == "length"
        return answer_text(self.identity, text, extra_fields, cut_off=cut_off)

    def _client(self) -> "ChatOpenAI":
        """One client per event loop: a connection must not outlive the loop it was opened in."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = new_client(
                self.model, self.account, identity=self.identity, timeout_s=self.timeout_s
            )
        return client


@lru_cache(maxsize=64)
def declared_temperature(model: str) -> bool:
    """Whether a model may accept `temperature`, by LangChain's model profiles (vendor prefix and date aside)."""
    from langchain_openai import ChatOpenAI

    name = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model.rpartition("/")[2])
    profile: Mapping[str, Any] = ChatOpenAI(model=name, api_key="none").profile or {}  # type: ignore[arg-type]
    return bool(profile.get("temperature", True))


def _with(variation: SamplingParams, options: Mapping[str, Any]) -> SamplingParams:
    """The parameters with the temperature that was actually sent."""
    return variation.model_copy(update={"temperature": options.get("temperature")})
