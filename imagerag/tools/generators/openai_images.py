"""Images over OpenAI's Images API, at OpenAI and any compatible server."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from imagerag.agent.calls.call_context import ProgressCallback, current_call
from imagerag.agent.errors import SpecError
from imagerag.agent.ports import Capabilities, GeneratedImage, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.image_decoding import checked, decoded, first_image, is_address, is_path, misplaced
from imagerag.tools.generators.image_models import (
    BACKGROUNDS,
    FIDELITIES,
    FORMATS,
    MODERATIONS,
    check_options,
    check_request,
    model_facts,
)
from imagerag.tools.generators.openai_generator import (
    HOSTED_OPTIONS,
    HostedModelConfig,
    OpenAIImageGenerator,
    described,
    digest,
)
from imagerag.tools.generators.reference_checks import check_reference
from imagerag.tools.generators.reference_formats import LOCALAI, OPENAI, edit_files, reference_fields, size_fields
from imagerag.tools.openai import idempotency
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import check_error_field, map_openai_errors, redact, unreadable
from imagerag.tools.openai.option_fallback import no_edits
from imagerag.tools.pricing.call_cost import cost_of, price_of, tariff_of, usage_of, with_cost
from imagerag.tools.prompt_templates import with_template
from imagerag.tools.services.lookup import service_at
from imagerag.tools.services.service import ImagesProtocol
from imagerag.tools.spec import BackendSpec
from imagerag.tools.spec_options import Choice, Reader, without_none

if TYPE_CHECKING:
    import openai
    from openai.types import ImagesResponse

    from imagerag.tools.pricing.price_table import Prices

DEFAULT_MODEL: Final = "gpt-image-2.5-flare"
EDITS: Final = "/images/edits"
LOCALAI_URL: Final = "http://localhost:8080/v1"

OPTIONS: Final[Mapping[str, Reader]] = {
    **HOSTED_OPTIONS,
    "quality": str,
    "background": Choice(*BACKGROUNDS),
    "output_format": Choice(*FORMATS),
    "input_fidelity": Choice(*FIDELITIES),
    "moderation": Choice(*MODERATIONS),
    "response_format": Choice("b64_json", "url"),
    "masks": bool,
    "seed": bool,
    "streams": bool,
}
"""Options of a spec, after `?`: `quality=high&background=transparent`.

