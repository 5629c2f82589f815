"""Images over OpenAI's Images API, at OpenAI and at every server that speaks it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import SpecError, UsageError
from imagerag.agent.ports import GeneratedImage, ImagePart, ReferenceTemplate, Tariff
from imagerag.agent.types import Size, Variation
from imagerag.tools.generators import idempotency
from imagerag.tools.generators.account import TIMEOUT_S, Account
from imagerag.tools.generators.failures import check_error_field, guarded, redact, unreadable
from imagerag.tools.generators.models import EDIT_TEMPLATE, MAX_IMAGE_BYTES, ImageModel, check_request, model_facts
from imagerag.tools.generators.pricing import Price, cost_of, price_of, tariff_of
from imagerag.tools.generators.results import checked, data_url, decoded, fetched, is_data_url
from imagerag.tools.specs import BackendSpec

if TYPE_CHECKING:
    import openai

    from imagerag.tools.prices import Prices

DEFAULT_MODEL: Final = "gpt-image-2.6-flare"
MEDIA_TYPES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
MAX_MASK_BYTES: Final = 4 * 1024 * 1024 - 1

OnPartial = Callable[[bytes, int], None]
"""Called with an unfinished picture and its number, from 0. It runs in the task that called `generate`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JsonReferences:
    """How a server without an edits endpoint takes references.

    Attributes:
        field: the JSON field with the list of them.
        path: the endpoint.
        form: bare base64, a data URL, or the `image_url` part of a chat message.
    """

    field: str
    path: str = "/images/generations"
    form: Literal["base64", "data_url", "image_url"] = "base64"

    def value(self, part: ImagePart) -> Any:
        """One reference in its form."""
        url = data_url(part.data, part.media_type)
        if self.form == "image_url":
            return {"type": "image_url", "image_url": {"url": url}}
        return url if self.form == "data_url" else url.partition(",")[2]


LOCALAI: Final = JsonReferences("ref_images")
OPENROUTER: Final = JsonReferences("input_references", path="/images", form="image_url")


