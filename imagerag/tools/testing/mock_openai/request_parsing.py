"""Parse an HTTP request into a `RecordedRequest`."""

import base64
import binascii
import json
import time
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any, Final

from imagerag.tools.testing.mock_openai.request_log import Endpoint, RecordedRequest, SentImage

ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("POST", "/images/generations"): "images.generate",
    ("POST", "/images/edits"): "images.edit",
    ("POST", "/images"): "images.generate",
    ("POST", "/chat/completions"): "chat",
    ("POST", "/responses"): "responses",
    ("GET", "/models"): "models",
}

SECRET: Final = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie"})

_MAGIC: Final = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "UklGR": "image/webp", "R0lGOD": "image/gif"}


class UnreadableError(ValueError):
    """The body does not match its headers."""


def endpoint_of(method: str, path: str) -> Endpoint:
    """Endpoint of a path, under any prefix that ends in `/v1`."""
    route = path.partition("?")[0].rstrip("/")
    _, version, route = route.partition("/v1/")
    if method == "GET" and route.startswith("files/"):
        return "files"
    return ENDPOINTS.get((method, f"/{route}"), "unknown") if version else "unknown"


def recorded(method: str, path: str, headers: Mapping[str, str], body: bytes) -> RecordedRequest:
    """Parse a request.

    Raises:
        UnreadableError: the body is not the JSON or form that its content type says.
    """
    lower_headers = {name.lower(): value for name, value in headers.items()}
    content_type = lower_headers.get("content-type", "")
    fields: dict[str, Any]
    if content_type.startswith("multipart/form-data"):
        fields, images = read_form(content_type, body)
    elif body:
        fields, images = _read_json(body)
    else:
        fields, images = {}, []
    public_headers = {name: "<redacted>" if name in SECRET else value for name, value in lower_headers.items()}
    return RecordedRequest(endpoint_of(method, path), method, path, public_headers, fields, tuple(images), time.time())


def read_form(content_type: str, body: bytes) -> tuple[dict[str, Any], list[SentImage]]:
    """Text fields and file parts of a `multipart/form-data` body.

    Raises:
        UnreadableError: no boundary, or a part without a name.
    """
    boundary = _header(content_type).get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise UnreadableError("multipart/form-data without a boundary")
    fields: dict[str, Any] = {}
    images = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        name, filename, media_type = _part_headers(head.decode("utf-8", "replace"))
        if filename is not None:
            images.append(SentImage(data, name, filename, media_type))
        elif name in fields:
            before = fields[name]
            fields[name] = [*(before if isinstance(before, list) else [before]), data.decode("utf-8", "replace")]
        else:
            fields[name] = data.decode("utf-8", "replace")
    return fields, images


def _part_headers(head: str) -> tuple[str, str | None, str]:
    lines = dict(line.split(":", 1) for line in head.strip().splitlines() if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in lines.items()}
    disposition = _header(headers.get("content-disposition", ""))
    name, filename = disposition.get_param("name"), disposition.get_param("filename")
    if not isinstance(name, str):
        raise UnreadableError("a form part without a name")
    return name, filename if isinstance(filename, str) else None, headers.get("content-type", "")


def _header(value: str) -> Message:
    message = Message()
    message["content-type"] = value
    return message


def _read_json(body: bytes) -> tuple[dict[str, Any], list[SentImage]]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise UnreadableError(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise UnreadableError("the body is not a JSON object")
    return fields, list(_images_in(fields, ""))


def _images_in(value: Any, where: str) -> Iterator[SentImage]:
    """Images inside JSON: data URLs, and bare base64 as LocalAI's `ref_images` takes it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _images_in(inner, f"{where}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _images_in(inner, f"{where}.{index}")
    elif isinstance(value, str):
        head, comma, encoded = value.partition(",")
        if not (comma and head.startswith("data:image/")):
            head, encoded = "", value
        bare = next((kind for magic, kind in _MAGIC.items() if encoded.startswith(magic)), "")
        media_type = head.removeprefix("data:").partition(";")[0] or bare
        if media_type:
            try:
                yield SentImage(base64.b64decode(encoded, validate=True), where, None, media_type)
            except binascii.Error:
                return  # text that only starts like base64 is no image