The last four describe a server that `image_models.py` does not list: whether it accepts a `mask`, a `seed`, and partial
images as a stream, and the response format to request."""

_log = logging.getLogger(__name__)


class OpenAIImages(OpenAIImageGenerator):
    """`openai:MODEL[@URL]`: `images.generate` without references, `images.edit` with them.

    Options that a model is known to refuse are rejected when the adapter is created, before any cost. References keep
    their order; the graph puts the user's own subjects first, and the first one's mask is sent with it. Partial images
    are streamed if the progress callback (`agent/calls/call_context.py`) wants them.

    Args:
        protocol: how the server's image endpoints differ from OpenAI's; no mask can be sent with references in JSON.
        quality, background, output_format, input_fidelity, moderation: OpenAI's parameters, sent only if applicable
            (`input_fidelity` with references, `moderation` without).
        extra_body: more fields for other servers, for instance `{"guidance_scale": 4}`.
        model_config: its address and model facts (see `HostedModelConfig`).

    Raises:
        UsageError: this model does not accept an option.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        protocol: ImagesProtocol = OPENAI,
        quality: str | None = None,
        background: Literal["transparent", "opaque", "auto"] | None = None,
        output_format: Literal["png", "jpeg", "webp"] | None = None,
        input_fidelity: Literal["high", "low"] | None = None,
        moderation: Literal["low", "auto"] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        provider: str = "openai",
        **model_config: Unpack[HostedModelConfig],
    ) -> None:
        self._protocol, self._json, self._extra = protocol, bool(protocol.references), dict(extra_body or {})
        self._shared = without_none(quality=quality, background=background, output_format=output_format)
        self._drawing, self._editing = without_none(moderation=moderation), without_none(input_fidelity=input_fidelity)
        facts = model_config.get("facts")
        seeded = True if facts and facts.seed and not model_facts(model).seed else None
        fields = self._shared | self._editing | self._drawing | {"seed": seeded, "extra": digest(self._extra)}
        super().__init__(provider, model, model_config, identity_options=fields)
        check_options(self.identity, self._facts, self._shared | self._editing)

    @classmethod
    def from_spec(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "OpenAIImages":
        """`openai[:MODEL][?OPTIONS][@URL]`, with `OPTIONS`; at a service, with its own endpoints.

        Raises:
            SpecError: an invalid option, or a service without a model.
        """
        account = OpenAICredentials.of_spec(spec)
        if account.service and not spec.model:
            raise SpecError(f"{str(spec)!r} names no model: write {spec.provider}:MODEL")
        at = account.service or service_at(account.base_url)
        return cls._of(spec, spec.model or DEFAULT_MODEL, account, at.images if at else None, "openai", prices)

    @classmethod
    def localai(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "OpenAIImages":
        """`localai:MODEL[?OPTIONS][@URL]`: LocalAI has no edits endpoint and takes references in a JSON field.

        Raises:
            SpecError: no model named (there is no default), or an invalid option.
        """
        if not spec.model:
            raise SpecError(f"{str(spec)!r} names no model: write localai:MODEL@URL")
        account = OpenAICredentials.of_spec(spec, LOCALAI_URL)
        return cls._of(spec, spec.model, account, LOCALAI, "localai", prices)

    @classmethod
    def _of(
        cls, spec: BackendSpec, model: str, account: OpenAICredentials, protocol: ImagesProtocol | None, provider: str,
        prices: "Prices | None",
    ) -> "OpenAIImages":  # fmt: skip
        options = with_template(spec.settings(OPTIONS), cls.own_template)
        facts = described(model, options, "response_format", "masks", "seed", "streams")
        price = price_of(prices, model, account, local=provider == "localai")
        how = protocol or OPENAI
        return cls(model, account=account, facts=facts, protocol=how, price=price, provider=provider, **options)

    @property
    def capabilities(self) -> Capabilities:
        """Prices by quality; whether the model accepts a seed, and a mask with an edit."""
        return replace(
            super().capabilities,
            tariff=tariff_of(self._price, draws=True, quality=self._shared.get("quality")),
            supports_seed=self._facts.seed,
            takes_mask=self._takes_mask,
        )

    @property
    def _takes_mask(self) -> bool:
        return self._facts.masks and not self._json

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image.

        Raises:
            UsageError: the request exceeds the model's documented limits; nothing was sent.
            RefusalError: content policy.
            BackendError: no usable image in the response.
        """
        check_request(self.identity, self._facts, prompt, len(references), size)
        for number, part in enumerate(references):
            check_reference(self.identity, part, number, takes_mask=self._takes_mask)
        params = self._params(prompt, size, variation)
        ask = self._ask(params, references)
        return await map_openai_errors(self.identity, ask, timeout_s=self._timeout_s, secrets=self._account.secrets)

    def _params(self, prompt: str, size: Size | None, variation: SamplingParams) -> dict[str, Any]:
        facts = self._facts
        params = {"model": self._model, "prompt": self._words(prompt), **self._shared}
        sized = size_fields(self._protocol, size)
        params |= without_none(
            size=sized.pop("size", None), response_format=self._protocol.response_format or facts.response_format
        )
        extra = self._extra | sized | without_none(seed=variation.seed if facts.seed else None)
        return params | {"extra_body": extra or None, "extra_headers": idempotency.headers()}

    async def _ask(self, params: dict[str, Any], references: Sequence[ImagePart]) -> GeneratedImage:
        """Request the image; options that the server refuses are left out, one after the other."""
        watcher = current_call().progress
        # The streaming of such servers is unknown; their responses come whole.
        if watcher.partial_images > 0 and self._facts.streams and not self._json:
            params |= {"stream": True, "partial_images": watcher.partial_images}
        params |= (self._editing if references else self._drawing) if not (references and self._json) else {}
        while True:
            request = self._refused.without(params)
            try:
                answer = await self._send(request, references)
            except Exception as error:
                problem = self._unlearnt(error, request, references)
            else:
                break
            if problem is not None:
                raise problem
        generated = await (self._watched(answer, watcher) if self._streams(request) else self._read(answer))
        return replace(generated, fallback_errors=self._refused.said_of(params))

    def _unlearnt(
        self, error: Exception, request: Mapping[str, Any], references: Sequence[ImagePart]
    ) -> Exception | None:
        """The error to raise; None if a changed request can help."""
        edits = bool(references) and not self._json
        if edits and (missing := no_edits(error, self.identity, EDITS)):
            return missing
        return None if self._refused.learn(error, request, editing=edits) else error

    async def _send(self, params: dict[str, Any], references: Sequence[ImagePart]) -> Any:
        client = self._account.client(self.identity, self._timeout_s)
        if self._json and (references or self._protocol.plain_path != OPENAI.plain_path):
            return await self._post(client, params, references)
        if references and self._refused.image_field == "image":
            return await self._post_form(client, params, references)
        if references:
            return await client.images.edit(**params, **edit_files(references))
        return await client.images.generate(**params)

    def _streams(self, request: Mapping[str, Any]) -> bool:
        return bool(request.get("stream")) and self._refused.image_field != "image"

    async def _post_form(
        self, client: "openai.AsyncOpenAI", params: dict[str, Any], references: Sequence[ImagePart]
    ) -> Any:
        """Send an edit whose files are all named `image`, which the SDK does only for a single one."""
        from openai.types import ImagesResponse

        edit = edit_files(references)
        files = [("image", file) for file in edit.pop("image")] + list(edit.items())
        body = {name: value for name, value in params.items() if name not in ("stream", "partial_images")}
        body |= body.pop("extra_body", None) or {}
        headers = {"Content-Type": "multipart/form-data", **body.pop("extra_headers", {})}
        return await client.post(EDITS, cast_to=ImagesResponse, body=body, files=files, options={"headers": headers})

    async def _post(self, client: "openai.AsyncOpenAI", params: dict[str, Any], references: Sequence[ImagePart]) -> Any:
        from openai.types import ImagesResponse

        body = params | (params.pop("extra_body") or {}) | reference_fields(self._protocol, references)
        headers, path = body.pop("extra_headers"), self._protocol.path if references else self._protocol.plain_path
        return await client.post(path, cast_to=ImagesResponse, body=body, options={"headers": headers})

    async def _read(self, answer: Any) -> GeneratedImage:
        from openai.types import ImagesResponse

        # If a server responds with another content type, the client returns a string.
        if not isinstance(answer, ImagesResponse):
            raise unreadable(self.identity, "something that is no Images answer; does the address end in /v1?")
        # The client does not validate what it parses: any field can hold any value.
        with with_cost(cost_of(self._price, self._model, answer.usage), usage_of(answer.usage)):
            return await self._image_of(answer)

    async def _image_of(self, answer: "ImagesResponse") -> GeneratedImage:
        image = answer.data[0] if isinstance(answer.data, list) and answer.data else None
        place = first_image(answer.model_dump(warnings=False))
        if not place:  # an image in the response is used, whatever text comes with it
            check_error_field((answer.model_extra or {}).get("error"), self.identity, self._account.secrets)
            raise misplaced(answer, self.identity) or unreadable(self.identity, "no image")
        data = await self._behind(place)
        revised = getattr(image, "revised_prompt", None)
        return await self._image(data, answer.usage, revised if isinstance(revised, str) else None)

    async def _behind(self, place: str) -> bytes:
        """Decode base64 or download a URL; servers put either into either field."""
        if is_address(place) or is_path(place):
            return await self._fetched(place)
        return decoded(place, self.identity)

    async def _watched(self, events: Any, watcher: ProgressCallback) -> GeneratedImage:
        """The final image of a stream; partial ones go to the progress callback."""
        final = None
        async with events:
            async for event in events:
                if event.type.endswith(".partial_image"):
                    await self._show(event, watcher)
                elif event.type.endswith(".completed"):
                    final = event
        if final is None:
            raise unreadable(self.identity, "a stream that ended before its image was finished")
        with with_cost(cost_of(self._price, self._model, final.usage), usage_of(final.usage)):
            return await self._image(decoded(final.b64_json, self.identity), final.usage, None)

    async def _show(self, event: Any, watcher: ProgressCallback) -> None:
        try:
            await watcher.partial(decoded(event.b64_json, self.identity), event.partial_image_index)
        except Exception as error:  # a failing progress callback must not lose an image that is paid for
            _log.warning("progress of %s could not be shown: %s", self.identity, redact(str(error)))

    async def _image(self, data: bytes, usage: object, revised_prompt: str | None) -> GeneratedImage:
        whole, media_type = await checked(data, self.identity)
        cost = cost_of(self._price, self._model, usage)
        return GeneratedImage(
            data=whole, media_type=media_type, revised_prompt=revised_prompt, cost_usd=cost, usage=usage_of(usage)
        )
