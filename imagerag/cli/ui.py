"""`imagerag ui`."""

import asyncio
from contextlib import suppress
from typing import Any

import click

from imagerag.agent.extras import import_extra
from imagerag.cli import Globals
from imagerag.cli.access_token import access_token, token_option
from imagerag.cli.options import pass_globals, server_run_options
from imagerag.client.client import ImageRAG
from imagerag.formatting.texts import languages
from imagerag.http_server.token_variables import UI_TOKEN


@click.command("ui")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8770,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help=f"File with the token that a browser has to show. Needed where others can connect  [env, with the token "
    f"itself: {UI_TOKEN}]",
)
@token_option
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="Another host name that browsers use.")
@click.option("--root", "roots", multiple=True, metavar="DIR", help="Folder whose images the page may index or name.")
@click.option("--allow-urls", is_flag=True, help="Let the page name images by public http(s) addresses.")
@click.option(
    "--language",
    type=click.Choice(languages()),
    help="Language of the page until a reader chooses another; by default the browser's.",
)
@click.option("--no-browser", "open_browser", flag_value=False, default=True, help="Do not open a browser.")
@server_run_options
@pass_globals
def ui_command(globals_: Globals, /, **options: Any) -> int:
    """Open the page: draw, follow runs, choose references, compare, and keep your library, in a browser.

    Runs go on when the page is closed, and are on the list with those of the command line.
    """
    for module in ("starlette", "sse_starlette", "uvicorn"):
        import_extra(module, "the page", "ui")
    from imagerag.ui.launch import launch

    rag = ImageRAG(home=globals_.home, **{name: options[name] for name in ("preset", "generator", "judge", "library")})
    token = access_token(options["token"], options["token_file"], UI_TOKEN)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(launch(rag, options, token=token))
    return 0
