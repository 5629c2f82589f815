"""Responses of the mock server, and its faults."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from imagerag.tools.testing.mock_openai.request_log import RecordedRequest

ImageShape = Literal["message.images", "content_list", "markdown"]

FaultKind = Literal[
    "rate_limit",
    "quota",
    "billing",
    "unauthorized",
    "forbidden",
    "error_500",
    "error_503",
    "hang",
    "reset_before",
    "reset_midway",
    "refusal",
    "invalid_json",
    "garbled_text",
    "truncated_base64",
    "empty_data",
    "wrong_content_type",
]
"""
rate_limit          429 `rate_limit_exceeded`, with Retry-After
quota               429 `insufficient_quota`: asking again does not help
billing             400 `billing_hard_limit_reached`
unauthorized        401 `invalid_api_key`
forbidden           403, the organisation is not verified
error_500/503       the service failed, or is overloaded
hang                no answer until the client or the server gives up
reset_before        the connection is reset before anything is answered
reset_midway        the connection is reset after half of the answer's bytes
refusal             images: 400 `moderation_blocked`; chat and responses: a refusal in the message
invalid_json        200 with a body that stops in the middle of its JSON
garbled_text        200, and the model's words are not what was asked for
truncated_base64    200, and every image in it is cut in half
empty_data          200 without any image or word
wrong_content_type  200 with a page of HTML, as proxies send
"""

_SENSELESS: Final = {"image": "garbled_text", "words": "truncated_base64"}
"""Faults that cannot happen to a kind of response."""

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True, kw_only=True)
class MockResponse:
    """A good response, which each endpoint renders in its own format.

    Attributes:
        text: the model's text. If a tool was offered and this is a JSON object, it becomes the tool's arguments.
        images: encoded images.
        image_shape: location of images in a chat response: OpenRouter's `message.images`, parts of a content list, or
            Markdown with a data URL.
        as_url: whether Images responses have a URL on this server instead of base64, as at many other servers.
        message: fields that override those of a chat response's message, for instance its `content` and
            `reasoning_content`.
        in_lines: whether base64 is broken into lines of 76 characters, as in MIME.
        refusal: chat and responses: text of the model's refusal. Images: 400 `moderation_blocked`.
        finish_reason: overrides the chat response's own, for instance "length" or "content_filter".
        odds: token → probability of the first token, for `logprobs`.
        partials: streamed Images responses send these first, and then the final image.
        usage: overrides the reported token counts.
        delay_s: seconds before the response; None uses the server's latency.
    """

    text: str = ""
    images: tuple[bytes, ...] = field(default=(), repr=False)
    image_shape: ImageShape = "message.images"
    as_url: bool = False
    message: Mapping[str, Any] = field(default_factory=dict)
    in_lines: bool = False
    revised_prompt: str | None = None
    refusal: str | None = None
    finish_reason: str | None = None
    odds: Mapping[str, float] | None = None
    partials: tuple[bytes, ...] = field(default=(), repr=False)
    usage: Mapping[str, Any] | None = None
    delay_s: float | None = None


@dataclass(frozen=True)
class Raw:
    """A body that is sent unchanged, for cases without a response or fault.

    Attributes:
        body: JSON-able, or text.
        delay_s: seconds before the response; None uses the server's latency.
    """

    status: int
    body: Any = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay_s: float | None = None


ErrorShape = Literal["openai", "list", "text", "detail", "message", "html"]
"""Location of an error's message in the body: `{"error": {…}}`, the same in a list (Gemini), `{"error": "…"}`,
`{"detail": "…"}`, `{"message": "…"}`, or an HTML page."""


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        retry_after_s: Retry-After header of `rate_limit` and `error_503`, in seconds; None sends none.
        message: overrides the message of the error or the refusal.
        delay_s: seconds before the fault; None uses the server's latency.
    """

    kind: FaultKind
    retry_after_s: float | None = None
    message: str = ""
    delay_s: float | None = None


@dataclass(frozen=True)
class FaultRates:
    """Random faults, reproducible per request.

    Each kind is drawn independently; of those drawn, one happens. The fault depends on the seed, the request and the
    number of its earlier repetitions, not on the order in which concurrent requests arrive.

    Attributes:
        rates: kind → probability in [0, 1].
        retry_after_s: Retry-After header of 429 and 503, in seconds.
    """

    rates: Mapping[FaultKind, float]
    seed: int = 0
    retry_after_s: float | None = 0.05

    @classmethod
    def every(cls, rate: float, *, seed: int = 0, without: tuple[FaultKind, ...] = ()) -> "FaultRates":
        """The same rate for all kinds of fault, except those named."""
        return cls({kind: rate for kind in FAULT_KINDS if kind not in without}, seed)

    def pick(self, request: RecordedRequest) -> Fault | None:
        """The fault of this request, or None."""
        chance = random.Random(f"{self.seed}/{request.digest}/{request.nth}")
        tossed = [kind for kind, rate in self.rates.items() if chance.random() < rate]
        hit = [kind for kind in tossed if kind != _SENSELESS["image" if request.asks == "image" else "words"]]
        return Fault(chance.choice(hit), self.retry_after_s) if hit else None


Answerer = Callable[[RecordedRequest], MockResponse | Fault | Raw]
"""Makes the response to a request without a scripted one."""
