"""Images from chat completions that respond with images: OpenRouter, Gemini's compatible endpoint, vLLM."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Unpack

from imagerag.agent.errors import SpecError, UsageError
from imagerag.agent.ports import Capabilities, GeneratedImage, ImagePart, SizeRules
from imagerag.agent.size_translation import RATIO_TOLERANCE
from imagerag.agent.types import SamplingParams, Size
from imagerag.agent.types.sizes import SIDES
from imagerag.tools.generators.image_decoding import (
    checked,
    data_url,
    decoded,
    first_image,
    is_address,
    is_path,
    misplaced,
)
from imagerag.tools.generators.image_models import CHAT_TEMPLATE, check_request
from imagerag.tools.generators.openai_generator import (
    HOSTED_OPTIONS,
    HostedModelConfig,
    OpenAIImageGenerator,
    described,
    digest,
)
from imagerag.tools.openai import idempotency
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import check_error_field, is_refusal_reason, map_openai_errors, refusal, unreadable
from imagerag.tools.openai.text_replies import no_image_error
from imagerag.tools.pricing.call_cost import cost_of, price_of, usage_of, with_cost
from imagerag.tools.prompt_templates import with_template
from imagerag.tools.reasoning_tags import answer_in
from imagerag.tools.spec import BackendSpec
from imagerag.tools.spec_options import Hosts, Reader, Words

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

    from imagerag.tools.pricing.price_table import Prices

RATIOS: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Aspect ratios of OpenRouter's `image_config` [doc]."""

WIDEST: Final = 21 / 9 * RATIO_TOLERANCE

_MARKDOWN: Final = re.compile(r"!\[[^\]]*\]\(\s*(<?)(?P<url>data:image/[^)>\"']+|https?://[^)\s>]+)>?[^)]*\)")
_BARE: Final = re.compile(
    r"data:image/[\w.+-]+(?:;[\w.+-]+=[^;,\s]*)*;base64,\s*[A-Za-z0-9+/_-]+(?:[ \t]*\r?\n[ \t]*[A-Za-z0-9+/_-]+)*={0,2}"
)


MODALITIES: Final = ("image", "text")

OPTIONS: Final[Mapping[str, Reader]] = {
    **HOSTED_OPTIONS,
    "modalities": Words(*MODALITIES),
    "image_config": bool,
    "image_hosts": Hosts(),
}
"""Options of a spec, after `?`, as arguments of `OpenAIChatImages`: `modalities=image`, `image_config=true`, …"""


