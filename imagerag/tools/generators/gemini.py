"""Images from Google's Gemini models over their own API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import BackendError, ImageRAGError, SpecError, UsageError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import encode
from imagerag.agent.ports import Capabilities, GeneratedImage, ImagePart, PriceEstimator, ReferenceTemplate
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.credentials import Variable
from imagerag.tools.gemini.client import GeminiCredentials
from imagerag.tools.gemini.errors import map_gemini_errors
from imagerag.tools.gemini.grounding import KINDS, search_tool, web_sources
from imagerag.tools.gemini.image_models import (
    DEFAULT_MODEL,
    MAX_IMAGE_BYTES,
    UNKNOWN,
    GeminiImageModel,
    Tier,
    image_model,
)
from imagerag.tools.gemini.responses import GeminiResponse, read_response, refusal_of
from imagerag.tools.gemini.server_check import check_model
from imagerag.tools.generators.image_decoding import checked, decoded
from imagerag.tools.generators.image_models import CHAT_TEMPLATE, ImageModel, check_request
from imagerag.tools.generators.reference_checks import check_reference
from imagerag.tools.openai.text_replies import no_image_error
from imagerag.tools.pricing.call_cost import Price, cost_of, tariff_of, usage_of, with_cost
from imagerag.tools.prompt_templates import TEMPLATE_OPTIONS, with_template
from imagerag.tools.spec import BackendSpec, with_options
from imagerag.tools.spec_options import Choice, Number, Reader, Words, without_none

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices

TIMEOUT_S: Final = 300.0
"""An image of 4K with searches takes minutes."""

MAX_TOKENS: Final = 12_288
"""Default maximum of response tokens: the largest image counts 3,780, and the rest is left for thoughts. With it the
maximum cost is known before the request."""

LONGEST_SIDE: Final = 2048
"""Pixels of a reference that is too large a file to be sent as it is."""

OPTIONS: Final[Mapping[str, Reader]] = {
    "key_env": Variable(),
    "timeout_s": Number(float, least=0.1),
    "max_references": Number(int, least=0, most=16),
    "image_size": Choice("512", "1K", "2K", "4K"),
    "grounding": Words(*KINDS),
    "thinking": Choice("minimal", "low", "medium", "high"),
    "max_tokens": Number(int, least=1),
    **TEMPLATE_OPTIONS,
}
"""Options of a spec, after `?`: `grounding=image&image_size=2K`.

