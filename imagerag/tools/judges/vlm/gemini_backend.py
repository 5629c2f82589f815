"""Vision-language model over the Gemini API: `gemini:MODEL`, for a judge, an answerer and a describer."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import Embedder, SamplingParameter
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams
from imagerag.tools.credentials import Variable
from imagerag.tools.gemini.client import GeminiCredentials
from imagerag.tools.gemini.errors import map_gemini_errors, status_error
from imagerag.tools.gemini.responses import GeminiResponse, read_response, refusal_of
from imagerag.tools.gemini.server_check import check_model
from imagerag.tools.judges.vlm.chat_protocol import (
    TIMEOUT_S,
    ChatImage,
    ChatMessage,
    ChatResponse,
    Schema,
    answer_limit,
)
from imagerag.tools.judges.vlm.error_mapping import FINAL_ERRORS, refused_form
from imagerag.tools.judges.vlm.images import SHEET_SIDE, on_sheets
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.messages import without_system
from imagerag.tools.judges.vlm.reasoning import answer_text
from imagerag.tools.judges.vlm.spec import JUDGE_OPTIONS, pop_judge_options
from imagerag.tools.pricing.call_cost import Price, cost_of, with_cost
from imagerag.tools.pricing.token_usage import counts_of
from imagerag.tools.spec import with_options
from imagerag.tools.spec_options import Choice, Number, Reader, Words, without_none

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices
    from imagerag.tools.spec import BackendSpec

IMAGE_LIMIT: Final = 3_600
"""Maximum number of images per request, from Google's documentation."""

OPTIONS: Final[Mapping[str, Reader]] = {
    **JUDGE_OPTIONS,
    "key_env": Variable(),
    "max_tokens": Number(int, least=1),
    "max_images": Number(int, least=1),
    "refuses": Words("temperature", "seed", "json_schema", "system"),
    "temperature": Number(float, least=0, most=2),
    "thinking": Choice("minimal", "low", "medium", "high"),
    "timeout_s": Number(float, least=0.1),
}
"""Options of a spec, after `?`: `gemini:gemini-3.8-flash?votes=3&thinking=low`."""


