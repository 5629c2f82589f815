"""The services' documented limits, and the errors for requests that exceed them. Sources: OpenAI's API reference as
typed in openai-python 3.52 (`image_generate_params.py`, `image_edit_params.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from imagerag.tools.testing.mock_openai.request_log import RecordedRequest, SentImage

MAX_PROMPT: Final = 32_000
MAX_IMAGES: Final = 16
MAX_IMAGE_BYTES: Final = 50 * 1024 * 1024
MAX_MASK_BYTES: Final = 4 * 1024 * 1024
MEDIA_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/jpg", "image/webp"})
RETIRED: Final = ("dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-2025-04-23")

_SIZES: Final = frozenset({"1024x1024", "1536x1024", "1024x1536", "auto"})
_BOTH: Final = frozenset(
    {"background", "complexity", "frame_count", "frame_duration_ms", "model", "n", "output_compression"}
    | {"output_format", "partial_images", "prompt", "quality", "safety_identifier", "size", "stream", "svg", "user"}
)
PARAMETERS: Final = {
    "images.generate": _BOTH | {"moderation"},
    "images.edit": _BOTH | {"image", "images", "input_fidelity", "markup", "mask"},
}
"""Parameters of OpenAI's image models, by endpoint. `style` and `response_format` were for models that are retired."""


@dataclass(frozen=True)
class ApiError:
    """Error of the service: the parts of an OpenAI error body."""

    message: str
    code: str = "invalid_value"
    param: str | None = None
    status: int = 400
    type: str = "invalid_request_error"

    def body(self) -> dict[str, Any]:
        """The JSON error body."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def too_many(request: RecordedRequest, most: int | None) -> ApiError | None:
    """vLLM's error for more images than its model takes per request."""
    if most is None or request.endpoint not in ("chat", "responses") or len(request.images) <= most:
        return None
    return ApiError(f"At most {most} image(s) may be provided in one request.", "BadRequestError")


def wrong_field(request: RecordedRequest, field: str | None) -> ApiError | None:
    """FastAPI's error for files in a form field other than the expected one."""
    files = [image.name for image in request.images if image.name != "mask"]
    if field is None or request.endpoint != "images.edit" or all(name == field for name in files):
        return None
    return ApiError(f"body.{field}: Field required", "missing", field, 422)


def check(request: RecordedRequest, refuses: frozenset[str]) -> ApiError | None:
    """The first limit that a request exceeds, or None.

    Args:
        refuses: names of parameters and response formats (`json_schema`) that this server does not accept.
    """
    if not request.model and request.endpoint != "images.edit":
        return ApiError("you must provide a model parameter", "missing_required_parameter", "model")
    if "system" in refuses and any(role == "system" for role, _ in request.turns):
        return ApiError("System role not supported", "invalid_request_error")
    refused = [name for name in refuses if name in request.body or name == request.asks]
    if refused:
        return _unsupported(refused[0], request)
    if request.endpoint in ("images.generate", "images.edit"):
        return _check_images(request)
    if not request.turns:
        return ApiError("messages: array too short, expected at least one", "empty_array", "messages")
    return _check_image_parts(request.images, "image_url", MEDIA_TYPES | {"image/gif"})


def _check_images(request: RecordedRequest) -> ApiError | None:
    prompt = str(request.body.get("prompt", ""))
    if not prompt.strip():
        return ApiError("prompt: a non-empty string is required", "missing_required_parameter", "prompt")
    if len(prompt) > MAX_PROMPT:
        return ApiError(f"prompt: longer than {MAX_PROMPT} characters", "string_above_max_length", "prompt")
    sent_images = [image for image in request.images if image.name != "mask"]
    if request.endpoint == "images.edit":
        if not sent_images:
            return ApiError("image: at least one is required", "missing_required_parameter", "image")
        if any(image.name not in ("image", "image[]") and image.filename is not None for image in sent_images):
            return ApiError("unknown file field", "unknown_parameter", sent_images[0].name)
    if len(sent_images) > MAX_IMAGES:
        return ApiError(f"image: at most {MAX_IMAGES} images", "array_above_max_length", "image")
    problem = _check_image_parts(sent_images, "image", MEDIA_TYPES) or _check_mask(request.images)
    if problem or not request.model.startswith(("gpt-image", "chatgpt-image", "dall-e")):
        return problem
    return _check_gpt_image(request)


