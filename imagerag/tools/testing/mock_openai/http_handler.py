"""HTTP handler: one request per call, and faults at connection level."""

import select
import socket
import socketserver
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Protocol

from imagerag.tools.testing.mock_openai.api_limits import ApiError
from imagerag.tools.testing.mock_openai.request_log import RecordedRequest
from imagerag.tools.testing.mock_openai.request_parsing import UnreadableError
from imagerag.tools.testing.mock_openai.response_rendering import RenderedResponse, rejected
from imagerag.tools.testing.mock_openai.responses import Fault, MockResponse, Raw

MAX_BODY: Final = 1024 * 1024 * 1024
LINGER_S: Final = 2.0

Decision = MockResponse | Fault | Raw | RenderedResponse


class Service(Protocol):
    """Interface of the server that chooses each response."""

    keep_alive: bool
    errors: list[BaseException]

    def parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> RecordedRequest:
        """Parse a request."""

    def note(self, request: RecordedRequest) -> None:
        """Record a request."""

    def decide(self, request: RecordedRequest, authorization: str) -> tuple[Decision, float]:
        """Choose the response to a request, and its delay in seconds."""

    def wait(self, seconds: float) -> bool:
        """Wait; True if the server closes meanwhile."""

    def mark(self, request: RecordedRequest, **fate: Any) -> None:
        """Record the fate of a request."""

    def finished(self, request: RecordedRequest, decision: Decision) -> RenderedResponse:
        """Render the chosen response as HTTP."""


class Listener(socketserver.ThreadingTCPServer):
    """Accepts connections, with one thread each, and can drop all of them."""

    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: type["Handler"], loopback: Service) -> None:
        self.loopback = loopback
        self._open: set[socket.socket] = set()
        self._abrupt: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its own thread, and track it until it ends."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection; for a reset, the orderly shutdown is skipped."""
        with self._lock:
            self._open.discard(request)
            abrupt = request in self._abrupt
            self._abrupt.discard(request)
        if abrupt:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def reset(self, connection: socket.socket) -> None:
        """Mark a connection to end with a reset."""
        with self._lock:
            self._abrupt.add(connection)

    def busy(self) -> bool:
        """Whether a connection is open."""
        with self._lock:
            return bool(self._open)

    def drop_connections(self) -> None:
        """Close all open connections, so that no thread waits for a client."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Store an exception of this server for the test; a disconnected client is none."""
        import sys

        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.loopback.errors.append(error)


class Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        """Respond to a GET request."""
        self._serve()

    def do_POST(self) -> None:
        """Respond to a POST request."""
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests are in `MockOpenAIServer.requests`."""

    def _serve(self) -> None:
        loopback = self.server.loopback
        self.close_connection = not loopback.keep_alive
        try:
            request = loopback.parse(self.command, self.path, dict(self.headers.items()), self._body())
        except UnreadableError as error:
            self._write(rejected(ApiError(str(error), "invalid_request")))
            return
        loopback.note(request)
        try:
            decision, delay = loopback.decide(request, self.headers.get("authorization", ""))
            if isinstance(decision, Fault):
                loopback.mark(request, fault=decision.kind)
            if loopback.wait(delay) or (isinstance(decision, Fault) and self._breaks(decision)):
                self.close_connection = True
                return
            answer = loopback.finished(request, decision)
        except Exception as error:
            loopback.errors.append(error)
            answer = rejected(ApiError(f"the answerer failed: {error!r}", "loopback_error", None, 500))
        self._deliver(request, answer)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = int(self.headers.get("content-length") or 0)
        if length > MAX_BODY:
            raise UnreadableError("the body is over 1 GB")
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionResetError("the client left before its request was complete")
        return data

    def _chunks(self) -> bytes:
        whole = bytearray()
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return bytes(whole)

    def _breaks(self, fault: Fault) -> bool:
        """Hang or reset if that is the fault; returns whether it was."""
        if fault.kind == "hang":
            while not self.server.loopback.wait(0.05) and not self._client_left():
                continue
            return True
        if fault.kind == "reset_before":
            self._reset()
            return True
        return False

    def _deliver(self, request: RecordedRequest, answer: RenderedResponse) -> None:
        """Write a response and record whether the client received it."""
        loopback = self.server.loopback
        if self._client_left():
            self.close_connection = True
            return
        loopback.mark(request, writing=True, status=answer.status)
        try:
            self._write(answer)
            arrived = not answer.cut and not self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError:
            arrived = False
        loopback.mark(request, served=arrived, writing=False)
        if arrived and self.close_connection and self._dropped():
            loopback.mark(request, served=False)

    def _write(self, answer: RenderedResponse) -> None:
        self.send_response(answer.status)
        headers = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if answer.cut:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self._reset()
        else:
            self.wfile.write(answer.body)

    def _client_left(self) -> bool:
        """Whether the client closed its end while it should wait for the response."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _dropped(self) -> bool:
        """Whether the client reset the connection instead of closing it, so that the response was not read."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            readable, _, _ = select.select([self.connection], [], [], LINGER_S)
            if readable:
                self.connection.recv(1)
        except OSError:
            return True
        return False

    def _reset(self) -> None:
        """End with a TCP reset instead of an orderly close, after this handler returns."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.reset(self.connection)