class OpenAIChatImages(OpenAIImageGenerator):
    """`openai-chat:MODEL@URL`: references are image parts of one user message, the image comes in the response.

    Args:
        modalities: allowed kinds of output; image-only models need `("image",)`. Empty sends none.
        image_config: whether a size is sent as an aspect ratio in `image_config`; by default at OpenRouter only.
            Otherwise no size can be requested.
        extra_body: more fields of the request.
        image_hosts: other hosts from which URLs in the model's own text, with a query, are downloaded.
        model_config: its address and model facts (see `HostedModelConfig`).
    """

    own_template = CHAT_TEMPLATE

    def __init__(
        self,
        model: str,
        *,
        modalities: Sequence[str] = MODALITIES,
        image_config: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        image_hosts: Sequence[str] = (),
        **model_config: Unpack[HostedModelConfig],
    ) -> None:
        self._modalities, self._extra = list(modalities), dict(extra_body or {})
        self._image_hosts = tuple(image_hosts)
        modalities_option = None if self._modalities == list(MODALITIES) else " ".join(self._modalities) or "none"
        fields = {"modalities": modalities_option, "image_config": image_config, "extra": digest(self._extra)}
        super().__init__("openai-chat", model, model_config, identity_options=fields)
        self._image_config = self._account.host == "openrouter.ai" if image_config is None else image_config

    @classmethod
    def from_spec(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "OpenAIChatImages":
        """`openai-chat:MODEL[?OPTIONS][@URL]`; the options are in `OPTIONS`.

        Raises:
            SpecError: no model named (there is no default), or an invalid option.
        """
        options = with_template(spec.settings(OPTIONS), cls.own_template)
        if not spec.model:
            raise SpecError(f"{str(spec)!r} names no model: write openai-chat:MODEL@URL")
        price = price_of(prices, spec.model, OpenAICredentials.of_spec(spec))
        return cls(spec.model, base_url=spec.base_url, price=price, facts=described(spec.model, options), **options)

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """None where a size can be sent, as an aspect ratio and a resolution; empty where it cannot."""
        return self._facts.sizes if self._image_config else ()

    @property
    def capabilities(self) -> Capabilities:
        """What to set where no size can be sent."""
        rules = SizeRules(max_aspect=WIDEST, remedy="leave `size` out, or write ?image_config=true after its model")
        return replace(super().capabilities, size_rules=rules)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image. A size is requested as the nearest aspect ratio and, above a megapixel, resolution.

        Raises:
            UsageError: prompt too long, too many images, or a size where none can be requested; nothing was sent.
            RefusalError: content policy.
            BackendError: no usable image in the response.
        """
        check_request(self.identity, self._facts, prompt, len(references), size)
        if size and not self._image_config:
            raise UsageError(f"{self.identity} cannot be asked for a size; leave it out, or set image_config=True")
        ask = self._ask(prompt, references, size)
        return await map_openai_errors(self.identity, ask, timeout_s=self._timeout_s, secrets=self._account.secrets)

    async def _ask(self, prompt: str, references: Sequence[ImagePart], size: Size | None) -> GeneratedImage:
        parts: list[dict[str, Any]] = [{"type": "text", "text": self._words(prompt)}]
        urls = [data_url(part.data, part.media_type) for part in references]
        parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        params: dict[str, Any] = {"model": self._model, "messages": [{"role": "user", "content": parts}]}
        if self._modalities:
            params["modalities"] = self._modalities
        extra = self._extra | ({"image_config": _image_config(size)} if size else {})
        params |= {"extra_body": extra or None, "extra_headers": idempotency.headers()}
        client = self._account.client(self.identity, self._timeout_s)
        while True:
            request = self._refused.without(params)
            try:
                answer = await client.chat.completions.create(**request)
                break
            except Exception as error:
                if not self._refused.learn(error, request):
                    raise
        return replace(await self._read(answer), fallback_errors=self._refused.said_of(params))

    async def _read(self, answer: Any) -> GeneratedImage:
        from openai.types.chat import ChatCompletion

        if not isinstance(answer, ChatCompletion):
            raise unreadable(self.identity, "something that is no chat completion; does the address end in /v1?")
        cost, usage = cost_of(self._price, self._model, answer.usage), usage_of(answer.usage)
        with with_cost(cost, usage):
            data, media_type = await self._image_of(answer)
        return GeneratedImage(data=data, media_type=media_type, cost_usd=cost, usage=usage)

    async def _image_of(self, answer: "ChatCompletion") -> tuple[bytes, str]:
        """The image, checked, and its media type."""
        secrets, choice = self._account.secrets, answer.choices[0] if answer.choices else None
        url, by_model = next(image_urls(choice.message), (None, False)) if choice is not None else (None, False)
        if url is None:  # an image in the response is used, whatever text comes with it
            check_error_field((answer.model_extra or {}).get("error"), self.identity, secrets)
        if choice is None:
            raise unreadable(self.identity, "nothing")
        extra = choice.model_extra or {}
        if url is None:
            check_error_field(extra.get("error"), self.identity, secrets)
        if choice.message.refusal:
            raise refusal(self.identity, choice.message.refusal, secrets)
        if url is None:
            if is_refusal_reason(choice.finish_reason) or is_refusal_reason(extra.get("native_finish_reason")):
                raise refusal(self.identity, _text(choice.message.content), secrets)
            raise misplaced(answer, self.identity) or no_image_error(
                self.identity, _text(choice.message.content), secrets
            )
        if is_address(url) or is_path(url):
            data = await self._fetched(url, by_model=by_model, hosts=self._image_hosts)
        else:
            data = decoded(url, self.identity)
        return await checked(data, self.identity)


_BASE64: Final = re.compile(r"\s*(?:iVBORw0KGgo|/9j/|UklGR)[\w+/=\s-]{40,}$")
"""A text that consists of an image only."""


def image_urls(message: Any) -> Iterator[tuple[str, bool]]:
    """URLs (mostly data URLs) or base64 of a message's images, in all forms that services use, and whether they come
    from the model's own text.

    `message.images` (OpenRouter), `message.image` (LiteLLM), parts of a content list (vLLM-omni and others), and
    Markdown or a bare data URL in the text.
    """
    extra, content = message.model_extra or {}, message.content
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    images = [{name: part[name] for name in part if name not in ("text", "type")} for part in parts]
    placed = map(first_image, [{"images": extra.get("images")}, {"image": extra.get("image")}, *images])
    yield from ((url, False) for url in placed if url)
    text = answer_in(_text(content))
    yield from ((match["url"], True) for match in _MARKDOWN.finditer(text))
    yield from ((match[0], True) for match in _BARE.finditer(text))
    if _BASE64.match(text):
        yield text, True


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping)]
        return "\n".join(str(part["text"]) for part in parts if part.get("text"))
    return content if isinstance(content, str) else ""


def _image_config(size: Size) -> dict[str, str]:
    """OpenRouter's names of a size. The smallest resolution is every model's own, and is not sent."""
    side = (size.width * size.height) ** 0.5
    resolution = min(SIDES, key=lambda name: abs(math.log(SIDES[name] / side)))
    larger = {"image_size": resolution} if SIDES[resolution] > SIDES["1K"] else {}
    return {"aspect_ratio": nearest_ratio(size), **larger}


def nearest_ratio(size: Size) -> str:
    """The aspect ratio nearest to a size, as `W:H`."""

    def distance(ratio: str) -> float:
        width, _, height = ratio.partition(":")
        return abs(math.log(size.width / size.height) - math.log(int(width) / int(height)))

    return min(RATIOS, key=distance)
