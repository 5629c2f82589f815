"""Progress over a server's websocket: steps, previews, and the end of a job.

It only tells sooner what the server's history tells as well: a websocket that cannot be opened or breaks off costs
progress, and no image.
"""

import asyncio
import json
import logging
import struct
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.calls.call_context import ProgressCallback
from imagerag.agent.extras import import_extra
from imagerag.tools.generators.comfyui.server import ComfyServer
from imagerag.tools.openai.errors import redact

if TYPE_CHECKING:
    from imagerag.tools.generators.comfyui.jobs import Job

_OPEN_S: Final = 10.0
_MAX_MESSAGE: Final = 32 << 20
"""Bytes; previews have some 100 KB, the outputs of a node can be listed at length."""
_PREVIEW: Final = 1
_PREVIEW_WITH_METADATA: Final = 4
_ENDS: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})

_log = logging.getLogger(__name__)


class JobListener:
    """Listens to the messages about one job; a context manager.

    Args:
        job: its id is also that of this client at the server: whoever goes on with a job that another process began
            hears of it.
        watcher: the progress callback.
    """

    def __init__(self, server: ComfyServer, job: "Job", watcher: ProgressCallback) -> None:
        self._server, self._job, self._watcher = server, job, watcher
        self._client, self._woken = job.id, asyncio.Event()
        self._done, self._total, self._shown = 0, 0, 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "JobListener":
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._listen(opened))
        await opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def wait(self, seconds: float) -> bool:
        """Wait until the server says that the job ended, so many seconds at most; whether it did."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        woken = self._woken.is_set()
        self._woken.clear()
        return woken

    async def _listen(self, opened: "asyncio.Future[None]") -> None:
        try:
            async with self._connection() as socket:
                opened.set_result(None)
                async for message in socket:
                    await self._take(message)
        except Exception as error:
            _log.info(
                "%s: no progress by its websocket: %s", self._server.who, redact(str(error), self._server.secrets)
            )
        finally:
            if not opened.done():
                opened.set_result(None)

    def _connection(self) -> Any:
        import httpx2

        from imagerag.tools.http_client import proxy_of, ssl_context

        client = import_extra("websockets.asyncio.client", "comfyui:", "comfyui")

        class Connection(client.connect):  # type: ignore[misc, name-defined]
            """A connection that follows no redirect: the key in its headers is for one server."""

            def process_redirect(self, exc: Exception) -> Exception:
                return exc

        url, headers = self._server.websocket(self._client)
        secure = {"ssl": ssl_context()} if url.startswith("wss:") else {}
        return Connection(
            url,
            additional_headers=headers,
            max_size=_MAX_MESSAGE,
            open_timeout=_OPEN_S,
            close_timeout=1,
            proxy=proxy_of(httpx2.URL(self._server.address)) or None,
            logger=_quiet,
            **secure,
        )

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._preview(message)
            return
        try:
            event = json.loads(message)
        except (ValueError, RecursionError):
            return
        data = event.get("data") if isinstance(event, Mapping) else None
        if not isinstance(data, Mapping) or data.get("prompt_id", self._job.id) != self._job.id:
            return
        if event.get("type") == "progress":
            self._step(data)
        elif event.get("type") in _ENDS or (event.get("type") == "executing" and data.get("node", "") is None):
            self._woken.set()

    def _step(self, data: Mapping[str, Any]) -> None:
        step, total = data.get("value"), data.get("max")
        if isinstance(step, int | float) and isinstance(total, int | float) and 0 <= step <= total and total > 1:
            self._done, self._total = int(step), int(total)
            self._watcher.step(self._done, self._total)

    async def _preview(self, message: bytes) -> None:
        """Hand on as many previews as are wanted, spread over the steps."""
        data = preview_in(message)
        count = self._watcher.partial_images
        due = self._done * (count + 1) >= self._total * (self._shown + 1)
        if data is None or self._shown >= count or not due:
            return
        try:
            await self._watcher.partial(data, self._shown)
            self._shown += 1
        except Exception as error:  # a failing progress callback must not lose the image
            _log.warning("progress of %s could not be shown: %s", self._server.who, redact(str(error)))


def preview_in(message: bytes) -> bytes | None:
    """The image in a binary message: after the kind of event and of image, or after a length and metadata."""
    if len(message) < 8:
        return None
    event, second = struct.unpack(">II", message[:8])
    if event == _PREVIEW:
        return message[8:]
    return message[8 + second :] if event == _PREVIEW_WITH_METADATA else None


_quiet: Final = logging.getLogger(f"{__name__}.websocket")
"""The library logs headers at its lowest level."""
_quiet.setLevel(logging.WARNING)
