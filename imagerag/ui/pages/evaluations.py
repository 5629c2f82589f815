"""`/evaluations`: the finished evaluations below the server's folders, their tables, and their gallery."""

import asyncio
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.regular_files import read_regular
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.harness.summary import SUMMARY
from imagerag.evals.reports.gallery import gallery_data
from imagerag.evals.reports.tables import all_tables
from imagerag.evals.reports.writer import PLOTS, read_summary, stored_images, stored_plots
from imagerag.evals.result_record import lines_of, read_results
from imagerag.files.access_policy import InputPolicy
from imagerag.files.result_folders import find_folders, resolve_below
from imagerag.ui.pages.batches import allowed_folders
from imagerag.ui.pages.images import reduced_answer
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, state_of

MAX_PLOT: Final = 10_000_000
"""Bytes of a plot that is shown."""

PLOT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""What the document of a plot may load where somebody opens it by itself: its own styles."""


@as_answer
async def evaluations_page(request: Request) -> Response:
    """The evaluations that are there, or with `folder` one of them."""
    state, named = state_of(request), request.query_params.get("folder", "")
    roots = allowed_folders(state)
    if not named:
        found = await asyncio.to_thread(_evaluations, roots)
        return page(request, "batches.html", found=found, roots=roots, kind="evaluations")
    folder = await asyncio.to_thread(resolve_below, roots, named)
    return page(request, "evaluation.html", **await asyncio.to_thread(_evaluation, folder))


@as_answer
async def evaluation_image(request: Request) -> Response:
    """An image that an evaluation stores, by its SHA-256."""
    query = request.query_params
    folder = await asyncio.to_thread(resolve_below, allowed_folders(state_of(request)), query.get("folder", ""))
    sha256 = query.get("sha256", "")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise BlobError(f"no image {sha256[:64]!r}")
    data = await asyncio.to_thread(stored_images(folder), sha256)
    if data is None:
        raise BlobError(f"no image {sha256}")
    return await reduced_answer(data, 384)


@as_answer
async def evaluation_plot(request: Request) -> Response:
    """A plot that an evaluation stores, by the name of its file."""
    query = request.query_params
    folder = await asyncio.to_thread(resolve_below, allowed_folders(state_of(request)), query.get("folder", ""))
    data = await asyncio.to_thread(_plot, folder, query.get("name", ""))
    return Response(data, media_type="image/svg+xml", headers={"content-security-policy": PLOT_POLICY})


def _plot(folder: Path, name: str) -> bytes:
    if name not in stored_plots(folder):
        raise BlobError(f"no plot {name[:64]!r}")
    try:
        return read_regular(InputPolicy.of([folder]).file(f"{PLOTS}/{name}"), longest=MAX_PLOT)
    except (OSError, UsageError) as error:
        raise BlobError(f"no plot {name[:64]!r} that can be shown") from error


def _evaluations(roots: list[Path]) -> list[dict[str, Any]]:
    found = []
    for folder in find_folders(roots, SUMMARY):
        try:
            number = sum(1 for _ in lines_of(folder / RESULTS))
        except (UsageError, OSError, UnicodeDecodeError):
            continue  # a summary of something else
        found.append({"folder": folder, "name": folder.name, "number": number})
    return found


def _evaluation(folder: Path) -> dict[str, Any]:
    """The tables and the gallery of an evaluation.

    Raises:
        UsageError: there is no finished evaluation in the folder, or its files are damaged.
    """
    images: dict[str, str] = {}

    def small(sha256: str) -> str:
        images[sha256[:12]] = _address("image", folder, sha256=sha256)
        return sha256[:12]

    summary = read_summary(folder)
    try:
        data = gallery_data(summary, read_results(folder / RESULTS), small)
        tables = list(all_tables(summary, bold="{}"))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder / SUMMARY} is damaged: {type(error).__name__}: {error}") from error
    plots = [(name.removesuffix(".svg"), _address("plot", folder, name=name)) for name in stored_plots(folder)]
    return {"folder": folder, "tables": tables, "plots": plots, "data": data, "images": images}


def _address(of: str, folder: Path, **query: str) -> str:
    return f"/evaluations/{of}?{urlencode({'folder': folder, **query})}"


ROUTES: Final = [
    Route("/evaluations", evaluations_page),
    Route("/evaluations/image", evaluation_image),
    Route("/evaluations/plot", evaluation_plot),
]
