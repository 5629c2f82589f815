"""Mock OpenAI server on 127.0.0.1, in a thread of this process."""

import hashlib
import json
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Final

from imagerag.tools.testing.mock_openai.api_limits import ApiError, check, too_many, wrong_field
from imagerag.tools.testing.mock_openai.default_responder import DefaultResponder
from imagerag.tools.testing.mock_openai.http_handler import Handler, Listener
from imagerag.tools.testing.mock_openai.request_log import Endpoint, RecordedRequest
from imagerag.tools.testing.mock_openai.request_parsing import recorded
from imagerag.tools.testing.mock_openai.response_rendering import (
    RenderedResponse,
    media_type_of,
    raw,
    rejected,
    render,
    shaped,
    spoil,
)
from imagerag.tools.testing.mock_openai.responses import Answerer, ErrorShape, Fault, FaultRates, MockResponse, Raw

SETTLE_S: Final = 1.0


class MockOpenAIServer:
    """Mock of OpenAI's Images, Chat Completions and Responses over real HTTP.

    Thread-safe. A context manager, or use `start` and `close`.

    Attributes:
        base_url: the clients' base URL, for instance `http://127.0.0.1:40213/v1`. Known once started.
        errors: exceptions in this server itself, or in its responder; the client got a 500.
    """

    def __init__(
        self,
        answer: Answerer | None = None,
        *,
        faults: FaultRates | None = None,
        latency_s: float = 0.0,
        key: str | None = None,
        refuses: Collection[str] = (),
        models: Collection[str] = ("loopback",),
        limits: bool = True,
        keep_alive: bool = False,
        idempotent: bool = False,
        without: Collection[Endpoint] = (),
        image_field: str | None = None,
        max_images: int | None = None,
        error_shape: ErrorShape = "openai",
        errors_ok: bool = False,
        port: int = 0,
    ) -> None:
        """Create a server; it listens once started.

        Args:
            answer: makes responses if none is scripted; by default `DefaultResponder()`.
            faults: random faults, for requests without a scripted response.
            latency_s: seconds before each response.
            key: the only accepted key; None accepts any.
            without: endpoints that this server does not have.
            image_field: the only accepted form field of an edit's files: "image" or "image[]".
            max_images: maximum number of images per chat request.
            error_shape: location of an error's message in the body.
            errors_ok: send errors with status 200.
            refuses: parameters and response formats that get a 400 `unsupported_parameter`, for instance
                `("temperature", "json_schema", "logprobs")`; "system" is the system message.
            models: response of `GET /v1/models`.
            limits: enforce the documented limits of the Images API.
            keep_alive: reuse connections. If off, each response closes its connection, which shows whether the client
                read it.
            idempotent: repeat the response to a request whose Idempotency-Key was already answered.
            port: 0 selects a free one.
        """
        self.errors: list[BaseException] = []
        self.keep_alive = keep_alive
        self.closing = threading.Event()
        self._answer: Answerer = answer or DefaultResponder()
        self._faults, self._latency_s, self._key = faults, latency_s, key
        self._refuses, self._models, self._limits = frozenset(refuses), tuple(models), limits
        self._idempotent, self._port = idempotent, port
        self._without, self._image_field, self._max_images = frozenset(without), image_field, max_images
        self._shape, self._errors_ok = error_shape, errors_ok
        self._changed = threading.Condition()
        self._requests: list[RecordedRequest] = []
        self._seen: Counter[str] = Counter()
        self._script: defaultdict[str, deque[MockResponse | Fault | Raw]] = defaultdict(deque)
        self._kept: dict[str, RenderedResponse] = {}
        self._files: dict[str, bytes] = {}
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> "MockOpenAIServer":
        """Listen in a thread."""
        self._listener = Listener(("127.0.0.1", self._port), Handler, self)
        poll = {"poll_interval": 0.05}
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs=poll, name="loopback", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Cut off hanging requests, and end all threads."""
        self.closing.set()
        if self._listener and self._thread:
            self._listener.shutdown()
            self._listener.drop_connections()
            self._listener.server_close()
            self._thread.join()

    def __enter__(self) -> "MockOpenAIServer":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The clients' base URL."""
        if self._listener is None:
            raise RuntimeError("the loopback server is not started: use `with MockOpenAIServer() as server:`")
        return f"http://127.0.0.1:{self._listener.server_address[1]}/v1"

    def enqueue(self, endpoint: Endpoint, *replies: MockResponse | Fault | Raw) -> None:
        """Script the next responses of an endpoint; they are used in order, before the responder."""
        with self._changed:
            self._script[endpoint].extend(replies)

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, oldest first. Waits briefly for responses that are being written."""
        with self._changed:
            self._changed.wait_for(lambda: not any(request.writing for request in self._requests), SETTLE_S)
            return list(self._requests)

    def of(self, endpoint: Endpoint) -> list[RecordedRequest]:
        """Requests to one endpoint, oldest first."""
        return [request for request in self.requests if request.endpoint == endpoint]

    def count(self, endpoint: Endpoint | None = None) -> int:
        """Number of requests, to one endpoint or to all."""
        return len(self.of(endpoint) if endpoint else self.requests)

    @property
    def answered(self) -> list[RecordedRequest]:
        """Requests whose model response (or refusal) arrived completely: a service would charge for them."""
        return [request for request in self.requests if request.answered]

    @property
    def repeats(self) -> list[RecordedRequest]:
        """Requests that repeat an already answered one: money spent twice.

        Two requests are the same if their Idempotency-Key is; without one, if their content is.
        """
        completed_ids: set[str] = set()
        again = []
        for request in self.requests:
            identity = request.idempotency_key or request.digest
            if identity in completed_ids:
                again.append(request)
            if request.answered:
                completed_ids.add(identity)
        return again

    def forget(self) -> None:
        """Clear the record, the scripts and the kept responses."""
        with self._changed:
            self._requests.clear()
            self._script.clear()
            self._kept.clear()
            self._seen.clear()

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> RecordedRequest:
        """Parse a request (called by the handler).

        Raises:
            UnreadableError: the body does not match its headers.
        """
        return recorded(method, path, headers, body)

    def note(self, request: RecordedRequest) -> None:
        """Record a request (called by the handler)."""
        with self._changed:
            request.nth = self._seen[request.digest]
            self._seen[request.digest] += 1
            self._requests.append(request)

    def mark(self, request: RecordedRequest, **fate: Any) -> None:
        """Record the fate of a request (called by the handler)."""
        with self._changed:
            for name, value in fate.items():
                setattr(request, name, value)
            self._changed.notify_all()

    def decide(
        self, request: RecordedRequest, authorization: str
    ) -> tuple[MockResponse | Fault | Raw | RenderedResponse, float]:
        """Choose the response to a request, and its delay in seconds (called by the handler)."""
        early = self._early(request, authorization)
        if early is not None:
            return early, 0.0
        with self._changed:
            script = self._script[request.endpoint]
            scripted = script.popleft() if script else None
        decision = scripted or (self._faults.pick(request) if self._faults else None) or self._answer(request)
        return decision, self._latency_s if decision.delay_s is None else decision.delay_s

    def finished(
        self, request: RecordedRequest, decision: MockResponse | Fault | Raw | RenderedResponse
    ) -> RenderedResponse:
        """Render the chosen response as HTTP (called by the handler)."""
        if isinstance(decision, Raw):
            return raw(decision)
        answer = self._rendered(request, decision)
        odd = self._shape != "openai" or self._errors_ok
        return shaped(answer, self._shape, ok=self._errors_ok) if odd and answer.status >= 400 else answer

    def _rendered(
        self, request: RecordedRequest, decision: MockResponse | Fault | RenderedResponse
    ) -> RenderedResponse:
        if isinstance(decision, RenderedResponse):
            return decision
        if isinstance(decision, Fault):
            return spoil(request, decision, lambda: self._good(request), self.host)
        answer = render(request, decision, self.host)
        if self._idempotent and request.idempotency_key and answer.status == 200:
            self._kept[request.idempotency_key] = answer
        return answer

    def _good(self, request: RecordedRequest) -> MockResponse:
        """The good response that a fault corrupts."""
        response = self._answer(request)
        return response if isinstance(response, MockResponse) else MockResponse()

    def _early(self, request: RecordedRequest, authorization: str) -> RenderedResponse | None:
        if request.endpoint == "files":
            data = self._files.get(request.path.partition("?")[0].rpartition("/")[2])
            return (
                RenderedResponse(200, data, media_type_of(data)) if data else RenderedResponse(404, b"", "text/plain")
            )
        if self._key is not None and authorization != f"Bearer {self._key}":
            return rejected(ApiError("Incorrect API key provided.", "invalid_api_key", None, 401))
        if request.endpoint == "unknown" or request.endpoint in self._without:
            words = f"Invalid URL ({request.method} {request.path})"
            return rejected(ApiError(words, "unknown_url", None, 404))
        if request.endpoint == "models":
            data_ = [{"id": name, "object": "model", "created": 0, "owned_by": "loopback"} for name in self._models]
            return RenderedResponse(200, json.dumps({"object": "list", "data": data_}).encode())
        problem = too_many(request, self._max_images) or wrong_field(request, self._image_field)
        problem = problem or (check(request, self._refuses) if self._limits else None)
        if problem:
            return rejected(problem)
        return self._kept.get(request.idempotency_key or "")

    def host(self, image: bytes) -> str:
        """Store an image on this server, and return its URL."""
        name = hashlib.sha256(image).hexdigest()[:32]
        self._files[name] = image
        return f"{self.base_url}/files/{name}"

    def wait(self, seconds: float) -> bool:
        """Wait; True if the server closes meanwhile (called by the handler)."""
        return self.closing.wait(seconds) if seconds > 0 else self.closing.is_set()

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until all requests so far are answered or dropped, at most `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._listener and self._listener.busy():
            time.sleep(0.01)
