"""Look for model servers on this machine, and for the models on them that see images.

One short request to each: to its address on loopback, or to the one that the user set in the service's own variable.
What a server lists is data of whoever runs it: names that are no plain model names are left out.
"""

import asyncio
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.threads import run_in_own_loop
from imagerag.tools.services.lookup import all_services
from imagerag.tools.services.service import Service

PROBE_S: Final = 1.0
"""Time for all servers together, whatever they do."""
LONGEST: Final = 1 << 20
"""Bytes of a list of models that are read."""
MOST_MODELS: Final = 1000

_MODEL: Final = re.compile(r"[A-Za-z0-9][\w.:/+-]{0,199}")
_SEES: Final = re.compile(
    r"(?:^|[-_/.:\d])(?:vl|vlm|vision|multimodal|llava|bakllava|moondream|pixtral|internvl|molmo|smolvlm|idefics|ovis)"
    r"|minicpm-?[vo]|gemma-?[34](?!.*(?:embed|:1b|-1b))|glm-[45][\d.]*v|qwen3\.[5-9]|kimi-k[2-9]|llama-?4|mistral-small-?3",
    re.I,
)
"""Names of models that see images, for servers that do not say what their models can."""
_CANNOT_CHAT: Final = re.compile(r"embed|rerank", re.I)


@dataclass(frozen=True, kw_only=True)
class LocalServer:
    """What is at a local server's address.

    Attributes:
        service: the service.
        address: the address that was asked; empty if there is none.
        answers: whether it lists its models.
        models: its models that see images, in its order.
        detail: one line for display.
    """

    service: Service
    address: str = ""
    answers: bool = False
    models: tuple[str, ...] = ()
    detail: str = ""


async def local_servers(timeout_s: float = PROBE_S) -> list[LocalServer]:
    """Ask all local servers at once; one that does not answer in time does not answer."""
    services = [one for one in all_services() if not one.key_required]
    return list(await asyncio.gather(*(_probe(service, timeout_s) for service in services)))


def local_servers_now(timeout_s: float = PROBE_S) -> list[LocalServer]:
    """The same from anywhere, in an event loop of its own."""
    return run_in_own_loop(lambda: local_servers(timeout_s), name="imagerag-local-servers")


async def _probe(service: Service, timeout_s: float) -> LocalServer:
    from imagerag.tools.credentials import check_encrypted, key_to
    from imagerag.tools.http_client import http_client

    try:
        address = service.base_url
    except ImageRAGError as error:
        return LocalServer(service=service, detail=str(error))
    if not address:
        return LocalServer(service=service, detail=f"{service.address_variable} is not set")
    parts = urlsplit(address)
    url = f"{parts.scheme}://{parts.netloc}{service.models_path}" if service.models_path else f"{address}/models"
    try:
        key = key_to(address, service=service)
        check_encrypted(address, service.name, key)
        headers = {"Authorization": f"Bearer {key.value}"} if key.value else {}
        async with asyncio.timeout(timeout_s):
            request = http_client().build_request("GET", url, headers=headers, timeout=timeout_s)
            response = await http_client().send(request, stream=True, follow_redirects=False)
            try:
                text = await _limited(response) if response.status_code == 200 else b""
            finally:
                await response.aclose()
    except ImageRAGError as error:
        return LocalServer(service=service, address=address, detail=str(error))
    except Exception as error:
        slow = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
        why = f"does not answer within {timeout_s:g} s" if slow else "does not answer"
        return LocalServer(service=service, address=address, detail=why)
    if response.status_code != 200:
        return LocalServer(service=service, address=address, detail=f"answers HTTP {response.status_code}")
    models = tuple(seeing(text))
    detail = ", ".join(models[:3]) if models else "answers, and lists no model that sees images"
    return LocalServer(service=service, address=address, answers=True, models=models, detail=detail)


async def _limited(response: Any) -> bytes:
    whole = b""
    async for part in response.aiter_bytes():
        whole += part
        if len(whole) > LONGEST:
            return b""
    return whole


def seeing(text: bytes) -> Iterator[str]:
    """The models in a server's list that see images: by what the list says of them, else by their names."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return
    listed = (body.get("models") or body.get("data")) if isinstance(body, Mapping) else None
    for model in listed[:MOST_MODELS] if isinstance(listed, list) else ():
        if not isinstance(model, Mapping):
            continue
        name = next((model[key] for key in ("key", "name", "model", "id") if isinstance(model.get(key), str)), "")
        if _MODEL.fullmatch(name) and not _CANNOT_CHAT.search(name) and _sees(name, model):
            yield name


def _sees(name: str, model: Mapping[str, Any]) -> bool:
    """Whether a model sees images. Ollama and llama.cpp list capabilities, LM Studio has a mapping of them."""
    can = model.get("capabilities")
    if isinstance(can, Mapping):
        return bool(can.get("vision"))
    if isinstance(can, Collection) and not isinstance(can, str) and can:
        return bool({"vision", "multimodal"} & set(map(str, can)))
    return model.get("type") == "vlm" or bool(_SEES.search(name))
