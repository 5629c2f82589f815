"""A Gemini API on this machine: `MockOpenAIServer` with the form of `generateContent`, to test against.

```python
with MockGeminiServer(SketchResponder()) as server:      # server.base_url == "http://127.0.0.1:PORT"
    server.enqueue("chat", MockResponse(text="Yes."), Fault("rate_limit", retry_after_s=0.1))
    make_judge(f"gemini:loopback@{server.base_url}")
```

Requests are recorded with the body that was sent, and in the form of a chat completion beside it, so that all
responders, scripts and faults of `mock_openai` work here.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from imagerag.tools.gemini.image_models import image_model
from imagerag.tools.testing.mock_openai.api_limits import ApiError
from imagerag.tools.testing.mock_openai.request_log import Endpoint, RecordedRequest, SentImage
from imagerag.tools.testing.mock_openai.request_parsing import UnreadableError, recorded
from imagerag.tools.testing.mock_openai.response_rendering import (
    GARBLED,
    REFUSED,
    RenderedResponse,
    media_type_of,
    raw,
    rejected,
    spoil,
)
from imagerag.tools.testing.mock_openai.responses import Fault, MockResponse, Raw
from imagerag.tools.testing.mock_openai.server import MockOpenAIServer

_STATUS: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip
_TYPES: Final = "type.googleapis.com/google.rpc"
_STANDARD: Final = str.maketrans("-_", "+/")
_ROLES: Final = {"user": "user", "model": "assistant"}
_HELD: Final = frozenset({"truncated_base64", "empty_data", "garbled_text", "refusal", "invalid_json", "reset_midway"})
"""Faults inside of a good response."""


@dataclass(eq=False)
class GeminiRequest(RecordedRequest):
    """One request.

    Attributes:
        sent: the JSON body as it was sent; `body` is the same as a chat completion.
        key: the key that came with it.
    """

    sent: dict[str, Any] = field(default_factory=dict, repr=False)
    key: str = field(default="", repr=False)


class MockGeminiServer(MockOpenAIServer):
    """Mock of the Gemini API over real HTTP; arguments are those of `MockOpenAIServer`.

    `key` is compared with `x-goog-api-key`. `models` are those that `GET /v1beta/models/MODEL` has; any model responds.
    """

    @property
    def base_url(self) -> str:
        """The address for a spec, without the API's version."""
        return super().base_url.removesuffix("/v1")

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> RecordedRequest:
        """Parse a request (called by the handler).

        Raises:
            UnreadableError: the body is no JSON object, or an image in it no base64.
        """
        recording = recorded(method, path, headers, body)
        endpoint, model = _endpoint(method, path)
        names = {name.lower(): value for name, value in headers.items()}
        chat_body, images = as_chat(model, recording.body) if endpoint == "chat" else ({"model": model}, ())
        return GeminiRequest(
            endpoint, method, path, recording.headers, chat_body, images, recording.at,
            sent=recording.body, key=names.get("x-goog-api-key", ""),
        )  # fmt: skip

    def decide(
        self, request: RecordedRequest, authorization: str
    ) -> tuple[MockResponse | Fault | Raw | RenderedResponse, float]:
        """Choose the response to a request, and its delay in seconds (called by the handler)."""
        assert isinstance(request, GeminiRequest), "parsed here"
        if request.endpoint == "models" and self._key in (None, request.key):
            if request.model not in self._models:
                return rejected(ApiError(f"models/{request.model} is not found.", "not_found", None, 404)), 0.0
            return RenderedResponse(200, json.dumps({"name": f"models/{request.model}"}).encode()), 0.0
        return super().decide(request, f"Bearer {request.key}")

    def finished(
        self, request: RecordedRequest, decision: MockResponse | Fault | Raw | RenderedResponse
    ) -> RenderedResponse:
        """Render the chosen response as HTTP (called by the handler)."""
        if isinstance(decision, Raw):
            return raw(decision)
        if isinstance(decision, MockResponse):
            return _rendered(decision)
        if isinstance(decision, Fault):
            if decision.kind in _HELD:
                return self._damaged(request, decision)
            return _as_google(spoil(request, decision, MockResponse, self.host), decision)
        return _as_google(decision) if decision.status >= 400 else decision

    def _damaged(self, request: RecordedRequest, fault: Fault) -> RenderedResponse:
        if fault.kind == "refusal":
            return _rendered(MockResponse(refusal=fault.message or REFUSED))
        if fault.kind == "empty_data":
            return _rendered(MockResponse())
        good = self._good(request)
        if fault.kind == "garbled_text":
            return _rendered(replace(good, text=fault.message or GARBLED))
        if fault.kind == "truncated_base64":
            return _rendered(replace(good, images=tuple(image[: len(image) // 2] for image in good.images)))
        answer = _rendered(good)
        if fault.kind == "invalid_json":
            return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])
        return replace(answer, cut=True)


def as_chat(model: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[SentImage, ...]]:
    """A request of `generateContent` as the body of a chat completion, and its images.

    Raises:
        UnreadableError: an image is no base64.
    """
    turns = [("system", body["systemInstruction"])] if body.get("systemInstruction") else []
    turns += [(_ROLES.get(str(turn.get("role", "user")), "user"), turn) for turn in body.get("contents") or []]
    images = tuple(_images(turns))
    messages = [
        {"role": role, "content": [{"type": "text", "text": part["text"]} for part in turn["parts"] if "text" in part]}
        for role, turn in turns
    ]
    config: Mapping[str, Any] = body.get("generationConfig") or {}
    chat: dict[str, Any] = {"model": model, "messages": messages}
    chat |= {name: config[name] for name in ("temperature", "seed") if name in config}
    if "IMAGE" in config.get("responseModalities", ()):
        chat |= {"modalities": ["image", "text"], "size": _size(model, config.get("imageConfig") or {})}
    if schema := config.get("responseJsonSchema") or config.get("responseSchema"):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    return chat, images


def _images(turns: list[tuple[str, Any]]) -> Iterator[SentImage]:
    parts = [part["inlineData"] for _, turn in turns for part in turn["parts"] if "inlineData" in part]
    for number, blob in enumerate(parts):
        try:
            data = base64.b64decode(blob["data"].translate(_STANDARD), validate=True)  # JSON of protobuf has both
        except ValueError as error:
            raise UnreadableError(f"image {number}: {error}") from None
        yield SentImage(data, f"inlineData.{number}", None, str(blob.get("mimeType") or blob.get("mime_type", "")))


def _size(model: str, image: Mapping[str, Any]) -> str:
    """The size in pixels that a model draws; empty without a ratio."""
    shape = (image.get("aspectRatio"), image.get("imageSize", "1K"))
    return next((str(size) for size, size_shape in image_model(model).by_size.items() if size_shape == shape), "")


def _endpoint(method: str, path: str) -> tuple[Endpoint, str]:
    """Endpoint and model of `/v1beta/models/MODEL[:generateContent]`."""
    route = path.partition("?")[0]
    model, colon, action = route.rpartition("/models/")[2].partition(":")
    if "/models/" not in route:
        return "unknown", ""
    if method == "POST" and colon and action == "generateContent":
        return "chat", model
    return ("models", model) if method == "GET" and not colon else ("unknown", model)


def _rendered(reply: MockResponse) -> RenderedResponse:
    """A good response: text, then images; a refusal is a blocked prompt. `message` has fields of the candidate."""
    usage = dict(reply.usage or _usage(len(reply.images)))
    if reply.refusal is not None:
        feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": reply.refusal}
        return _json({"promptFeedback": feedback, "usageMetadata": usage})
    parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    parts += [
        {"inlineData": {"mimeType": media_type_of(image), "data": base64.b64encode(image).decode()}}
        for image in reply.images
    ]
    candidate = {
        "content": {"role": "model", "parts": parts},
        "finishReason": reply.finish_reason or "STOP",
        "index": 0,
    }
    return _json({"candidates": [candidate | dict(reply.message)], "usageMetadata": usage, "modelVersion": "loopback"})


def _usage(images: int) -> dict[str, Any]:
    image_details = [{"modality": "IMAGE", "tokenCount": 1120 * images}] if images else []
    return {
        "promptTokenCount": 50,
        "candidatesTokenCount": 1120 * images or 100,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 70 + (1120 * images or 100),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}],
        "candidatesTokensDetails": image_details,
    }


def _as_google(answer: RenderedResponse, fault: Fault | None = None) -> RenderedResponse:
    """An error of OpenAI's form as google.rpc.Status, which has the delay and the quota in its body."""
    try:
        error = json.loads(answer.body)["error"]
    except ValueError:  # a page
        return answer
    details: list[dict[str, Any]] = []
    if fault is not None and fault.kind == "quota":
        spent = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "250"}
        details.append({"@type": f"{_TYPES}.QuotaFailure", "violations": [spent]})
    if fault is not None and fault.retry_after_s is not None:
        details.append({"@type": f"{_TYPES}.RetryInfo", "retryDelay": f"{fault.retry_after_s:g}s"})
    status = {"code": answer.status, "message": error["message"], "status": _STATUS.get(answer.status, "UNKNOWN")}
    return replace(answer, body=json.dumps({"error": status | {"details": details}}).encode(), headers={})


def _json(value: Any) -> RenderedResponse:
    return RenderedResponse(200, json.dumps(value).encode())
