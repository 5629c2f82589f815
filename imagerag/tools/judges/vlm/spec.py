"""Make a judge from `openai:MODEL[?OPTIONS][@URL]`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from imagerag.tools.credentials import Variable
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.pricing.call_cost import price_of
from imagerag.tools.services.lookup import service_at
from imagerag.tools.services.service import REFUSABLE
from imagerag.tools.spec_options import Choice, Number, Reader, Words

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices
    from imagerag.tools.spec import BackendSpec

JUDGE_OPTIONS: Final[Mapping[str, Reader]] = {
    "longest_side": Number(int, least=64, most=8192),
    "votes": Number(int, least=1, most=15),
}
"""Options of all judges on a vision-language model."""

OPTIONS: Final[Mapping[str, Reader]] = {
    **JUDGE_OPTIONS,
    "key_env": Variable(),
    "detail": Choice("low", "high", "auto"),
    "max_tokens": Number(int, least=1),
    "max_images": Number(int, least=1),
    "refuses": Words(*sorted(REFUSABLE)),
    "temperature": Number(float, least=0, most=2),
    "timeout_s": Number(float, least=0.1),
}
"""Options of a spec, after `?`: `openai:qwen3-vl?votes=3&longest_side=768&temperature=0@URL`.

`refuses` saves the first request that would find a refused option: `refuses=temperature+json_schema`.
`max_images=1` is for servers that take one image per request: several are put on one sheet."""


def pop_judge_options(settings: dict[str, Any]) -> dict[str, Any]:
    """The options of a judge itself, taken out of the settings of a spec; the rest is its chat model's."""
    return {name: settings.pop(name) for name in JUDGE_OPTIONS if name in settings}


def vlm_judge(spec: "BackendSpec", *, prices: "Prices | None" = None) -> VlmJudge:
    """`openai:MODEL[?OPTIONS][@URL]`: a judge on OpenAI, a service by its name, or any server with Chat Completions.

    Raises:
        SpecError: no model is named, or an invalid option; valid ones are in `OPTIONS`.
    """
    settings = spec.model_settings(OPTIONS)
    own = pop_judge_options(settings)
    account, refused = OpenAICredentials.of_spec(spec), set(settings.pop("refuses", ()))
    service = account.service or service_at(account.base_url)
    refused |= service.refuses if service else frozenset()
    price = price_of(prices, spec.model, account)
    return VlmJudge(chat=OpenAIChat(model=spec.model, account=account, price=price, refused=refused, **settings), **own)
