"""`imagerag mcp`."""

import asyncio
from contextlib import suppress
from typing import Any

import click

from imagerag.agent.errors import MissingExtraError
from imagerag.api import ImageRAG
from imagerag.cli import Globals
from imagerag.cli.options import assume_option, generator_option, judge_option, library_option, pass_globals


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
    "--token",
    envvar="IMAGERAG_MCP_TOKEN",
    metavar="T",
    help="With --http: what clients send as 'Authorization: Bearer T'. Needed where others can connect.",
    show_envvar=True,
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="With --http: a further name clients reach it by."
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
    from imagerag.chat.answers import Ceilings
    from imagerag.chat.service import ChatService
    from imagerag.inputs_policy import InputPolicy
    from imagerag.mcp.http import HttpOptions
    from imagerag.mcp.server import Limits, Serving, serve_http, serve_stdio

    named = {name: options[name] for name in ("preset", "generator", "judge", "library")}
    ceilings = ("max_rounds", "max_calls", "max_cost_usd", "assume_cost_usd_per_call", "deadline_s")
    spending = {name: options[name] for name in ceilings}
    service = ChatService(
        ImageRAG(**named, home=globals_.home),
        inputs=InputPolicy.of(options["roots"], urls=options["allow_urls"]),
        ceilings=Ceilings(**spending),
    )
    limits = Limits(at_once=options["at_once"], most=options["max_runs"], lease_s=options["lease_s"])
    serving = Serving(service=service, limits=limits)
    if not options["http"]:
        await serve_stdio(serving)
        return
    http = HttpOptions(
        host=options["host"], port=options["port"], token=options["token"] or None, names=options["names"]
    )
    await serve_http(serving, http)
