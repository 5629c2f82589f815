"""What every generator behind one of OpenAI's protocols shares: its account, what its model takes, what it costs."""

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
    """Arguments that all these generators take.

    Attributes:
        base_url: default OpenAI's own, or OPENAI_BASE_URL.
        api_key: default the key that belongs to the address (see `credentials.py`).
        key_env: the environment variable that holds the key to the address.
        facts: what the model that draws takes; default what `image_models.py` knows about its name.
        timeout_s: how long one answer may take, in seconds.
        price: makes `cost_usd` of the usage that the service reports.
        template: how references are put into words.
    """

    base_url: str | None
    api_key: str | None
    key_env: str | None
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
"""Options of their specs that all these generators have. `max_references` and `edits` say what a model takes that
nobody described in `image_models.py`, or set less; the templates are the user's own words (`prompt_templates.py`)."""


class OpenAIImageGenerator:
    """The base of `openai`, `openai-chat` and `openai-responses`.

    Args:
        provider, model: what is asked.
        draws: the model that draws, where `model` is another.
        told: what else changes the images, for the identity; None is left out.
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
        told: Mapping[str, object] | None = None,
    ) -> None:
        self._account = OpenAICredentials.of(
            model_config.get("base_url"), model_config.get("api_key"), model_config.get("key_env")
        )
        self._model = model
        self._facts = model_config.get("facts") or model_facts(draws or model)
        self._timeout_s = model_config.get("timeout_s", TIMEOUT_S)
        self._price = model_config.get("price")
        self.identity = with_options(self._account.named_as(provider, model), told or {})
        self.template = model_config.get("template", self.own_template)
        self._refused = RefusedOptions(self.identity, self._account.secrets)

    def _words(self, prompt: str) -> str:
        """A prompt as it is sent: nothing in it but the template's own tags is anybody's control token."""
        return neutralised(prompt, self.template.tokens(self.max_references))

    @property
    def capabilities(self) -> Capabilities:
        """Its prices, and whether it changes an image that it is sent."""
        return Capabilities(
            tariff=tariff_of(self._price, draws=True), edits=self._facts.edits and self._facts.max_references > 0
        )

    async def _fetched(self, url: str, *, by_model: bool = False, hosts: Collection[str] = ()) -> bytes:
        """The image behind an address that the service gave, or that its model wrote."""
        account = self._account
        return await fetched(
            url, account.base_url, self.identity, self._timeout_s, account.key, by_model=by_model, hosts=hosts
        )

    @property
    def max_references(self) -> int:
        """How many images go with a prompt."""
        return self._facts.max_references

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """The only sizes the model draws, where it has such."""
        return self._facts.sizes


def described(model: str, given: dict[str, Any], *names: str) -> ImageModel:
    """What a model takes, as a spec's options describe it; those options are taken out of `given`.

    Args:
        names: fields of `ImageModel` that are options here, beside `max_references` and `edits`.
    """
    facts = {name: given.pop(name) for name in ("max_references", "edits", *names) if name in given}
    return replace(model_facts(model), **facts)


def digest(fields: Mapping[str, Any]) -> str | None:
    """A few letters that tell further fields of a request apart; None when there are none."""
    return sha256(repr(sorted(fields.items())).encode()).hexdigest()[:8] if fields else None