@dataclass(kw_only=True)
class GeminiChat:
    """One model at one address. Shared by any number of runs and event loops.

    Attributes:
        model: the service's name for it.
        account: address and key.
        timeout_s: for the whole response, in seconds.
        temperature: default of questions without one; None leaves it to the service, as Google advises for Gemini 3.
        thinking: thinking level; None leaves it to the service.
        max_tokens: maximum length of a response, thoughts included.
        max_images: maximum number of images per request; more are put on one sheet.
        price: computes `cost_usd` from the usage that the service reports.
        refused: options that this model refuses, declared or found: "temperature", "seed", "json_schema", "system".
    """

    model: str
    account: GeminiCredentials = field(default_factory=GeminiCredentials.of)
    timeout_s: float = TIMEOUT_S
    temperature: float | None = None
    thinking: str | None = None
    max_tokens: int | None = None
    max_images: int | None = None
    price: Price | None = field(default=None, repr=False)
    refused: set[str] = field(default_factory=set)

    @property
    def identity(self) -> str:
        """`gemini:MODEL`, the options that change responses, and the address if it is not Google's."""
        options = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "max_images": self.max_images,
            "thinking": self.thinking,
        }
        return with_options(self.account.named_as(self.model), options)

    @property
    def answer_tokens(self) -> int | None:
        """Maximum number of response tokens; None for no limit."""
        return answer_limit(self.max_tokens, self.price)

    @property
    def honours(self) -> frozenset[SamplingParameter]:
        """Temperature and seed unless declared or found to be refused; prompt variants always."""
        varied: set[SamplingParameter] = {"temperature", "seed", "prompt_variant"}
        return frozenset(varied - self.refused)

    @property
    def image_limit(self) -> int:
        """Maximum number of images per request."""
        return self.max_images or IMAGE_LIMIT

    async def check_server(self) -> tuple[str, tuple[str, ...]]:
        """Check that the service has the model: see `gemini/server_check.py`."""
        return await check_model(self.identity, self.model, self.account)

    async def ask(
        self, turns: Sequence[ChatMessage], *, schema: Schema | None, variation: SamplingParams
    ) -> ChatResponse:
        """Send a conversation, in the best form that this model is known to accept.

        Raises:
            MissingExtraError: google-genai is not installed.
            RefusalError: content policy.
            BackendError: no response; `retryable` says whether a retry can help.
            JudgeReplyError: the response is empty or cut off.
        """
        fitted_turns = await in_thread(on_sheets, turns, self.image_limit, SHEET_SIDE)
        while True:
            messages = without_system(fitted_turns) if "system" in self.refused else fitted_turns
            config = self._config(messages, schema, variation)
            sent_fields = _optional_fields(config)
            refusals: list[str] = []
            try:
                text = await map_gemini_errors(
                    self.identity,
                    self._send(messages, config, sent_fields, refusals),
                    self.account,
                    timeout_s=self.timeout_s,
                )
                break
            except FINAL_ERRORS:
                raise
            except Exception:
                if not refusals or refusals[0] in self.refused:
                    raise
                self.refused.add(refusals[0])
        sampling = variation.model_copy(update={"temperature": config.get("temperature")})
        return self._reply(read_response(text, self.identity), sampling)

    async def _send(
        self,
        turns: Sequence[ChatMessage],
        config: Mapping[str, Any],
        sent_fields: AbstractSet[str],
        refusals: list[str],
    ) -> str:
        """Send one request; an option that the model refuses is added to `refusals`."""
        contents = [_content(turn) for turn in turns if turn.role != "system"]
        try:
            return await self.account.generate(self.identity, self.model, contents, config)
        except Exception as error:
            answered = status_error(error)
            refusals += filter(None, [refused_form(answered, sent_fields) if answered is not None else None])
            raise

    def _config(self, turns: Sequence[ChatMessage], schema: Schema | None, variation: SamplingParams) -> dict[str, Any]:
        temperature = self.temperature if variation.temperature is None else variation.temperature
        options = without_none(
            system_instruction="\n\n".join(_texts(turn) for turn in turns if turn.role == "system") or None,
            temperature=temperature if "temperature" not in self.refused else None,
            seed=variation.seed if "seed" not in self.refused else None,
            max_output_tokens=self.answer_tokens,
            thinking_config={"thinking_level": self.thinking.upper()} if self.thinking else None,
        )
        if schema is None or "json_schema" in self.refused:
            return options
        form = {"response_mime_type": "application/json", "response_json_schema": dict(schema.json_schema)}
        return options | form

    def _reply(self, response: GeminiResponse, variation: SamplingParams) -> ChatResponse:
        usage, cost = counts_of(response.usage or {}), cost_of(self.price, self.model, response.usage)
        with with_cost(cost, usage):
            if refused := refusal_of(response, self.identity, self.account.secrets):
                raise refused
            cut_off = response.finish_reason == "MAX_TOKENS"
            text, note = answer_text(self.identity, response.text, {}, cut_off=cut_off)
        return ChatResponse(text=text, note=note, usage=usage, cost_usd=cost, variation=variation)


def gemini_judge(spec: "BackendSpec", *, embedder: Embedder | None = None, prices: "Prices | None" = None) -> VlmJudge:
    """`gemini:MODEL[?OPTIONS][@URL]`: a judge on a Gemini model.

    Args:
        embedder: ignored; this judge needs none.

    Raises:
        SpecError: no model is named, or an invalid option; valid ones are in `OPTIONS`.
    """
    settings = spec.model_settings(OPTIONS)
    own = pop_judge_options(settings)
    account, refused = GeminiCredentials.of_spec(spec), set(settings.pop("refuses", ()))
    price = None if prices is None else prices.of(spec.model, account.host)
    return VlmJudge(chat=GeminiChat(model=spec.model, account=account, price=price, refused=refused, **settings), **own)


def _optional_fields(config: Mapping[str, Any]) -> set[str]:
    """Optional parts of a request, by their names in `GeminiChat.refused`."""
    fields = {"json_schema": "response_json_schema", "system": "system_instruction"}
    return {name for name in ("temperature", "seed", *fields) if fields.get(name, name) in config}


def _content(turn: ChatMessage) -> dict[str, Any]:
    parts = [
        {"text": part} if isinstance(part, str) else {"inline_data": {"data": part.data, "mime_type": part.media_type}}
        for part in turn.parts
    ]
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _texts(turn: ChatMessage) -> str:
    return "\n\n".join(part for part in turn.parts if not isinstance(part, ChatImage))
