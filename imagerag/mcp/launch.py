"""Start the MCP server from plain options, over stdio or HTTP. The command line calls this and nothing else here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG


async def launch(rag: "ImageRAG", options: Mapping[str, Any], *, token: str | None = None) -> None:
    """Serve until the client leaves or the process is told to stop.

    Args:
        options: the options of `imagerag mcp` by their names.
        token: with `http`: what clients have to send.

    Raises:
        UsageError: a folder or a limit that cannot be, or an address that cannot be bound.
    """
    from imagerag.formatting.interface_terms import use_home
    from imagerag.store.data_dir import DataDir

    home = rag.dependencies.home
    # The terminal of whoever is told to type a command may lack the environment that the server was started with.
    use_home(None if home == DataDir.default() else str(home.root))
    try:
        await _serve(rag, options, token)
    finally:
        use_home(None)


async def _serve(rag: "ImageRAG", options: Mapping[str, Any], token: str | None) -> None:
    from imagerag.assistants.service import ChatService
    from imagerag.assistants.tool_result import RunLimits
    from imagerag.assistants.usage_limits import ServerBudget, ServerLimits
    from imagerag.files.access_policy import InputPolicy
    from imagerag.http_server.access import HttpOptions
    from imagerag.http_server.connection_limits import ConnectionLimits
    from imagerag.mcp.server import Limits, ServerState, serve_http, serve_stdio
    from imagerag.store.daily_usage import DailyUsage

    together = ServerLimits(
        max_calls=options["server_max_calls"],
        max_cost_usd=options["server_max_cost_usd"],
        daily_calls=options["daily_max_calls"],
        daily_cost_usd=options["daily_max_cost_usd"],
    )
    by_day = together.daily_calls is not None or together.daily_cost_usd is not None
    service = ChatService(
        rag,
        inputs=InputPolicy.of(options["roots"], urls=options["allow_urls"]),
        ceilings=RunLimits.of(options),
        allowance=ServerBudget(together, DailyUsage(rag.dependencies.home.usage) if by_day else None),
    )
    limits = Limits(
        max_concurrency=options["max_concurrency"], most=options["max_jobs"], idle_timeout_s=options["idle_timeout_s"]
    )
    serving = ServerState(service=service, limits=limits)
    if not options["http"]:
        await serve_stdio(serving)
        return
    http = HttpOptions(
        host=options["host"],
        port=options["port"],
        token=token,
        names=options["names"],
        sessions=options["max_sessions"],
        connections=ConnectionLimits(most=options["max_connections"]),
    )
    await serve_http(serving, http)
