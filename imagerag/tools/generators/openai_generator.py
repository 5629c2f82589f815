"""Base of all generators behind one of OpenAI's protocols: account, model facts, price."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, ClassVar, Final, TypedDict

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.ports import Capabilities, ReferenceTemplate
from imagerag.agent.types import Size
from imagerag.tools.credentials import Variable
from imagerag.tools.generators.image_decoding import fetched
from imagerag.tools.generators.image_models import EDIT_TEMPLATE, ImageModel, model_facts
from imagerag.tools.openai.client import TIMEOUT_S, OpenAICredentials
from imagerag.tools.openai.option_fallback import RefusedOptions
from imagerag.tools.pricing.call_cost import Price, tariff_of
from imagerag.tools.prompt_templates import TEMPLATE_OPTIONS
from imagerag.tools.spec import with_options
from imagerag.tools.spec_options import Number, Reader


class HostedModelConfig(TypedDict, total=False):
    """Arguments of all these generators.

    Attributes:
        base_url: by default OpenAI's own, or OPENAI_BASE_URL.
        api_key: by default the key that belongs to the address (see `credentials.py`).
        key_env: the environment variable with the key to the address.
        account: address and key together, instead of the three before.
        facts: parameters and limits of the image model; by default those that `image_models.py` has for its name.
        timeout_s: timeout of one response, in seconds.
        price: computes `cost_usd` from the usage that the service reports.
        template: prompt template for references.
    """

    base_url: str | None
    api_key: str | None
    key_env: str | None
    account: OpenAICredentials
    facts: ImageModel | None
    timeout_s: float
    price: Price | None
    template: ReferenceTemplate


HOSTED_OPTIONS: Final[Mapping[str, Reader]] = {
    "key_env": Variable(),
    "timeout_s": Number(float, least=0.1),
    "max_references": Number(int, least=0, most=16),
    "edits": bool,
    **TEMPLATE_OPTIONS,
}
"""Options of the specs of all these generators. `max_references` and `edits` describe a model that `image_models.py`
does not list, or lower its limits; the templates are the user's own (`prompt_templates.py`)."""


class OpenAIImageGenerator:
    """Base class of `openai`, `openai-chat` and `openai-responses`.

    Args:
        provider, model: the provider and the model that is called.
        draws: the image model, if it is another one.
        identity_options: other settings that change the images, for the identity; None is left out.
        model_config: see `HostedModelConfig`.
    """

    own_template: ClassVar[ReferenceTemplate] = EDIT_TEMPLATE

    def __init__(
        self,
        provider: str,
        model: str,
        model_config: HostedModelConfig,
        *,
        draws: str = "",
        identity_options: Mapping[str, object] | None = None,
    ) -> None:
        self._account = model_config.get("account") or OpenAICredentials.of(
            model_config.get("base_url"), model_config.get("api_key"), model_config.get("key_env")
        )
        self._model = model
        self._facts = model_config.get("facts") or model_facts(draws or model)
        self._timeout_s = model_config.get("timeout_s", TIMEOUT_S)
        self._price = model_config.get("price")
        self.identity = with_options(self._account.named_as(provider, model), identity_options or {})
        self.template = model_config.get("template", self.own_template)
        self._refused = RefusedOptions(self.identity, self._account.secrets)

    def _words(self, prompt: str) -> str:
        """The prompt to send: neutralised except for the template's own tags."""
        return neutralised(prompt, self.template.tokens(self.max_references))

    @property
    def capabilities(self) -> Capabilities:
        """Its prices, the limits of its sizes, and whether it edits an image that it is sent."""
        return Capabilities(
            tariff=tariff_of(self._price, draws=True),
            edits=self._facts.edits and self._facts.max_references > 0,
            edits_option=self._facts.max_references > 0,
            size_rules=self._facts.size_rules,
        )

    async def _fetched(self, url: str, *, by_model: bool = False, hosts: Collection[str] = ()) -> bytes:
        """Download the image of a URL from the service, or from its model's text."""
        account = self._account
        return await fetched(
            url, account.base_url, self.identity, self._timeout_s, account.key, by_model=by_model, hosts=hosts
        )

    @property
    def max_references(self) -> int:
        """Maximum number of images with a prompt."""
        return self._facts.max_references

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """The only sizes that the model supports; None if there are others."""
        return self._facts.sizes


def described(model: str, options: dict[str, Any], *names: str) -> ImageModel:
    """Model facts, changed by a spec's options; those options are removed from `options`.

    Args:
        names: fields of `ImageModel` that are options here, besides `max_references` and `edits`.
    """
    facts = {name: options.pop(name) for name in ("max_references", "edits", *names) if name in options}
    return replace(model_facts(model), **facts)


def digest(fields: Mapping[str, Any]) -> str | None:
    """A few letters that distinguish extra fields of a request; None if there are none."""
    return sha256(repr(sorted(fields.items())).encode()).hexdigest()[:8] if fields else None
