"""Default responder: a tiny image in a colour of the prompt, and a text of your choice."""

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagerag.tools.testing.mock_openai.request_log import RecordedRequest
from imagerag.tools.testing.mock_openai.responses import ImageShape, MockResponse


@dataclass(frozen=True)
class DefaultResponder:
    """Responds to every request with fixed or empty content.

    Attributes:
        text: text of language models: fixed, or a function of the request. None is "Yes.", or the emptiest JSON that
            fits the requested schema.
        image_shape: location of images in chat responses.
    """

    text: str | Callable[[RecordedRequest], str] | None = None
    image_shape: ImageShape = "message.images"

    def __call__(self, request: RecordedRequest) -> MockResponse:
        """An image if one is requested, otherwise text."""
        if request.asks == "image":
            width, height = wanted_size(request)
            return MockResponse(images=(tiny_png(request.prompt, width, height),), image_shape=self.image_shape)
        if callable(self.text):
            return MockResponse(text=self.text(request))
        if self.text is not None:
            return MockResponse(text=self.text)
        return MockResponse(text="Yes." if request.schema is None else json.dumps(sample_of(request.schema)))


def wanted_size(request: RecordedRequest, default: tuple[int, int] = (64, 64)) -> tuple[int, int]:
    """Requested (width, height) in pixels, from the body or the image tool."""
    tools = [tool for tool in request.body.get("tools") or [] if tool.get("type") == "image_generation"]
    text = str(tools[0].get("size", "") if tools else request.body.get("size", ""))
    width, separator, height = text.partition("x")
    return (int(width), int(height)) if separator and width.isdigit() and height.isdigit() else default


def tiny_png(words: str, width: int = 64, height: int = 64) -> bytes:
    """A PNG of one colour, which is a hash of `words`; under 1 kB for ordinary sizes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" * (1 + (width + 7) // 8)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
            chunk(b"PLTE", hashlib.sha256(words.encode()).digest()[:3]),
            chunk(b"IDAT", zlib.compress(row * height, 9)),
            chunk(b"IEND", b""),
        ]
    )


def sample_of(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """The emptiest value that fits a JSON schema: first value of an enum, shortest list, "", 0, false."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for name in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[name]
        return sample_of(target, root)
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    if "enum" in schema:
        return schema["enum"][0]
    for options in ("anyOf", "oneOf", "allOf"):
        if options in schema:
            return sample_of(schema[options][0], root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        fields: Mapping[str, Any] = schema.get("properties", {})
        return {name: sample_of(fields[name], root) for name in schema.get("required", fields) if name in fields}
    if kind == "array":
        return [sample_of(schema.get("items", {}), root) for _ in range(schema.get("minItems", 0))]
    simple = {"string": "", "integer": schema.get("minimum", 0), "number": schema.get("minimum", 0), "boolean": False}
    return simple.get(kind)
