"""`imagerag mcp`."""

import asyncio
from contextlib import suppress
from typing import Any

import click

from imagerag.agent.extras import import_extra
from imagerag.cli import Globals
from imagerag.cli.access_token import access_token, token_option
from imagerag.cli.options import pass_globals, server_run_options
from imagerag.client.client import ImageRAG
from imagerag.http_server.token_variables import MCP_TOKEN


@click.command("mcp")
@click.option("--http", is_flag=True, help="Serve over HTTP instead of stdin and stdout.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="With --http: port to listen on; 0 takes a free one.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="With --http: file with the token T that clients send as 'Authorization: Bearer T'. Needed where others can "
    f"connect  [env, with the token itself: {MCP_TOKEN}]",
)
@token_option
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="With --http: another host name that clients use."
)
@click.option(
    "--max-connections",
    type=click.IntRange(4, 100_000),
    default=512,
    show_default=True,
    metavar="N",
    help="With --http: connections at a time; the oldest idle one makes room.",
)
@click.option(
    "--max-sessions",
    type=click.IntRange(1, 1_000),
    default=64,
    show_default=True,
    metavar="N",
    help="With --http: sessions of one client address.",
)
@click.option(
    "--root", "roots", multiple=True, metavar="DIR", help="Folder whose images clients may name; none by default."
)
@click.option("--allow-urls", is_flag=True, help="Let clients name images by public http(s) addresses.")
@server_run_options
@click.option("--server-max-calls", type=click.IntRange(0), metavar="N", help="Model calls at most, of all runs.")
@click.option("--server-max-cost-usd", type=click.FloatRange(0), metavar="X", help="US dollars at most, of all runs.")
@click.option(
    "--daily-max-calls", type=click.IntRange(0), metavar="N", help="Model calls at most a day (UTC), over restarts."
)
@click.option(
    "--daily-max-cost-usd", type=click.FloatRange(0), metavar="X", help="US dollars at most a day (UTC), over restarts."
)
@click.option(
    "--max-concurrency", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N", help="Runs at a time."
)
@click.option(
    "--max-jobs",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    metavar="N",
    help="Jobs at most, waiting ones included.",
)
@click.option(
    "--idle-timeout-s",
    type=click.FloatRange(1),
    default=120,
    show_default=True,
    metavar="S",
    help="Cancel a started run that no client asks about for this long.",
)
@pass_globals
def mcp_command(globals_: Globals, /, **options: Any) -> int:
    """Serve assistants and editors over MCP.

    Its tools generate, search libraries and answer questions; they report progress, return images as image://
    resources, and let you choose references. Without --http it serves one client over stdin and stdout, as editors
    start it.
    """
    import_extra("mcp.server", "the MCP server", "mcp")
    from imagerag.mcp.launch import launch

    rag = ImageRAG(home=globals_.home, **{name: options[name] for name in ("preset", "generator", "judge", "library")})
    token = access_token(options["token"], options["token_file"], MCP_TOKEN) if options["http"] else None
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(launch(rag, options, token=token))
    return 0
