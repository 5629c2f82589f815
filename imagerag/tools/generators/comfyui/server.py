"""HTTP API of a ComfyUI server.

All requests go to the configured address. Redirects are not followed, and bodies are read up to a limit.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from imagerag.agent.errors import BackendError, BackendTimeoutError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.url_redaction import public_address
from imagerag.tools.credentials import Key, check_encrypted, key_to, no_key, secrets_of
from imagerag.tools.generators.comfyui.errors import error_of_status, no_comfyui, unreachable

if TYPE_CHECKING:
    import httpx2

URL: Final = "http://127.0.0.1:8188"
"""ComfyUI's own default."""

FOLDER: Final = "imagerag"
"""Folder for uploads below the server's `input` folder."""

_REQUEST_S: Final = 60.0
"""Timeout of one request: all of them answer at once, the image is drawn meanwhile."""
_AT_ONCE: Final = 8


@dataclass(frozen=True)
class ComfyServer:
    """A server's address and key. Neither appears in a repr.

    Attributes:
        address: without query and secrets.
        query: (name, value) pairs sent with every request.
        who: the generator's identity, for messages.
    """

    address: str = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    key: Key = field(default_factory=Key, repr=False)
    who: str = "comfyui"

    @classmethod
    def of(cls, base_url: str | None, key_env: str | None = None) -> "ComfyServer":
        """The server at an address, by default this machine's.

        Args:
            key_env: the environment variable with the key to it, which is sent as `Authorization: Bearer`.
        """
        address, _, query = public_address(base_url or URL).partition("?")
        address = address.rstrip("/")
        return cls(address, tuple(parse_qsl(query, keep_blank_values=True)), key_to(address, key_env=key_env))

    @property
    def host(self) -> str:
        """The server's host name."""
        return urlsplit(self.address).hostname or ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no message may show."""
        return secrets_of(self.address, self.key.value)

    def check_key(self) -> None:
        """Check that the key is there, and would not be sent unencrypted.

        Raises:
            AuthError: it is not, or it would.
        """
        check_encrypted(self.address, self.who, self.key)
        if missing := no_key(self.who, self.address, self.key):
            raise missing

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return {"Authorization": f"Bearer {self.key.value}"} if self.key.value else {}

    async def node_classes(self, names: Iterable[str]) -> dict[str, Any]:
        """Descriptions of node classes; those that the server lacks are missing.

        Raises:
            BackendError: as `get`.
        """
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> dict[str, Any]:
            async with gate:
                return await self.get(f"/object_info/{quote(name, safe='')}")

        class_names = sorted(set(names))
        classes: dict[str, Any] = {}
        for reply in await asyncio.gather(*(one(name) for name in class_names if "/" not in name)):
            classes |= reply
        if not set(class_names) <= set(classes):  # a slash does not survive in a path
            classes |= await self.get("/object_info")
        return {name: classes[name] for name in class_names if isinstance(classes.get(name), dict)}

    async def upload(self, name: str, data: bytes, media_type: str) -> str:
        """Upload an image; the value by which nodes load it.

        Raises:
            BackendError: as `get`.
        """
        fields = {"type": "input", "subfolder": FOLDER}
        reply = await self.post("/upload/image", data=fields, files={"image": (name, data, media_type)})
        stored, folder = reply.get("name"), reply.get("subfolder")
        if not isinstance(stored, str) or not stored:
            raise no_comfyui(self.who, "an upload without a name")
        return f"{folder}/{stored}" if isinstance(folder, str) and folder else stored

    async def view(self, image: Mapping[str, str]) -> bytes:
        """Download a result.

        Args:
            image: `filename`, `subfolder` and `type`, as the history names it.

        Raises:
            BackendError: it is not there, too large, or a page of HTML.
        """
        response, body = await self._send("GET", "/view", MAX_BYTES, params=dict(image))
        if "html" in response.headers.get("content-type", "").lower():
            raise no_comfyui(self.who, "a page of HTML instead of an image")
        return body

    async def get(self, path: str) -> dict[str, Any]:
        """A JSON object.

        Raises:
            AuthError: the key is missing or wrong.
            BackendError: the server is not reached, or answers with anything else.
        """
        return _object(await self._send("GET", path, MAX_BYTES), self.who)

    async def post(self, path: str, **content: Any) -> dict[str, Any]:
        """Send JSON (`json=`) or a form (`data=`, `files=`); the JSON object that comes back, empty for no body.

        Raises:
            UsageError: the server refuses the workflow.
            AuthError, BackendError: as `get`.
        """
        response, body = await self._send("POST", path, MAX_BYTES, **content)
        return _object((response, body), self.who) if body.strip() else {}

    async def _send(self, method: str, path: str, most: int, **content: Any) -> "tuple[httpx2.Response, bytes]":
        import httpx2

        from imagerag.tools.http_client import plain_http_client

        self.check_key()
        content["params"] = {**dict(self.query), **content.get("params", {})}
        client = plain_http_client()
        problem: BackendError | None = None
        try:
            request = client.build_request(
                method, self.address + path, headers=self.headers, timeout=_REQUEST_S, **content
            )
            response = await client.send(request, stream=True)
            try:
                body = await _body(response, most)
            finally:
                await response.aclose()
        except httpx2.TimeoutException:
            problem = BackendTimeoutError(f"{self.who} did not answer within {_REQUEST_S:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            problem = unreachable(self.who, self.address, error)
        # Raised outside of the handler: the client's error holds the request with its key and its images.
        if problem is not None:
            raise problem
        if body is None:
            raise BackendError(f"{self.who} answered with more than {most >> 20} MB", retryable=False)
        if response.status_code != 200:
            raise error_of_status(self.who, response.status_code, response.headers, body, self.secrets)
        return response, body

    def websocket(self, client_id: str) -> tuple[str, dict[str, str]]:
        """Address and headers of the websocket of a client."""
        import httpx2

        from imagerag.tools.http_client import with_credentials

        params = {**dict(self.query), "clientId": client_id}
        plain = httpx2.Request("GET", f"{self.address}/ws", params=params, headers=self.headers)
        request = with_credentials(plain)
        authorization = request.headers.get("authorization")
        headers = {"Authorization": authorization} if authorization else {}
        return str(request.url.copy_with(scheme="wss" if request.url.scheme == "https" else "ws")), headers


async def _body(response: "httpx2.Response", most: int) -> bytes | None:
    """The body of a response; None if it is longer than `most` bytes."""
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        return None
    whole = bytearray()
    async for piece in response.aiter_bytes():
        whole += piece
        if len(whole) > most:
            return None
    return bytes(whole)


def _object(answer: "tuple[httpx2.Response, bytes]", who: str) -> dict[str, Any]:
    try:
        document = json.loads(answer[1])
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        kind = answer[0].headers.get("content-type", "").partition(";")[0][:60] or "an unknown type"
        raise no_comfyui(who, f"something that is no JSON object ({kind})")
    return document