class OpenAIImages:
    """`openai:MODEL[@URL]`: `images.generate` without references, `images.edit` with them.

    Options that a model is known not to take are refused when the adapter is made, not when money is at stake.
    References go in the order given; the graph puts the user's own subjects first, and a mask applies to the first.

    Args:
        base_url: default OpenAI's own, or OPENAI_BASE_URL.
        api_key: default OPENAI_API_KEY, or the service's own variable (see `account.py`).
        facts: what the model takes; default what `models.py` knows about its name.
        json_references: send references inside JSON instead of as an edit.
        quality, background, output_format, input_fidelity, moderation: OpenAI's, sent only where they apply
            (`input_fidelity` with references, `moderation` without).
        mask: PNG whose transparent pixels say where the first image may change; sent with references only.
        extra_body: further fields for other servers, for instance `{"guidance_scale": 4}`.
        timeout_s: how long one answer may take, in seconds.
        on_partial: progress; where the model streams, unfinished pictures go here. They cost extra tokens.
        partial_images: how many of them, 1 to 3.
        price: makes `cost_usd` of the usage that the service reports.

    Raises:
        UsageError: an option that this model does not take.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        facts: ImageModel | None = None,
        json_references: JsonReferences | None = None,
        quality: str | None = None,
        background: Literal["transparent", "opaque", "auto"] | None = None,
        output_format: Literal["png", "jpeg", "webp"] | None = None,
        input_fidelity: Literal["high", "low"] | None = None,
        moderation: Literal["low", "auto"] | None = None,
        mask: bytes | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
        on_partial: OnPartial | None = None,
        partial_images: int = 2,
        price: Price | None = None,
        template: ReferenceTemplate = EDIT_TEMPLATE,
        provider: str = "openai",
    ) -> None:
        self._account, self._model = Account.of(base_url, api_key), model
        self._facts = facts or model_facts(model)
        self.identity = self._account.named(provider, model)
        self.template = template
        self._json, self._mask = json_references, mask
        self._shared = _given(quality=quality, background=background, output_format=output_format)
        self._drawing, self._editing = _given(moderation=moderation), _given(input_fidelity=input_fidelity)
        self._extra = dict(extra_body or {})
        self._timeout_s, self._price = timeout_s, price
        self._on_partial, self._partial_images = on_partial, partial_images
        self._check_options()

    @classmethod
    def from_spec(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "OpenAIImages":
        """`openai:MODEL[@URL]`; at OpenRouter, with its own endpoint."""
        account, model = Account.of(spec.base_url), spec.model or DEFAULT_MODEL
        special = OPENROUTER if account.host == "openrouter.ai" else None
        price = price_of(prices, model, account)
        return cls(model, base_url=spec.base_url, json_references=special, price=price)

    @classmethod
    def localai(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "OpenAIImages":
        """`localai:MODEL[@URL]`: LocalAI has no edits endpoint and takes references in a JSON field.

        Raises:
            SpecError: no model named; there is no default.
        """
        if not spec.model:
            raise SpecError(f"{str(spec)!r} names no model: write localai:MODEL@URL")
        url = spec.base_url or "http://localhost:8080/v1"
        price = price_of(prices, spec.model, Account.of(url))
        return cls(spec.model, base_url=url, json_references=LOCALAI, price=price, provider="localai")

    @property
    def tariff(self) -> Tariff:
        """What is known of its prices before a call."""
        return tariff_of(self._price, draws=True, quality=self._shared.get("quality"))

    @property
    def max_references(self) -> int:
        """How many images go with a prompt."""
        return self._facts.max_references

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """The only sizes the model draws, where it has such."""
        return self._facts.sizes

    @property
    def honours_seed(self) -> bool:
        """Whether the model takes a seed."""
        return self._facts.seed

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: Variation, size: Size | None
    ) -> GeneratedImage:
        """Draw one picture.

        Raises:
            UsageError: what is asked for is outside the model's documented limits; nothing was sent.
            RefusalError: content policy.
            BackendError: no usable picture came.
        """
        check_request(self.identity, self._facts, prompt, len(references), size)
        for part in references:
            self._check_image(part)
        params = self._params(prompt, size, variation)
        ask = self._ask(params, references)
        return await guarded(self.identity, ask, timeout_s=self._timeout_s, secrets=self._account.secrets)

    def _params(self, prompt: str, size: Size | None, variation: Variation) -> dict[str, Any]:
        facts = self._facts
        params = {"model": self._model, "prompt": prompt, **self._shared}
        params |= _given(size=str(size) if size else None, response_format=facts.response_format)
        extra = self._extra | _given(seed=variation.seed if facts.seed else None)
        return params | {"extra_body": extra or None, "extra_headers": idempotency.headers()}

    async def _ask(self, params: dict[str, Any], references: Sequence[ImagePart]) -> GeneratedImage:
        streams = self._on_partial is not None and self._facts.streams
        if streams:
            params |= {"stream": True, "partial_images": self._partial_images}
        async with self._account.client(self.identity, self._timeout_s) as client:
            if references and self._json:
                answer = await self._post(client, self._json, params, references)
            elif references:
                answer = await client.images.edit(**params, **self._edit(references))
            else:
                answer = await client.images.generate(**params, **self._drawing)
            return await (self._watched(answer) if streams else self._read(answer))

    def _edit(self, references: Sequence[ImagePart]) -> dict[str, Any]:
        """What only an edit has. The file's type must be said: bare bytes go as octet-stream, which is refused."""
        files = [
            (f"image-{n}.{MEDIA_TYPES[part.media_type]}", part.data, part.media_type)
            for n, part in enumerate(references, start=1)
        ]
        mask = _given(mask=("mask.png", self._mask, "image/png") if self._mask else None)
        return {"image": files, **self._editing, **mask}

    async def _post(
        self, client: "openai.AsyncOpenAI", how: JsonReferences, params: dict[str, Any], references: Sequence[ImagePart]
    ) -> Any:
        from openai.types import ImagesResponse

        body = params | (params.pop("extra_body") or {})
        headers = body.pop("extra_headers")
        body[how.field] = [how.value(part) for part in references]
        return await client.post(how.path, cast_to=ImagesResponse, body=body, options={"headers": headers})

    async def _read(self, answer: Any) -> GeneratedImage:
        from openai.types import ImagesResponse

        # A server that answers with another content type makes the client give back a string.
        if not isinstance(answer, ImagesResponse):
            raise unreadable(self.identity, "something that is no Images answer; does the address end in /v1?")
        check_error_field((answer.model_extra or {}).get("error"), self.identity, self._account.secrets)
        # The client does not check what it parses: anything can be anywhere.
        image = answer.data[0] if isinstance(answer.data, list) and answer.data else None
        encoded, url = getattr(image, "b64_json", None), getattr(image, "url", None)
        if isinstance(encoded, str) and encoded:
            data = decoded(encoded, self.identity)
        elif isinstance(url, str) and url:
            data = await self._behind(url)
        else:
            raise unreadable(self.identity, "no image")
        revised = getattr(image, "revised_prompt", None)
        return await self._image(data, answer.usage, revised if isinstance(revised, str) else None)

    async def _behind(self, url: str) -> bytes:
        if is_data_url(url):
            return decoded(url, self.identity)
        return await fetched(url, self._account.base_url, self.identity, self._timeout_s)

    async def _watched(self, events: Any) -> GeneratedImage:
        """The final picture of a stream; unfinished ones go to the hook."""
        final = None
        async for event in events:
            if event.type.endswith(".partial_image"):
                self._show(event)
            elif event.type.endswith(".completed"):
                final = event
        if final is None:
            raise unreadable(self.identity, "a stream that ended before its picture was finished")
        return await self._image(decoded(final.b64_json, self.identity), final.usage, None)

    def _show(self, event: Any) -> None:
        try:
            if self._on_partial is not None:
                self._on_partial(decoded(event.b64_json, self.identity), event.partial_image_index)
        except Exception as error:  # a picture that is paid for is not lost to its progress bar
            _log.warning("progress of %s could not be shown: %s", self.identity, redact(str(error)))

    async def _image(self, data: bytes, usage: object, revised_prompt: str | None) -> GeneratedImage:
        whole, media_type = await checked(data, self.identity)
        cost = cost_of(self._price, self._model, usage)
        return GeneratedImage(data=whole, media_type=media_type, revised_prompt=revised_prompt, cost_usd=cost)

    def _check_image(self, part: ImagePart) -> None:
        if part.media_type not in MEDIA_TYPES:
            raise UsageError(f"{self.identity} takes PNG, JPEG and WebP images, not {part.media_type}")
        if len(part.data) > MAX_IMAGE_BYTES:
            raise UsageError(f"{self.identity} takes images below 50 MB; one has {len(part.data) / 2**20:.0f} MB")

    def _check_options(self) -> None:
        facts, options = self._facts, self._shared | self._editing
        allowed = {"quality": facts.qualities, "input_fidelity": facts.input_fidelity}
        # What a model that is not in the table takes is its user's to know.
        described = facts.response_format is None
        for name, values in allowed.items():
            if described and name in options and options[name] not in values:
                told = f"it takes {', '.join(sorted(values))}" if values else "it has no such setting"
                raise UsageError(f"{self.identity}: {name}={options[name]!r} cannot be: {told}")
        opaque = not facts.transparent or options.get("output_format") == "jpeg"
        if described and opaque and options.get("background") == "transparent":
            raise UsageError(f"{self.identity} draws no transparent background" + " as JPEG" * facts.transparent)
        if self._mask is not None and (len(self._mask) > MAX_MASK_BYTES or not self._mask.startswith(b"\x89PNG")):
            raise UsageError(f"{self.identity}: the mask must be a PNG below 4 MB")
        if not 1 <= self._partial_images <= 3:
            raise UsageError(f"{self.identity}: partial_images must be 1, 2 or 3")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