`image_size` is for images without a size of their own, and of a model that `gemini/image_models.py` does not list the
only one. `max_tokens` limits thoughts and image together."""


class GeminiImages:
    """`gemini:MODEL[?OPTIONS][@URL]`: prompt and references are one message, the image comes in the response.

    A size is sent as aspect ratio and image size; the image is used in the size that the service drew. A seed is sent,
    and makes no promise. Masks are not supported by the API.

    Args:
        model: the service's name for it.
        account: address and key.
        facts: limits of the model; by default those that `gemini/image_models.py` has for its name.
        grounding: what the model may search by itself: "image", "web", or both.
        image_size: image size where no size is requested; None leaves it to the service.
        thinking: thinking level; None leaves it to the service.
        max_tokens: maximum of response tokens, thoughts and image together.
        timeout_s: timeout of one response, in seconds.
        price: computes `cost_usd` from the usage that the service reports.
        template: prompt template for references.

    Raises:
        SpecError: the model is known not to support an option.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        account: GeminiCredentials | None = None,
        facts: GeminiImageModel | None = None,
        grounding: Sequence[str] = (),
        image_size: Tier | None = None,
        thinking: str | None = None,
        max_tokens: int = MAX_TOKENS,
        timeout_s: float = TIMEOUT_S,
        price: Price | None = None,
        template: ReferenceTemplate = CHAT_TEMPLATE,
    ) -> None:
        self._account = account or GeminiCredentials.of()
        self._model, self._facts, self.template = model, facts or image_model(model), template
        self._by_size = self._facts.by_size
        self._grounding = tuple(kind for kind in KINDS if kind in grounding)
        self._image_size, self._thinking, self._max_tokens = image_size, thinking, max_tokens
        self._timeout_s, self._price = timeout_s, price
        identity_options = {
            "grounding": " ".join(self._grounding) or None,
            "image_size": image_size,
            "thinking": thinking,
            "max_tokens": None if max_tokens == MAX_TOKENS else max_tokens,
        }
        self.identity = with_options(self._account.named_as(model), identity_options)
        self._check_options()

    def _check_options(self) -> None:
        """Refuse options that the model is known not to support."""
        facts, searches = self._facts, self._facts.searches
        missing = [kind for kind in self._grounding if searches is not None and kind not in searches]
        if missing:
            remedy = f"write grounding={'+'.join(sorted(searches))}" if searches else "leave grounding out"
            raise SpecError(f"{self.identity} cannot search with grounding={missing[0]}: {remedy}")
        listed = image_model(self._model) is not UNKNOWN
        if self._image_size and listed and self._image_size not in facts.tiers:
            raise SpecError(f"{self.identity}: image_size must be {' or '.join(facts.tiers)}")
        if self._thinking and not facts.thinks:
            raise SpecError(f"{self.identity} does not think: leave thinking out")

    @classmethod
    def from_spec(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "GeminiImages":
        """`gemini[:MODEL][?OPTIONS][@URL]`, with `OPTIONS`.

        Raises:
            SpecError: an invalid option, or one that the model is known not to support.
        """
        options = with_template(spec.settings(OPTIONS), CHAT_TEMPLATE)
        options.pop("key_env", None)
        model, account = spec.model or DEFAULT_MODEL, GeminiCredentials.of_spec(spec)
        facts = image_model(model)
        if "max_references" in options:
            facts = replace(facts, max_references=options.pop("max_references"))
        price = None if prices is None else prices.of(model, account.host)
        return cls(model, account=account, facts=facts, price=price, **options)

    @property
    def max_references(self) -> int:
        """Maximum number of images with a prompt."""
        return self._facts.max_references

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes in pixels of all aspect ratios, the usual image size first."""
        return tuple(self._by_size)

    @property
    def capabilities(self) -> Capabilities:
        """Edits images, without a mask; prices by size."""
        return Capabilities(tariff=self._tariff(), edits=self._facts.max_references > 0)

    def _tariff(self) -> PriceEstimator:
        """Price estimator: one image of its size, and the rest of the maximum length as thoughts.

        With searches there is no maximum: each is billed, and nothing limits their number.
        """
        tariffs = {tier: tariff_of(self._price, draws=True, quality=tier) for tier in self._facts.tiers}
        details = {"text_tokens": self._max_tokens}
        tokens = {"input_tokens": 0, "output_tokens": self._max_tokens, "output_tokens_details": details}
        thoughts = cost_of(self._price, self._model, tokens)

        def usual(prompt: int, images: int, size: Size | None) -> float | None:
            return tariffs.get(self._tier(size) or self._facts.tiers[0], PriceEstimator()).most(prompt, images, size)

        def most(prompt: int, images: int, size: Size | None) -> float | None:
            image_cost = usual(prompt, images, size)
            return None if image_cost is None or thoughts is None or self._grounding else image_cost + thoughts

        return PriceEstimator(known=all(one.known for one in tariffs.values()), most=most, usual=usual)

    def _tier(self, size: Size | None) -> Tier | None:
        entry = self._by_size.get(size) if size else None
        return entry[1] if entry else self._image_size

    async def check_server(self) -> tuple[str, tuple[str, ...]]:
        """Check that the service has the model: see `gemini/server_check.py`."""
        return await check_model(self.identity, self._model, self._account)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image.

        Raises:
            UsageError: the request exceeds the model's documented limits; nothing was sent.
            MissingExtraError: google-genai is not installed.
            RefusalError: content policy.
            BackendError: no usable image in the response.
        """
        self._check_request(prompt, references, size)
        parts = [{"text": self._words(prompt)}, *[await _part(one) for one in references]]
        contents, config = [{"role": "user", "parts": parts}], self._config(variation, size)
        ask = self._account.generate(self.identity, self._model, contents, config)
        text = await map_gemini_errors(self.identity, ask, self._account, timeout_s=self._timeout_s)
        return await self._read(read_response(text, self.identity))

    def _check_request(self, prompt: str, references: Sequence[ImagePart], size: Size | None) -> None:
        facts = ImageModel(max_references=self.max_references)
        check_request(self.identity, facts, prompt, len(references), None)
        if size is not None and size not in self._by_size:
            raise UsageError(f"{self.identity} does not draw {size}: it draws {', '.join(map(str, self.sizes))}")
        for number, part in enumerate(references):
            check_reference(self.identity, part, number, takes_mask=False)

    def _words(self, prompt: str) -> str:
        """The prompt to send: neutralised except for the template's own tags."""
        return neutralised(prompt, self.template.tokens(self.max_references))

    def _config(self, variation: SamplingParams, size: Size | None) -> dict[str, Any]:
        ratio = self._by_size[size][0] if size else None
        # Models with one image size refuse the field.
        tier = self._tier(size) if len(self._facts.tiers) > 1 or self._image_size else None
        image = without_none(aspect_ratio=ratio, image_size=tier)
        return {
            "response_modalities": ["TEXT", "IMAGE"],
            "max_output_tokens": self._max_tokens,
            **without_none(
                seed=variation.seed,
                image_config=image or None,
                thinking_config={"thinking_level": self._thinking.upper()} if self._thinking else None,
                tools=[search_tool(self._grounding)] if self._grounding else None,
            ),
        }

    async def _read(self, response: GeminiResponse) -> GeneratedImage:
        cost, usage = cost_of(self._price, self._model, response.usage), usage_of(response.usage)
        with with_cost(cost, usage):
            if not response.images:  # an image in the response is used, whatever comes with it
                raise refusal_of(response, self.identity, self._account.secrets) or self._without_image(response)
            data, media_type = await checked(decoded(response.images[-1], self.identity), self.identity)
        return GeneratedImage(
            data=data,
            media_type=media_type,
            cost_usd=cost,
            usage=usage,
            sources=web_sources(response.grounding) if self._grounding else (),
        )

    def _without_image(self, response: GeminiResponse) -> ImageRAGError:
        if response.finish_reason == "MAX_TOKENS":
            limit = f"{self._max_tokens:,} tokens"
            return BackendError(
                f"{self.identity} was cut off at {limit} before it drew: set max_tokens higher", retryable=False
            )
        return no_image_error(self.identity, response.text, self._account.secrets)


async def _part(reference: ImagePart) -> dict[str, Any]:
    """A reference as a part of the message. A file that is too large is scaled down."""
    data, media_type = reference.data, reference.media_type
    if len(data) > MAX_IMAGE_BYTES:
        data, media_type = await in_thread(_scaled_down, data), "image/jpeg"
    return {"inline_data": {"data": data, "mime_type": media_type}}


def _scaled_down(data: bytes) -> bytes:
    """A JPEG of at most `LONGEST_SIDE` pixels on its longer side, transparency on white."""
    image = open_rgb(data, side=LONGEST_SIDE)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return encode(image, "image/jpeg")
