"""What the server can say: replies, and every way of failing."""

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
"""What cannot happen to an answer of a kind."""

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True, kw_only=True)
class MockResponse:
    """A good answer. Each endpoint puts it into its own form.

    Attributes:
        text: the model's words. Where a tool was offered and this is a JSON object, it becomes the tool's arguments.
        images: encoded images.
        image_shape: where a chat answer carries its images: OpenRouter's `message.images`, parts of a content list, or
            Markdown with a data URL.
        as_url: Images answers give an address on this server instead of base64, as many other servers do.
        message: fields of a chat answer's message that are put over its own, for instance
            `{"content": None, "reasoning_content": "…"}`.
        in_lines: base64 is broken into lines of 76, as MIME has it.
        refusal: chat and responses: the model declines in these words. Images: 400 `moderation_blocked`.
        finish_reason: overrides chat's own, for instance "length" or "content_filter".
        odds: token → probability of the first token, for `logprobs`.
        partials: streamed Images answers send these first, with the final image after them.
        usage: overrides the token counts reported.
        delay_s: seconds before the answer; None takes the server's latency.
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
    """An answer byte for byte: what no reply and no fault says.

    Attributes:
        body: JSON-able, or text.
        delay_s: seconds before the answer; None takes the server's latency.
    """

    status: int
    body: Any = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay_s: float | None = None


ErrorShape = Literal["openai", "list", "text", "detail", "message", "html"]
"""Where a server puts the words of an error: `{"error": {…}}`, the same in a list (Gemini), `{"error": "…"}`,
`{"detail": "…"}`, `{"message": "…"}`, or a page of HTML."""


@dataclass(frozen=True)
class Fault:
    """A bad answer.

    Attributes:
        retry_after_s: the Retry-After header of `rate_limit` and `error_503`, in seconds; None sends none.
        message: overrides the words of the error or the refusal.
        delay_s: seconds before it happens; None takes the server's latency.
    """

    kind: FaultKind
    retry_after_s: float | None = None
    message: str = ""
    delay_s: float | None = None


@dataclass(frozen=True)
class FaultRates:
    """Faults at random, the same ones for the same requests.

    A coin is thrown per kind; of the kinds that come up, one happens. What a request meets depends on the seed, on the
    request and on how often it came before, not on the order in which concurrent requests arrive.

    Attributes:
        rates: kind → probability in [0, 1].
        retry_after_s: the Retry-After header sent with 429 and 503, in seconds.
    """

    rates: Mapping[FaultKind, float]
    seed: int = 0
    retry_after_s: float | None = 0.05

    @classmethod
    def every(cls, rate: float, *, seed: int = 0, without: tuple[FaultKind, ...] = ()) -> "FaultRates":
        """Every kind of fault at the same rate, except those named."""
        return cls({kind: rate for kind in FAULT_KINDS if kind not in without}, seed)

    def pick(self, request: RecordedRequest) -> Fault | None:
        """The fault that this request meets, if any."""
        chance = random.Random(f"{self.seed}/{request.digest}/{request.nth}")
        tossed = [kind for kind, rate in self.rates.items() if chance.random() < rate]
        hit = [kind for kind in tossed if kind != _SENSELESS["image" if request.asks == "image" else "words"]]
        return Fault(chance.choice(hit), self.retry_after_s) if hit else None


Answerer = Callable[[RecordedRequest], MockResponse | Fault | Raw]
"""Makes the answer to a request for which none was scripted."""
