"""Images from the `image_generation` tool of the Responses API, through langchain-openai's ChatOpenAI."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Unpack

from imagerag.agent.errors import SpecError, UnreadableImageError
from imagerag.agent.ports import GeneratedImage, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.image_decoding import checked, data_url, decoded
from imagerag.tools.generators.image_models import (
    BACKGROUNDS,
    FIDELITIES,
    FORMATS,
    MODERATIONS,
    check_options,
    check_request,
)
from imagerag.tools.generators.openai_generator import (
    HOSTED_OPTIONS,
    HostedModelConfig,
    OpenAIImageGenerator,
    described,
)
from imagerag.tools.openai import idempotency
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import map_openai_errors, refusal, unparsable, unreadable
from imagerag.tools.openai.text_replies import no_image_error
from imagerag.tools.pricing.call_cost import cost_of, price_of, usage_of, with_cost
from imagerag.tools.prompt_templates import with_template
from imagerag.tools.spec import BackendSpec
from imagerag.tools.spec_options import Choice, Reader

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

    from imagerag.tools.pricing.price_table import Prices

DEFAULT_IMAGE_MODEL: Final = "gpt-image-2.5-flare"


TOOL_OPTIONS: Final[Mapping[str, Reader]] = {
    "quality": str,
    "background": Choice(*BACKGROUNDS),
    "output_format": Choice(*FORMATS),
    "input_fidelity": Choice(*FIDELITIES),
    "moderation": Choice(*MODERATIONS),
}
OPTIONS: Final[Mapping[str, Reader]] = {**HOSTED_OPTIONS, **TOOL_OPTIONS, "image_model": str}
"""Options of a spec, after `?`: `image_model=gpt-image-2&quality=high`. The image tool's options go to the tool."""


class OpenAIResponsesImages(OpenAIImageGenerator):
    """`openai-responses:MODEL[@URL]`: a language model that calls the image tool, and may reword the prompt first.

    The reworded prompt is kept as `revised_prompt`. `cost_usd` covers the language model's tokens, because the service
    reports no others.

    Args:
        model: the language model that calls the tool.
        image_model: the tool's image model. Always sent, because the service's default changes.
        tool: more options of the tool, for instance `{"quality": "high"}`.
        model_config: its address and model facts (see `HostedModelConfig`).

    Raises:
        UsageError: the image model does not accept an option.
    """

    def __init__(
        self,
        model: str,
        *,
        image_model: str = DEFAULT_IMAGE_MODEL,
        tool: Mapping[str, Any] | None = None,
        **model_config: Unpack[HostedModelConfig],
    ) -> None:
        self._tool = {"type": "image_generation", "model": image_model, **(tool or {})}
        fields = {"image_model": None if image_model == DEFAULT_IMAGE_MODEL else image_model, **(tool or {})}
        super().__init__("openai-responses", model, model_config, draws=image_model, identity_options=fields)
        check_options(self.identity, self._facts, tool or {})

    @classmethod
    def from_spec(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "OpenAIResponsesImages":
        """`openai-responses:MODEL[?OPTIONS][@URL]`; the options are in `OPTIONS`.

        Raises:
            SpecError: no model named (there is no default), or an invalid option.
        """
        options = with_template(spec.settings(OPTIONS), cls.own_template)
        if not spec.model:
            raise SpecError(f"{str(spec)!r} names no model: write openai-responses:MODEL, the language model")
        # The reported usage is the language model's: the image tool's is billed in addition.
        price = price_of(prices, spec.model, OpenAICredentials.of_spec(spec), complete=False)
        tool = {name: options.pop(name) for name in TOOL_OPTIONS if name in options}
        facts = described(options.get("image_model", DEFAULT_IMAGE_MODEL), options)
        return cls(spec.model, base_url=spec.base_url, price=price, facts=facts, tool=tool, **options)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image.

        Raises:
            UsageError: the request exceeds the image model's documented limits; nothing was sent.
            RefusalError: content policy.
            BackendError: no usable image in the response.
        """
        check_request(self.identity, self._facts, prompt, len(references), size)
        key = self._account.sent_key(self.identity)
        ask = self._ask(prompt, references, size, key)
        return await map_openai_errors(self.identity, ask, timeout_s=self._timeout_s, secrets=self._account.secrets)

    async def _ask(self, prompt: str, references: Sequence[ImagePart], size: Size | None, key: str) -> GeneratedImage:
        from langchain_core.messages import HumanMessage
        from langsmith.run_helpers import tracing_context

        parts: list[str | dict[Any, Any]] = [{"type": "text", "text": self._words(prompt)}]
        urls = [data_url(part.data, part.media_type) for part in references]
        parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        tool = self._tool | ({"size": str(size)} if size else {})
        while True:
            # The tool's type and model cannot be left out: without them another image, or none, would be generated.
            tool_sent = self._refused.without(tool)
            # No trace may hold images: neither inherited callbacks nor LangSmith's own see this call.
            request = self._drawer(tool_sent, key).ainvoke([HumanMessage(content=parts)], {"callbacks": []})
            try:
                with tracing_context(enabled=False):
                    message = await self._readable(request)
                break
            except Exception as error:
                if not self._refused.learn(error, {**tool_sent, "type": None, "model": None}):
                    raise
        return replace(await self._read(message), fallback_errors=self._refused.said_of(tool))

    async def _readable(self, request: "Awaitable[AIMessage]") -> "AIMessage":
        """The response. On a 200 that is no Responses object, ChatOpenAI raises the exception of its parser."""
        try:
            return await request
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            broken, stumbled = unparsable(self.identity, error), type(error).__name__
        if isinstance(broken, UnreadableImageError):
            raise broken
        raise unreadable(self.identity, f"something that is no Responses answer ({stumbled})")

    def _drawer(self, tool: dict[str, Any], key: str) -> "Runnable[Any, AIMessage]":
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        from imagerag.tools.http_client import http_client

        model = ChatOpenAI(
            model=self._model,
            base_url=self._account.base_url,
            default_query=dict(self._account.query) or None,
            api_key=SecretStr(key),
            use_responses_api=True,
            max_retries=0,
            timeout=self._timeout_s,
            disable_streaming=True,
            http_async_client=http_client(),
        )
        must = {"type": "image_generation"}
        drawer: Runnable[Any, AIMessage] = model.bind_tools([tool], tool_choice=must)
        headers = idempotency.headers()
        return drawer.bind(extra_headers=headers) if headers else drawer

    async def _read(self, message: "AIMessage") -> GeneratedImage:
        cost = cost_of(self._price, self._model, message.usage_metadata)
        usage = usage_of(message.usage_metadata)
        with with_cost(cost, usage):
            data, media_type, revised = await self._image_of(message)
        return GeneratedImage(data=data, media_type=media_type, revised_prompt=revised, cost_usd=cost, usage=usage)

    async def _image_of(self, message: "AIMessage") -> tuple[bytes, str, str | None]:
        """The image, checked, its media type, and the reworded prompt."""
        blocks: list[Any] = list(message.content_blocks)
        image = next((block for block in blocks if block["type"] == "image" and block.get("base64")), None)
        if image is None:
            declined = message.additional_kwargs.get("refusal")
            if declined:
                raise refusal(self.identity, str(declined), self._account.secrets)
            raise no_image_error(self.identity, str(message.text), self._account.secrets)
        data, media_type = await checked(decoded(image["base64"], self.identity), self.identity)
        revised = (image.get("extras") or {}).get("revised_prompt")
        return data, media_type, revised if isinstance(revised, str) else None
