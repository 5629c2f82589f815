"""Render a response in the endpoint's format: Images, Chat Completions, Responses; whole or streamed."""

import base64
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from imagerag.tools.testing.mock_openai.api_limits import ApiError
from imagerag.tools.testing.mock_openai.request_log import RecordedRequest
from imagerag.tools.testing.mock_openai.responses import ErrorShape, Fault, MockResponse, Raw

REFUSED = "Your request was rejected by the safety system. safety_violations=[violence]."
GARBLED = "Ehrlich gesagt sehe ich hier mehrere Dinge, aber"

USAGE: Mapping[str, Any] = {
    "total_tokens": 150,
    "input_tokens": 50,
    "output_tokens": 100,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}


@dataclass(frozen=True)
class RenderedResponse:
    """A rendered HTTP response.

    Attributes:
        cut: whether to write only half of it, and then reset the connection.
    """

    status: int
    body: bytes = field(repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Host = Callable[[bytes], str]
"""Store an image on this server and return its URL."""


def render(request: RecordedRequest, reply: MockResponse, host: Host) -> RenderedResponse:
    """Render a good response in the endpoint's format."""
    if request.endpoint == "chat":
        return _chat(request, reply)
    if reply.refusal is not None and (request.endpoint != "responses" or request.asks == "image"):
        return rejected(_refusal(reply.refusal))
    return _responses(request, reply) if request.endpoint == "responses" else _images(request, reply, host)


def rejected(rejection: ApiError, headers: Mapping[str, str] | None = None) -> RenderedResponse:
    """Render an error."""
    return RenderedResponse(rejection.status, json.dumps(rejection.body()).encode(), headers=headers or {})


def shaped(answer: RenderedResponse, shape: ErrorShape, *, ok: bool) -> RenderedResponse:
    """Convert an error to another server's format.

    Args:
        ok: whether it gets status 200 nevertheless.
    """
    error = json.loads(answer.body)["error"]
    words, status = error["message"], 200 if ok else answer.status
    if shape == "html":
        page = f"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>{words}</h1></body></html>"
        return replace(answer, status=status, body=page.encode(), content_type="text/html")
    bodies: dict[str, Any] = {"list": [{"error": error}], "text": {"error": words}}
    body = bodies.get(shape, {"error": error} if shape == "openai" else {shape: words})
    return replace(answer, status=status, body=json.dumps(body).encode())


def raw(response: Raw) -> RenderedResponse:
    """Render a body unchanged."""
    body = response.body if isinstance(response.body, str) else json.dumps(response.body)
    return RenderedResponse(response.status, body.encode(), response.content_type, response.headers)


def spoil(request: RecordedRequest, fault: Fault, reply: Callable[[], MockResponse], host: Host) -> RenderedResponse:
    """Render the response of a request that meets a fault; `hang` and `reset_before` never get here."""
    wait = {} if fault.retry_after_s is None else {"retry-after": f"{fault.retry_after_s:g}"}
    message = fault.message
    match fault.kind:
        case "rate_limit":
            words = message or "Rate limit reached for images per min."
            return rejected(ApiError(words, "rate_limit_exceeded", None, 429, "requests"), wait)
        case "quota":
            words = message or "You exceeded your current quota, please check your plan and billing details."
            return rejected(ApiError(words, "insufficient_quota", None, 429, "insufficient_quota"))
        case "billing":
            return rejected(ApiError(message or "Billing hard limit has been reached", "billing_hard_limit_reached"))
        case "unauthorized":
            return rejected(ApiError(message or "Incorrect API key provided.", "invalid_api_key", None, 401))
        case "forbidden":
            words = message or "Your organization must be verified to use this model."
            return rejected(ApiError(words, "", None, 403))
        case "error_500":
            words = message or "The server had an error while processing your request."
            return rejected(ApiError(words, "server_error", None, 500, "server_error"))
        case "error_503":
            words = message or "The engine is currently overloaded, please try again later."
            return rejected(ApiError(words, "overloaded", None, 503, "server_error"), wait)
        case "wrong_content_type":
            return RenderedResponse(200, b"<html><body><h1>It works!</h1></body></html>", "text/html; charset=utf-8")
        case "refusal":
            return render(request, MockResponse(refusal=message or REFUSED), host)
        case "empty_data":
            return render(request, MockResponse(), host)
        case "garbled_text":
            return render(request, replace(reply(), text=message or GARBLED), host)
        case "truncated_base64":
            good = reply()
            halves = tuple(image[: len(image) // 2] for image in good.images)
            return render(request, replace(good, images=halves, as_url=False), host)
        case _:
            good_answer = render(request, reply(), host)
            if fault.kind == "invalid_json":
                return replace(good_answer, body=good_answer.body[: len(good_answer.body) * 2 // 3])
            return replace(good_answer, cut=True)


def _refusal(words: str) -> ApiError:
    return ApiError(words, "moderation_blocked", "", 400, "image_generation_user_error")


def _base64(data: bytes, *, in_lines: bool = False) -> str:
    return (base64.encodebytes(data) if in_lines else base64.b64encode(data)).decode()


def media_type_of(data: bytes) -> str:
    """PNG, JPEG or WebP, by the first bytes."""
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/webp" if data[8:12] == b"WEBP" else "image/png"


def _data_url(data: bytes, *, in_lines: bool = False) -> str:
    return f"data:{media_type_of(data)};base64,{_base64(data, in_lines=in_lines)}"


def _json(value: Any) -> RenderedResponse:
    return RenderedResponse(200, json.dumps(value).encode())


def _events(events: Sequence[tuple[str, Any]], *, done_marker: bool = False) -> RenderedResponse:
    """Server-sent events; those without a name have data only, as in chat streams."""
    lines = [f"event: {name}\n" * bool(name) + f"data: {json.dumps(value)}\n\n" for name, value in events]
    return RenderedResponse(200, "".join([*lines, "data: [DONE]\n\n" * done_marker]).encode(), "text/event-stream")


def _images(request: RecordedRequest, reply: MockResponse, host: Host) -> RenderedResponse:
    extra = {"revised_prompt": reply.revised_prompt} if reply.revised_prompt else {}
    body = request.body
    if body.get("stream") in (True, "true", "True") and reply.images:
        return _image_stream(request, reply)
    wants_url = reply.as_url or body.get("response_format") == "url"
    lines = reply.in_lines
    data = [
        ({"url": host(image)} if wants_url else {"b64_json": _base64(image, in_lines=lines)}) | extra
        for image in reply.images
    ]
    return _json({"created": int(time.time()), "data": data, "usage": reply.usage or USAGE})


def _image_stream(request: RecordedRequest, reply: MockResponse) -> RenderedResponse:
    kind = "image_edit" if request.endpoint == "images.edit" else "image_generation"
    count = int(request.body.get("partial_images", 0))
    facts = {"created_at": int(time.time()), "size": "1024x1024", "quality": "high"}
    facts |= {"background": "opaque", "output_format": request.body.get("output_format", "png")}
    events: list[tuple[str, Any]] = []
    partials = (reply.partials or (reply.images[0],) * count)[:count]
    for index, partial in enumerate(partials):
        name = f"{kind}.partial_image"
        fields = {"type": name, "b64_json": _base64(partial), "partial_image_index": index}
        events.append((name, facts | fields))
    name = f"{kind}.completed"
    final = {"type": name, "b64_json": _base64(reply.images[0]), "usage": reply.usage or USAGE}
    return _events([*events, (name, facts | final)])


def _chat(request: RecordedRequest, reply: MockResponse) -> RenderedResponse:
    message = _chat_message(request, reply) | dict(reply.message)
    finish = reply.finish_reason or ("tool_calls" if "tool_calls" in message else "stop")
    head = {"id": f"chatcmpl-{request.digest[:16]}", "created": int(time.time()), "model": request.model}
    usage = reply.usage or {"prompt_tokens": 50, "completion_tokens": 100, "total_tokens": 150}
    if request.body.get("stream"):
        return _chat_stream(request, message, finish, head, usage)
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": _logprobs(request, reply)}
    return _json(head | {"object": "chat.completion", "choices": [choice], "usage": usage})


def _chat_message(request: RecordedRequest, reply: MockResponse) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    if reply.refusal is not None:
        return message | {"content": None}
    if request.asks == "tool" and is_object(reply.text):
        function = {"name": request.tool, "arguments": reply.text}
        return message | {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    urls = [_data_url(image, in_lines=reply.in_lines) for image in reply.images]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    if parts and reply.image_shape == "message.images":
        return message | {"images": parts}
    if parts and reply.image_shape == "content_list":
        return message | {"content": [{"type": "text", "text": reply.text}, *parts]}
    markdown_images = "\n".join(f"![image]({url})" for url in urls)
    return message | {"content": "\n".join(filter(None, [reply.text, markdown_images]))}


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _chat_stream(
    request: RecordedRequest, message: dict[str, Any], finish: str, head: dict[str, Any], usage: Mapping[str, Any]
) -> RenderedResponse:
    for index, call in enumerate(message.get("tool_calls", [])):
        call["index"] = index
    chunk = head | {"object": "chat.completion.chunk"}
    deltas = [(message, None), ({}, finish)]
    events = [
        ("", chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}) for delta, reason in deltas
    ]
    if (request.body.get("stream_options") or {}).get("include_usage"):
        events.append(("", chunk | {"choices": [], "usage": usage}))
    return _events(events, done_marker=True)


def _logprobs(request: RecordedRequest, reply: MockResponse) -> dict[str, Any] | None:
    if not request.body.get("logprobs"):
        return None
    odds = reply.odds or {(reply.text.split() or [""])[0]: 0.999}
    ranked = sorted(odds.items(), key=lambda pair: -pair[1])
    tokens = [
        {"token": token, "logprob": math.log(max(chance, 1e-9)), "bytes": list(token.encode())}
        for token, chance in ranked
    ]
    top = tokens[: int(request.body.get("top_logprobs") or 0)]
    return {"content": [tokens[0] | {"top_logprobs": top}], "refusal": None}


def _responses(request: RecordedRequest, reply: MockResponse) -> RenderedResponse:
    usage = reply.usage or {
        "input_tokens": 50,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 100,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 150,
    }
    whole = {
        "id": f"resp_{request.digest[:16]}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": request.model,
        "output": _output(request, reply),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request.body.get("tools") or [],
        "error": None,
        "incomplete_details": None,
        "usage": usage,
    }
    if request.body.get("stream"):
        return rejected(ApiError("this loopback does not stream Responses", "unsupported_parameter", "stream"))
    return _json(whole)


def _output(request: RecordedRequest, reply: MockResponse) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = []
    for index, image in enumerate(reply.images):
        call = {"id": f"ig_{index}", "type": "image_generation_call", "status": "completed", "result": _base64(image)}
        facts = {"output_format": media_type_of(image).removeprefix("image/"), "quality": "high"}
        output.append(call | facts | {"revised_prompt": reply.revised_prompt or request.prompt})
    content: dict[str, Any] | None = None
    if reply.refusal is not None:
        content = {"type": "refusal", "refusal": reply.refusal}
    elif request.asks == "tool" and is_object(reply.text):
        call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
        output.append(call | {"name": request.tool, "arguments": reply.text})
    elif reply.text:
        content = {"type": "output_text", "text": reply.text, "annotations": []}
    if content:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        output.append(message | {"content": [content]})
    return output
