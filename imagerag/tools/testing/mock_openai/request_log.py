"""Recorded requests and their fate."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Endpoint = Literal["images.generate", "images.edit", "chat", "responses", "models", "files", "unknown"]
"""Endpoint of a request. OpenRouter's `POST /images` is an `images.generate`."""

Asks = Literal["image", "json_schema", "tool", "json_object", "text"]


@dataclass(frozen=True)
class SentImage:
    """An image in a request.

    Attributes:
        name: the form field, or the path in the JSON body, for instance `messages.0.content.1.image_url.url`.
        filename: the file name that the client sent; None for an image inside JSON.
        media_type: the part's content type, or the data URL's; empty if the client sent none.
    """

    data: bytes = field(repr=False)
    name: str = "image"
    filename: str | None = None
    media_type: str = ""


@dataclass(eq=False)
class RecordedRequest:
    """One request and its fate.

    Attributes:
        headers: names in lower case; keys are replaced by `<redacted>`.
        body: the JSON body, or the form's text fields (a repeated field is a list).
        images: all images of the request, form parts and data URLs, in order.
        at: arrival time, in seconds since the epoch.
        nth: number of earlier requests with the same digest.
        status: HTTP status of the response; 0 if there was none.
        served: whether the complete response was written and the client did not drop the connection before reading it.
        fault: the fault that it met, if any.
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
        """The requested model."""
        return str(self.body.get("model", ""))

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header."""
        return self.headers.get("idempotency-key")

    @property
    def answered(self) -> bool:
        """Whether a model's response (or a refusal) arrived completely, so that the request need not be repeated."""
        return (
            self.method == "POST"
            and self.served
            and ((self.status == 200 and self.fault is None) or self.fault == "refusal")
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over endpoint, body and images; independent of multipart boundaries."""
        hashed = hashlib.sha256(f"{self.endpoint}\n{json.dumps(self.body, sort_keys=True)}".encode())
        for image in self.images:
            hashed.update(hashlib.sha256(image.data).digest())
        return hashed.hexdigest()

    @cached_property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(role, text) of each message of a conversation; an Images request is one user message."""
        if "prompt" in self.body:
            return (("user", str(self.body["prompt"])),)
        messages = self.body.get("messages", self.body.get("input", []))
        if isinstance(messages, str):
            return (("user", messages),)
        return tuple((str(turn.get("role", "")), _text(turn.get("content"))) for turn in messages if "content" in turn)

    @property
    def prompt(self) -> str:
        """Text of the last user message."""
        return next((text for role, text in reversed(self.turns) if role == "user"), "")

    @property
    def text(self) -> str:
        """All texts of the request, one message per line."""
        return "\n".join(text for _, text in self.turns)

    @property
    def asks(self) -> Asks:
        """Requested kind of response."""
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
        """JSON schema of the response, however it was requested; None if there is none."""
        if self.asks == "tool":
            parameters: dict[str, Any] = self._functions[0].get("parameters", {})
            return parameters
        json_schema: dict[str, Any] | None = self._format.get("json_schema", self._format).get("schema")
        return json_schema

    @property
    def tool(self) -> str:
        """Name of the first function offered."""
        return str(self._functions[0]["name"])

    @property
    def _format(self) -> dict[str, Any]:
        response_format: Any = self.body.get("response_format") or (self.body.get("text") or {}).get("format")
        return response_format if isinstance(response_format, dict) else {}

    @property
    def _tools(self) -> list[dict[str, Any]]:
        return self.body.get("tools") or []

    @property
    def _functions(self) -> list[dict[str, Any]]:
        """Functions in Chat Completions format (`{"function": {…}}`) or the flat one of the Responses API."""
        return [tool.get("function", tool) for tool in self._tools if tool.get("type") == "function"]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)
