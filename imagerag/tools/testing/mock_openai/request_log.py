"""What a request asked for, and what became of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Endpoint = Literal["images.generate", "images.edit", "chat", "responses", "models", "files", "unknown"]
"""What a request was for. OpenRouter's `POST /images` is an `images.generate`."""

Asks = Literal["image", "json_schema", "tool", "json_object", "text"]


@dataclass(frozen=True)
class SentImage:
    """An image that came with a request.

    Attributes:
        name: the form field, or where in the JSON body it was, for instance `messages.0.content.1.image_url.url`.
        filename: as the client named it; None for an image inside JSON.
        media_type: the part's content type, or the data URL's; empty when the client gave none.
    """

    data: bytes = field(repr=False)
    name: str = "image"
    filename: str | None = None
    media_type: str = ""


@dataclass(eq=False)
class RecordedRequest:
    """One request and its fate.

    Attributes:
        headers: lower-case names; keys are replaced by `<redacted>`.
        body: the JSON body, or the form's text fields (a field sent several times is a list).
        images: every image of the request, form parts and data URLs alike, in the order they came.
        at: when it came, in seconds since the epoch.
        nth: how many requests with the same digest came before.
        status: HTTP status answered; 0 when none was.
        served: the whole answer was written and the client did not drop the connection before it could read it.
        fault: which fault it met, if one.
    """

    endpoint: Endpoint
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    images: tuple[SentImage, ...] = field(default=(), repr=False)
    at: float = 0.0
    nth: int = 0
    status: int = 0
    served: bool = False
    fault: str | None = None
    writing: bool = field(default=False, repr=False)

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.body.get("model", ""))

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header."""
        return self.headers.get("idempotency-key")

    @property
    def answered(self) -> bool:
        """Whether a model's answer (a refusal is one) arrived whole: the request need never be made again."""
        return (
            self.method == "POST"
            and self.served
            and ((self.status == 200 and self.fault is None) or self.fault == "refusal")
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over endpoint, body and images: equal for equal requests, whatever the transport's boundaries."""
        hashed = hashlib.sha256(f"{self.endpoint}\n{json.dumps(self.body, sort_keys=True)}".encode())
        for image in self.images:
            hashed.update(hashlib.sha256(image.data).digest())
        return hashed.hexdigest()

    @cached_property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(role, text) of each turn of a conversation; an Images request is one user turn."""
        if "prompt" in self.body:
            return (("user", str(self.body["prompt"])),)
        given = self.body.get("messages", self.body.get("input", []))
        if isinstance(given, str):
            return (("user", given),)
        return tuple((str(turn.get("role", "")), _text(turn.get("content"))) for turn in given if "content" in turn)

    @property
    def prompt(self) -> str:
        """The text of the last user turn."""
        return next((text for role, text in reversed(self.turns) if role == "user"), "")

    @property
    def text(self) -> str:
        """All texts of the request, one turn a line."""
        return "\n".join(text for _, text in self.turns)

    @property
    def asks(self) -> Asks:
        """The form the answer should have."""
        kind = self._format.get("type")
        if self.endpoint.startswith("images") or "image" in self.body.get("modalities", ()):
            return "image"
        if any(tool.get("type") == "image_generation" for tool in self._tools):
            return "image"
        if self._functions and self.body.get("tool_choice") != "none":
            return "tool"
        return kind if kind in ("json_schema", "json_object") else "text"

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema the answer should follow, however it was asked for; None when none was."""
        if self.asks == "tool":
            parameters: dict[str, Any] = self._functions[0].get("parameters", {})
            return parameters
        found: dict[str, Any] | None = self._format.get("json_schema", self._format).get("schema")
        return found

    @property
    def tool(self) -> str:
        """The name of the first function offered."""
        return str(self._functions[0]["name"])

    @property
    def _format(self) -> dict[str, Any]:
        given: Any = self.body.get("response_format") or (self.body.get("text") or {}).get("format")
        return given if isinstance(given, dict) else {}

    @property
    def _tools(self) -> list[dict[str, Any]]:
        return self.body.get("tools") or []

    @property
    def _functions(self) -> list[dict[str, Any]]:
        """Functions in the chat form (`{"function": {…}}`) or the flat one of the Responses API."""
        return [tool.get("function", tool) for tool in self._tools if tool.get("type") == "function"]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)
