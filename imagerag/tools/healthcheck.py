"""Check that a backend is reachable, without generating anything or any cost."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from imagerag.agent.errors import BackendError, ImageRAGError
from imagerag.agent.ports import EmbedderIdentity, members_of
from imagerag.tools.built_in_providers import Role
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import map_openai_errors
from imagerag.tools.registry import is_served, make_embedder, make_generator, make_judge
from imagerag.tools.spec import BackendSpec

TIMEOUT_S: Final = 5.0
LOCALAI_URL: Final = "http://localhost:8080/v1"


@dataclass(frozen=True, kw_only=True)
class HealthStatus:
    """Result of checking one backend.

    Attributes:
        identity: its identity in records; empty if the backend cannot be made.
        reachable: None if only a call could show it.
        listed: whether the server lists the model; None if it has no list.
        detail: one line for display.
    """

    identity: str = ""
    reachable: bool | None = None
    listed: bool | None = None
    detail: str = ""


async def check_health(
    spec: BackendSpec, role: Role, *, part: Any = None, timeout_s: float = TIMEOUT_S
) -> HealthStatus:
    """Check the backend of a spec. Never raises the backend's errors.

    Args:
        part: the backend of the spec, if it was made already (a reranker may use a judge).
        timeout_s: timeout of the server's model list, in seconds.
    """
    try:
        backend = part or _backend(spec, role)
        if role == "embedder" and is_served(spec.provider):  # its identity may take a request that costs
            return await _listed(spec, backend.name, timeout_s)
        identity = backend.identity
    except ImageRAGError as error:
        return HealthStatus(reachable=False, detail=str(error))
    if (checked := _checks_server(backend)) is not None:
        return await _checked(checked, str(identity), timeout_s)
    if spec.provider == "http":
        return HealthStatus(identity=str(identity), detail="behind a server; only a search shows whether it answers")
    if isinstance(identity, EmbedderIdentity):
        return HealthStatus(identity=identity.spec, reachable=True, detail=f"runs here, weights {identity.weights}")
    if is_served(spec.provider):
        return await _listed(spec, str(identity), timeout_s)
    return HealthStatus(identity=str(identity), reachable=True, detail="runs here")


async def server_warnings(generator: object) -> tuple[str, ...]:
    """What the servers of a generator's workflows say about them; nothing for other generators.

    Raises:
        UsageError: a server cannot run its workflow.
    """
    warnings: list[str] = []
    for member in members_of(generator):
        if not getattr(member, "has_workflow", False):
            continue
        try:
            async with asyncio.timeout(TIMEOUT_S):
                warnings += [f"{member.identity}: {problem}" for problem in (await member.check_server())[1]]
        except TimeoutError:
            warnings.append(f"{member.identity} did not answer in {TIMEOUT_S:g} s, so its workflow was not checked")
        except BackendError as error:
            warnings.append(str(error))
    return tuple(warnings)


def _checks_server(backend: Any) -> Any:
    """What of a backend checks its own server: itself, or its chat model; None if neither does."""
    return next((one for one in (backend, getattr(backend, "chat", None)) if hasattr(one, "check_server")), None)


async def _checked(part: Any, identity: str, timeout_s: float) -> HealthStatus:
    """The state of a server that was asked whether it can run what it is given."""
    try:
        async with asyncio.timeout(timeout_s):
            state, problems = await part.check_server()
    except TimeoutError:
        return HealthStatus(identity=identity, reachable=False, detail=f"did not answer in {timeout_s:g} s")
    except ImageRAGError as error:
        return HealthStatus(identity=identity, reachable=False, detail=str(error))
    if problems:
        return HealthStatus(identity=identity, reachable=True, listed=False, detail=f"answers, but {problems[0]}")
    return HealthStatus(identity=identity, reachable=True, listed=True, detail=state)


def _backend(spec: BackendSpec, role: Role) -> Any:
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
        listed = await map_openai_errors(identity, models(), timeout_s=timeout_s, secrets=account.secrets)
    except ImageRAGError as error:
        return HealthStatus(identity=identity, reachable=False, detail=str(error))
    if not listed:
        return HealthStatus(identity=identity, reachable=True, detail="answers, but lists no models")
    # A spec without a model means the provider's default, which is in the identity.
    model = spec.model or identity.partition(":")[2].partition("@")[0].partition("?")[0]
    if model in listed:
        return HealthStatus(identity=identity, reachable=True, listed=True, detail="answers, and has the model")
    some = ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")
    return HealthStatus(
        identity=identity, reachable=True, listed=False, detail=f"answers, but does not list it; it has {some}"
    )
