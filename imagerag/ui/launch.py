"""Start the page from plain options. The command line calls this and nothing else here."""

import sys
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG


async def launch(rag: "ImageRAG", options: Mapping[str, Any], *, token: str | None = None) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM).

    Args:
        options: the options of `imagerag ui` by their names.
        token: what a browser has to show; None asks for nothing, on loopback only.

    Raises:
        UsageError: a folder or a limit that cannot be, or an address that cannot be bound.
    """
    from imagerag.assistants.tool_result import RunLimits
    from imagerag.files.access_policy import InputPolicy
    from imagerag.http_server.access import HttpOptions
    from imagerag.http_server.listening import address_of, bind, listener
    from imagerag.http_server.token_variables import UI_TOKEN
    from imagerag.ui.app import make_app
    from imagerag.ui.state import UiState, kept_secret

    http = HttpOptions(
        host=options["host"],
        port=options["port"],
        token=token,
        names=options["names"],
        token_variable=UI_TOKEN,
    )
    state = UiState(
        rag=rag,
        http=http,
        inputs=InputPolicy.of(options["roots"], urls=options["allow_urls"]),
        limits=RunLimits.of(options),
        language=options["language"],
        secret=kept_secret(rag.dependencies.home),
    )
    listening = bind(http)
    address = address_of(listening)
    asks = "a token" if token else "no token, this machine only"
    print(f"imagerag: the page is at {address} ({asks}); Ctrl-C stops it", file=sys.stderr, flush=True)
    if options["open_browser"]:
        webbrowser.open(f"{address}login?token={quote(token)}" if token else address)
    await listener(make_app(state), http.connections).serve(sockets=[listening])
