"""A host of MCP Apps on loopback: a page with the app in a sandboxed frame, over the SDK's own client."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.shared.exceptions import MCPError
from playwright.async_api import FrameLocator, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from imagerag.http_server.access import HttpOptions
from imagerag.http_server.listening import address_of
from imagerag.mcp.app.extension import APP_URI
from imagerag.mcp.server import ServerState
from tests.http_serving import served_here

ANNOUNCES: Final = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
EVERYTHING: Final = {
    "serverTools": {}, "serverResources": {}, "openLinks": {}, "downloadFile": {},
    "message": {"text": {}}, "updateModelContext": {"text": {}},
}  # fmt: skip
"""What a host can do at most."""

POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'self'"
)
"""What the specification has hosts set where a resource names no domains."""


@dataclass
class Host:
    """A host with one client, and what its page saw of the app.

    Attributes:
        address: of its page.
        client: through which the app's calls go, too.
        pace: what the next calls of these tools wait for.
    """

    address: str
    client: Client
    page: Page
    pace: dict[str, asyncio.Event] = field(default_factory=dict)

    async def open(
        self, tool: str, *, capabilities: Mapping[str, Any] = EVERYTHING, request_id: Any = None, **context: Any
    ) -> FrameLocator:
        """Show the app for a call of a tool; what is in the frame."""
        listed = {one.name: one for one in (await self.client.list_tools()).tools}
        shown = listed[tool].model_dump(mode="json", by_alias=True, exclude_none=True)
        info: dict[str, Any] = {"tool": shown} | ({} if request_id is None else {"id": request_id})
        await self.page.goto(self.address)
        await self.page.evaluate(
            "([can, context]) => open(can, context)", [capabilities, {"toolInfo": info, **context}]
        )
        return self.page.frame_locator("iframe")

    async def notice(self, method: str, params: Mapping[str, Any]) -> None:
        """Send the app a notification."""
        await self.page.evaluate("([method, params]) => notice(method, params)", [f"ui/notifications/{method}", params])

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What a host does for a call of the model: its input goes to the app, then its result."""
        await self.notice("tool-input", {"arguments": arguments})
        answer = await self.client.call_tool(tool, arguments)
        result: dict[str, Any] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self.notice("tool-result", result)
        return result

    async def log(self, method: str | None = None) -> list[dict[str, Any]]:
        """What the app sent, or all of it of one method."""
        log: list[dict[str, Any]] = await self.page.evaluate("log")
        return [one for one in log if method is None or one.get("method") == method]

    async def serve(self, request: Request) -> Response:
        """Pass a request of the app on to the server."""
        asked = await request.json()
        params = asked["params"]
        try:
            if asked["method"] == "resources/read":
                answer: Any = await self.client.read_resource(params["uri"])
            else:
                if params["name"] in self.pace:
                    await self.pace[params["name"]].wait()
                answer = await self.client.call_tool(params["name"], params.get("arguments"))
        except MCPError as error:
            return JSONResponse({"error": {"code": error.code, "message": error.message}})
        return JSONResponse({"result": answer.model_dump(mode="json", by_alias=True, exclude_none=True)})


@asynccontextmanager
async def hosting(state: ServerState, page: Page, **client: Any) -> AsyncIterator[Host]:
    """A host over a server, for the block."""
    async with Client(state.build(), extensions=[ANNOUNCES], **client) as connected:
        (resource,) = (await connected.read_resource(APP_URI)).contents
        html = getattr(resource, "text", "")

        async def app(_: Request) -> Response:
            return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

        async def top(_: Request) -> Response:
            return HTMLResponse((Path(__file__).parent / "host.html").read_text())

        async def calls(request: Request) -> Response:
            return await host.serve(request)

        routes = [Route("/", top), Route("/app", app), Route("/server", calls, methods=["POST"])]
        async with served_here(Starlette(routes=routes), HttpOptions(port=0)) as listening:
            host = Host(address_of(listening), connected, page)
            try:
                yield host
            finally:
                await page.goto("about:blank")  # a page that polls keeps its connection
