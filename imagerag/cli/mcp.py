"""`imagerag mcp`."""

import asyncio
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from imagerag.agent.errors import MissingExtraError, UsageError
from imagerag.cli import Globals
from imagerag.cli.options import assume_option, generator_option, judge_option, library_option, pass_globals
from imagerag.cli.terminal import say
from imagerag.client.client import ImageRAG

TOKEN: Final = "IMAGERAG_MCP_TOKEN"


@click.command("mcp")
@click.option("--http", is_flag=True, help="Serve over HTTP instead of stdin and stdout.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="With --http: where to listen; 0 takes any free port.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="With --http: holds the token T that clients send as 'Authorization: Bearer T'. Needed where others can "
    f"connect  [env, with the token itself: {TOKEN}]",
)
@click.option("--token", metavar="T", help="The token itself. The process list shows it: better a file.")
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="With --http: a further name clients reach it by."
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
    "--root", "roots", multiple=True, metavar="DIR", help="A folder whose pictures may be handed in; none by default."
)
@click.option("--allow-urls", is_flag=True, help="Pictures may also be handed in by public http(s) addresses.")
@library_option
@click.option("--preset", metavar="P", help="Backends that belong together  [env: IMAGERAG_PRESET]")
@generator_option
@judge_option
@click.option("--max-rounds", type=click.IntRange(0, 20), metavar="N", help="Redrawings at most, of each run.")
@click.option("--max-calls", type=click.IntRange(1), metavar="N", help="Model calls at most, of each run.")
@click.option("--max-cost-usd", type=click.FloatRange(0), metavar="X", help="US dollars at most, of each run.")
@click.option("--server-max-calls", type=click.IntRange(0), metavar="N", help="Model calls at most, of all runs.")
@click.option("--server-max-cost-usd", type=click.FloatRange(0), metavar="X", help="US dollars at most, of all runs.")
@click.option(
    "--daily-max-calls", type=click.IntRange(0), metavar="N", help="Model calls at most a day (UTC), over restarts."
)
@click.option(
    "--daily-max-cost-usd", type=click.FloatRange(0), metavar="X", help="US dollars at most a day (UTC), over restarts."
)
@assume_option
@click.option(
    "--deadline-s", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds at most, of each run."
)
@click.option(
    "--at-once", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N", help="Runs at a time."
)
@click.option(
    "--max-runs",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    metavar="N",
    help="Runs at most, those that wait included.",
)
@click.option(
    "--lease-s",
    type=click.FloatRange(1),
    default=120,
    show_default=True,
    metavar="S",
    help="A started run that nobody asks about for so long is cancelled.",
)
@pass_globals
def mcp_command(globals_: Globals, /, **options: Any) -> int:
    """Serve assistants and editors that speak MCP.

    They draw, look into libraries and ask, with tools that report progress, give pictures as image:// resources and let
    you choose references yourself. Without --http it serves one client over stdin and stdout, as editors start it.
    """
    try:
        import mcp.server  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the MCP server", "mcp") from error
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_serve(globals_, **options))
    return 0


async def _serve(globals_: Globals, **options: Any) -> None:
    from imagerag.assistants.service import ChatService
    from imagerag.assistants.tool_result import RunLimits
    from imagerag.assistants.usage_limits import ServerBudget, ServerLimits
    from imagerag.files.access_policy import InputPolicy
    from imagerag.mcp.connection_limits import ConnectionLimits
    from imagerag.mcp.http import HttpOptions
    from imagerag.mcp.server import Limits, ServerState, serve_http, serve_stdio
    from imagerag.store.daily_usage import DailyUsage

    named = {name: options[name] for name in ("preset", "generator", "judge", "library")}
    ceilings = ("max_rounds", "max_calls", "max_cost_usd", "assume_cost_usd_per_call", "deadline_s")
    spending = {name: options[name] for name in ceilings}
    together = ServerLimits(
        max_calls=options["server_max_calls"],
        max_cost_usd=options["server_max_cost_usd"],
        daily_calls=options["daily_max_calls"],
        daily_cost_usd=options["daily_max_cost_usd"],
    )
    rag = ImageRAG(**named, home=globals_.home)
    by_day = together.daily_calls is not None or together.daily_cost_usd is not None
    service = ChatService(
        rag,
        inputs=InputPolicy.of(options["roots"], urls=options["allow_urls"]),
        ceilings=RunLimits(**spending),
        allowance=ServerBudget(together, DailyUsage(rag.wiring.home.usage) if by_day else None),
    )
    limits = Limits(at_once=options["at_once"], most=options["max_runs"], lease_s=options["lease_s"])
    serving = ServerState(service=service, limits=limits)
    if not options["http"]:
        await serve_stdio(serving)
        return
    http = HttpOptions(
        host=options["host"],
        port=options["port"],
        token=_token(options["token"], options["token_file"]),
        names=options["names"],
        sessions=options["max_sessions"],
        connections=ConnectionLimits(most=options["max_connections"]),
    )
    await serve_http(serving, http)


def _token(given: str | None, file: str | None) -> str | None:
    """The token, from wherever it was given; with a word where others can read it.

    Raises:
        UsageError: it was given twice, or the file cannot be read or is empty.
    """
    if given and file:
        raise UsageError("--token and --token-file: give one of them")
    if given:
        say(f"imagerag: --token shows in the process list: use --token-file FILE, or {TOKEN}", err=True)
        return given
    if not file:
        return os.environ.get(TOKEN) or None
    path = Path(file).expanduser()
    try:
        with path.open(encoding="utf-8") as opened:
            token, mode = opened.read(4096).strip(), os.fstat(opened.fileno()).st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file {file} cannot be read: {getattr(error, 'strerror', error)}") from error
    if not token:
        raise UsageError(f"--token-file {file} is empty: write the token into it")
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        say(f"imagerag: others can read {file}: chmod 600 {file}", err=True)
    return token
