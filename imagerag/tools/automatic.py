"""`auto`: the first backend of a role whose key is set or whose local server answers, and the next when that fails.

`auto` stands for a fallback of the backends that are there, in the order of `ORDER`. It is replaced before a run
begins, so that the run's record names them, and a resume or a replay uses the same ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.environment import environment_value
from imagerag.agent.errors import ImageRAGError, SpecError
from imagerag.tools import registry
from imagerag.tools.local_servers import LocalServer, local_servers_now
from imagerag.tools.services.lookup import service_named
from imagerag.tools.spec import BackendSpec

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices

AUTO: Final = "auto"
AutoRole = Literal["judge", "answerer", "describer"]

ORDER: Final = (
    "openai", "gemini", "xai", "mistral", "groq", "together", "openrouter", "cohere", "ollama-cloud", "ollama",
    "lmstudio", "vllm", "hf",
)  # fmt: skip
"""Providers in the order in which they are tried: services with a key for models, servers on this machine, and
Hugging Face last, whose token is mostly set to fetch models."""

OWN_MODELS: Final = {
    "openai": ("gpt-5.6-terra", ("OPENAI_API_KEY",)),
    "gemini": ("gemini-3.8-flash", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
}
"""Provider that is no service by name → a model that sees images, and the variables of its key."""

_CHOSEN: Final[dict[str, str]] = {}
"""Spec that `auto` stood for in this process → why."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What `auto` stands for.

    Attributes:
        spec: one spec, or a fallback.
        reason: which backends, and why.
    """

    spec: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    spec: str
    why: str


def expanded(role: AutoRole, spec: str, prices: "Prices | None" = None) -> str:
    """The spec with `auto` replaced; any other spec as it is.

    Raises:
        SpecError: `auto` with a model, an option or an address; or there is no backend, and none is named beside it.
    """
    if AUTO not in spec.lower():
        return spec
    parts = BackendSpec.parse_all(spec)
    if all(part.provider != AUTO for part in parts):
        return spec
    for part in parts:
        if part.provider == AUTO and str(part) != AUTO:
            raise SpecError(f"{str(part)!r}: {AUTO} chooses the model itself; write {AUTO!r}, or name a provider")
    specs, reasons = [], []
    for part in parts:
        if part.provider != AUTO:
            specs.append(str(part))
            continue
        try:
            choice = choose(role, prices)
        except SpecError:
            if all(other.provider in (AUTO, "on-refusal") for other in parts):
                raise
            reasons.append(f"{AUTO} finds no {role}, so what is named beside it is used")
        else:
            specs.append(choice.spec)
            reasons.append(choice.reason)
    result = ",".join(dict.fromkeys(specs))
    _CHOSEN[result] = "; ".join(reasons)
    return result


def choose(role: AutoRole, prices: "Prices | None" = None) -> Choice:
    """The first backend that is there, and those that follow it, as far as their prices are known.

    A following backend of unknown price is left out, because a budget could not be kept with it.

    Raises:
        SpecError: there is none; the message lists what was looked for.
    """
    servers = local_servers_now()
    parts = [(one, _backend(role, one.spec, prices)) for one in _candidates(role, servers) if one is not None]
    candidates = [(one, part) for one, part in parts if part is not None]
    if not candidates:
        raise SpecError(_nothing(role, servers))
    first, others = candidates[0][0], [one for one, part in candidates[1:] if estimator_of(part).known]
    reason = f"{AUTO} is {first.spec} ({first.why})"
    if others:
        reason += f"; if that fails, {', then '.join(f'{one.spec} ({one.why})' for one in others)}"
    spec = ",".join(one.spec for one in (first, *others))
    _CHOSEN[spec] = reason
    return Choice(spec=spec, reason=reason)


def reason_of(spec: str | None) -> str:
    """Why `auto` stands for a spec in this process; empty if it never did."""
    return _CHOSEN.get(spec or "", "")


def _candidates(role: AutoRole, servers: list[LocalServer]) -> Iterator[_Candidate | None]:
    at = {one.service.name: one for one in servers}
    for name in ORDER:
        if not registry.has_provider(role, name):
            continue
        if server := at.get(name):
            yield _local(server)
        else:
            model, variables = _hosted(name)
            key_variable = next((name for name in variables if environment_value(name)), None)
            yield _Candidate(spec=f"{name}:{model}", why=f"{key_variable} is set") if key_variable and model else None


def _local(server: LocalServer) -> _Candidate | None:
    if not server.models:
        return None
    return _Candidate(spec=f"{server.service.name}:{server.models[0]}", why=f"{server.address} answers")


def _hosted(name: str) -> tuple[str, tuple[str, ...]]:
    service = service_named(name)
    return (service.judge, service.keys) if service else OWN_MODELS.get(name, ("", ()))


def _backend(role: AutoRole, spec: str, prices: "Prices | None") -> object | None:
    """The backend of a spec; None if an extra for it is not installed."""
    make: dict[AutoRole, Callable[..., Any]] = {
        "judge": registry.make_judge,
        "answerer": registry.make_answerer,
        "describer": registry.make_describer,
    }
    try:
        return make[role](spec, prices=prices)  # type: ignore[no-any-return]
    except ImageRAGError:
        return None


def _nothing(role: AutoRole, servers: list[LocalServer]) -> str:
    variables = [variable for name in ORDER for variable in _hosted(name)[1] if registry.has_provider(role, name)]
    hosted = dict.fromkeys(v for v in variables if not any(v in one.service.keys for one in servers))
    server_details = "; ".join(f"{one.service.title} at {one.address} {one.detail}" for one in servers)
    return (
        f"{AUTO} finds no {role}: no key is set ({', '.join(hosted)}), and no server on this machine has a model that "
        f"sees images ({server_details}); set a key, start a server, or name one: `{role}=SPEC`"
    )