def _check_image_parts(images: Any, param: str, kinds: frozenset[str]) -> ApiError | None:
    for image in images:
        kind = image.media_type or "application/octet-stream"
        if kind not in kinds:
            return ApiError(f"unsupported image type {kind}: use PNG, JPEG or WebP", "unsupported_file_type", param)
        if len(image.data) >= MAX_IMAGE_BYTES:
            return ApiError("an image must be smaller than 50 MB", "file_too_large", param)
        if not image.data:
            return ApiError("an image is empty", "invalid_image_file", param)
    return None


def _check_mask(images: tuple[SentImage, ...]) -> ApiError | None:
    sent_images = [image for image in images if image.name != "mask"]
    for mask in (image for image in images if image.name == "mask"):
        if mask.media_type != "image/png" or len(mask.data) >= MAX_MASK_BYTES:
            return ApiError("mask: a PNG smaller than 4 MB is required", "invalid_image_file", "mask")
        size = _png_size(mask.data)
        if size is None or not _png_transparent(mask.data):
            return ApiError("mask: a PNG with an alpha channel is required", "invalid_image_file", "mask")
        first = _png_size(sent_images[0].data) if sent_images else None
        if first is not None and first != size:
            words = "mask: must have the same dimensions as the first image"
            return ApiError(words, "invalid_image_file", "mask")
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels; None for other formats, which are not parsed."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 33:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _png_transparent(data: bytes) -> bool:
    """Whether a PNG has transparency, by its colour type or by a chunk before its pixels."""
    return data[25] in (4, 6) or b"tRNS" in data.partition(b"IDAT")[0]


def _check_gpt_image(request: RecordedRequest) -> ApiError | None:
    """Check the rules of OpenAI's own image models."""
    body, model = request.body, request.model
    if model in RETIRED:
        return ApiError(f"the model {model!r} does not exist or was retired", "model_not_found", "model", 404)
    unknown = next((name for name in body if name not in PARAMETERS[request.endpoint]), None)
    if unknown:
        return _unsupported(unknown, request)
    if "input_fidelity" in body:
        allowed = ("high", "low") if "1.5" in model else ("low",) if "1-mini" in model else ()
        if body["input_fidelity"] not in allowed:
            return _unsupported("input_fidelity", request)
    if body.get("background") == "transparent" and body.get("output_format") == "jpeg":
        return ApiError("background: transparent needs output_format png or webp", param="background")
    return _check_values(body, model)


def _check_values(body: Mapping[str, Any], model: str) -> ApiError | None:
    levels = {"low", "medium", "high", "auto"} | ({"xhigh", "max"} if "2.5" in model else set())
    choices = {
        "quality": levels,
        "background": {"transparent", "opaque", "auto"},
        "output_format": {"png", "jpeg", "webp", "gif", "svg"},
        "moderation": {"low", "auto"},
    }
    for name, allowed in choices.items():
        if name in body and body[name] not in allowed:
            return ApiError(f"{name}: {json.dumps(body[name])} is not one of {sorted(allowed)}", param=name)
    for name, low, high in (("n", 1, 10), ("partial_images", 0, 3), ("output_compression", 0, 100)):
        if name in body and not (str(body[name]).isdigit() and low <= int(body[name]) <= high):
            return ApiError(f"{name}: must be from {low} to {high}", param=name)
    size = str(body.get("size", "auto"))
    if not (size in _SIZES or (model.startswith("gpt-image-2") and _any_size(size))):
        return ApiError(f"size: {size!r} is not supported by {model}", param="size")
    return None


def _any_size(size: str) -> bool:
    """Whether gpt-image-2 and later support a size: sides divisible by 16, 1:3 to 3:1, up to 3840x2160."""
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        return False
    short, long = sorted((int(width), int(height)))
    return short > 0 and long <= 3840 and short <= 2160 and not (short % 16 or long % 16) and long <= 3 * short


def _unsupported(name: str, request: RecordedRequest) -> ApiError:
    words = f"Unsupported parameter: '{name}' is not supported with model {request.model!r}."
    return ApiError(words, "unsupported_parameter", name)
