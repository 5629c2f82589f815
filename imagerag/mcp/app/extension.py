"""The extension `io.modelcontextprotocol/ui`: the app as a resource, and what clients without it never see of it."""

from collections.abc import Mapping
from typing import Any, Final

from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, Apps, client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.resources import FunctionResource

APP_URI: Final = "ui://imagerag/app.html"

WITH_APP: Final = frozenset({"generate_image", "continue_run", "search_references", "start_image", "run_result"})
"""Tools whose results the app shows."""

APP_ONLY: Final[dict[str, Any]] = {"ui": {"visibility": ["app"]}}
"""What is said of tools that the app calls and no model sees."""

_OLD_KEY: Final = "ui/resourceUri"
"""The key by which hosts of before 2026-01-26 look for the app."""


def tool_meta(name: str) -> dict[str, Any] | None:
    """The `_meta` of a tool; None where the app does not show its results."""
    return {"ui": {"resourceUri": APP_URI}, _OLD_KEY: APP_URI} if name in WITH_APP else None


def apps() -> Apps:
    """The extension with the app. The document is made when it is first read."""
    from imagerag.mcp.app.document import app_document

    extension = Apps()
    extension.add_resource(
        FunctionResource(
            uri=APP_URI,
            name="imagerag",
            title="imagerag",
            description="Shows a run while it is drawn, its result, and the references to choose from.",
            mime_type=APP_MIME_TYPE,
            meta={"ui": {"prefersBorder": True}},
            fn=app_document,
        )
    )
    return extension


async def hide_app(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: clients that do not announce the extension get what they got before there was an app."""
    result = await call_next(ctx)
    if not isinstance(result, dict) or _announced(ctx):
        return result
    if ctx.method in ("initialize", "server/discover"):
        return _without_extension(result)
    if ctx.method == "tools/list":
        return {**result, "tools": [_without_app(tool) for tool in result["tools"] if not _is_app_only(tool)]}
    if ctx.method == "resources/list":
        return {**result, "resources": [one for one in result["resources"] if one["uri"] != APP_URI]}
    return result


def _announced(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client announces the extension; in `initialize` it does so with this very request."""
    if ctx.method != "initialize":
        return client_supports_apps(ctx)
    capabilities = (ctx.params or {}).get("capabilities") or {}
    settings = (capabilities.get("extensions") or {}).get(EXTENSION_ID) or {}
    return APP_MIME_TYPE in (settings.get("mimeTypes") or ())


def _without_extension(result: dict[str, Any]) -> dict[str, Any]:
    """A greeting without the extension, and without the map of extensions where it was the only one."""
    capabilities = dict(result["capabilities"])
    extensions = {name: value for name, value in capabilities.pop("extensions", {}).items() if name != EXTENSION_ID}
    return {**result, "capabilities": {**capabilities, **({"extensions": extensions} if extensions else {})}}


def _ui(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    return (tool.get("_meta") or {}).get("ui") or {}


def _is_app_only(tool: Mapping[str, Any]) -> bool:
    return _ui(tool).get("visibility") == ["app"]


def _without_app(tool: Mapping[str, Any]) -> dict[str, Any]:
    meta = {key: value for key, value in (tool.get("_meta") or {}).items() if key not in ("ui", _OLD_KEY)}
    plain = {key: value for key, value in tool.items() if key != "_meta"}
    return {**plain, **({"_meta": meta} if meta else {})}
