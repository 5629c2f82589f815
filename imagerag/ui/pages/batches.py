"""`/batches`: the batches below the server's folders, and the rows of one with their images."""

import asyncio
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.batch.output_dir import BATCH, OutputDir
from imagerag.batch.results import BatchResult
from imagerag.files.access_policy import InputPolicy
from imagerag.files.result_folders import find_folders, resolve_below
from imagerag.ui.pages.images import reduced_answer
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, number_of, state_of, texts_of
from imagerag.ui.state import UiState

SHOWN: Final = 60
"""Rows that are listed at a time."""


def allowed_folders(state: UiState) -> list[Path]:
    """The folders whose results may be shown: the server's roots and its data directory."""
    return [*state.inputs.roots, state.rag.dependencies.home.root]


@as_answer
async def batches_page(request: Request) -> Response:
    """The batches that are there, or with `folder` the rows of one, or with `part` what follows on them."""
    state, query = state_of(request), request.query_params
    roots = allowed_folders(state)
    if not query.get("folder"):
        found = await asyncio.to_thread(_batches, roots)
        return page(request, "batches.html", found=found, roots=roots, kind="batches")
    folder = await asyncio.to_thread(resolve_below, roots, query["folder"])
    first = number_of(query.get("first", "0"), 10**9)
    if "part" in query:
        return page(request, "batch_rows.html", **await asyncio.to_thread(_rows, folder, request, first))
    values = await asyncio.to_thread(_batch, folder, texts_of(request)("batches.no_batch"))
    return page(request, "batch.html", **values, **await asyncio.to_thread(_rows, folder, request, first))


@as_answer
async def batch_image(request: Request) -> Response:
    """An image of a batch's folder, by the path that its row names."""
    query = request.query_params
    folder = await asyncio.to_thread(resolve_below, allowed_folders(state_of(request)), query.get("folder", ""))
    data = await InputPolicy.of([folder]).read(query.get("path", ""))
    return await reduced_answer(data, 384)


def _batches(roots: list[Path]) -> list[dict[str, Any]]:
    return [
        {"folder": folder, "name": folder.name, "number": _lines(OutputDir(folder).results)}
        for folder in find_folders(roots, BATCH)
    ]


def _lines(file: Path) -> int:
    if not file.is_file():
        return 0
    with file.open("rb") as opened:
        return sum(1 for _ in opened)


def _batch(folder: Path, refusal: str) -> dict[str, Any]:
    """What a batch was started with, and how its rows ended.

    Raises:
        UsageError: there is no batch in the folder.
    """
    out = OutputDir(folder)
    manifest = out.started()
    if manifest is None:
        raise UsageError(refusal)
    tally, cost, unknown = Counter[tuple[str, str]](), 0.0, False
    for result in out.read():
        tally[standing_of(result)] += 1
        cost, unknown = cost + (result.cost_usd or 0.0), unknown or result.cost_usd is None
    return {"manifest": manifest, "tally": tally.most_common(), "cost": None if unknown else cost}


def standing_of(result: BatchResult) -> tuple[str, str]:
    """The table of labels and the value of how a row ended."""
    return ("OUTCOMES", result.outcome.value) if result.outcome else ("BATCH_LINES", result.status)


def _rows(folder: Path, request: Request, first: int) -> dict[str, Any]:
    rows = list(islice(OutputDir(folder).read(), first, first + SHOWN))
    follows = str(request.url.include_query_params(first=first + SHOWN)) if len(rows) == SHOWN else ""
    return {"rows": rows, "folder": folder, "follows": follows, "standing_of": standing_of}


ROUTES: Final = [Route("/batches", batches_page), Route("/batches/image", batch_image)]
