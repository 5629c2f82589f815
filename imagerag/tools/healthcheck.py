"""Whether a backend can be reached, without asking it to work: no image is drawn and nothing is paid."""

from dataclasses import dataclass
from typing import Any, Final

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.ports import EmbedderIdentity
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import map_openai_errors
from imagerag.tools.registry import Role, make_embedder, make_generator, make_judge
from imagerag.tools.spec import BackendSpec

TIMEOUT_S: Final = 5.0
SERVED: Final = frozenset({"openai", "openai-chat", "openai-responses", "localai"})
"""Providers behind an address, which list their models."""

LOCALAI_URL: Final = "http://localhost:8080/v1"


@dataclass(frozen=True, kw_only=True)
class HealthStatus:
    """What was found of one backend.

    Attributes:
        identity: what records will call it; empty when it cannot be made.
        reachable: None where that cannot be known without calling it.
        listed: whether the server lists the model; None when there is no such list.
        detail: one line for people.
    """

    identity: str = ""
    reachable: bool | None = None
    listed: bool | None = None
    detail: str = ""


async def check_health(
    spec: BackendSpec, role: Role, *, part: Any = None, timeout_s: float = TIMEOUT_S
) -> HealthStatus:
    """Look whether the backend of a spec is there. Never raises what the backend does wrong.

    Args:
        part: what the spec names, where it was made already (a reranker is made of a judge, too).
        timeout_s: how long a server may take to list its models, in seconds.
    """
    try:
        found = (part or _made(spec, role)).identity
    except ImageRAGError as error:
        return HealthStatus(reachable=False, detail=str(error))
    if isinstance(found, EmbedderIdentity):
        return HealthStatus(identity=found.spec, reachable=True, detail=f"runs here, weights {found.weights}")
    if spec.provider in SERVED:
        return await _listed(spec, str(found), timeout_s)
    return HealthStatus(identity=str(found), reachable=True, detail="runs here")


def _made(spec: BackendSpec, role: Role) -> Any:
    make: Any = {"generator": make_generator, "judge": make_judge, "embedder": make_embedder}[role]
    return make(spec)


async def _listed(spec: BackendSpec, identity: str, timeout_s: float) -> HealthStatus:
    account = OpenAICredentials.of_spec(spec, LOCALAI_URL if spec.provider == "localai" else None)

    async def models() -> list[str]:
        client = account.client(identity, timeout_s)
        page = await client.models.list()
        listed = getattr(page, "data", None)
        return [str(getattr(model, "id", "")) for model in listed] if isinstance(listed, list) else []

    try:
        found = await map_openai_errors(identity, models(), timeout_s=timeout_s, secrets=account.secrets)
    except ImageRAGError as error:
        return HealthStatus(identity=identity, reachable=False, detail=str(error))
    if not found:
        return HealthStatus(identity=identity, reachable=True, detail="answers, but lists no models")
    # A spec without a model names the provider's default, which its identity tells.
    model = spec.model or identity.partition(":")[2].partition("@")[0].partition("?")[0]
    if model in found:
        return HealthStatus(identity=identity, reachable=True, listed=True, detail="answers, and has the model")
    some = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
    return HealthStatus(
        identity=identity, reachable=True, listed=False, detail=f"answers, but does not list it; it has {some}"
    )
