"""The generation graph behind HTTP: what `langgraph.json` names, for `langgraph dev`, Studio and other languages.

A run's input is `{"prompt": "…"}`, its context the config (`agent/types: RunContext`) as JSON, all optional; names
that there are not are refused. Each input begins a new run, on a thread that had one too; what is likely to go wrong
with it is in `warnings` before anything is drawn. Backends and library are the settings' (`IMAGERAG_*`,
`imagerag.toml`). The server keeps the list of its threads; their steps, images and the journal are in the home folder,
beside those of all other runs, and are listed and reported like theirs.
Which pages and which names are answered is in `graphs/configuration/origin_guard.py`.
What a run does is in the custom stream, as `graphs/progress_events.py` says; `imagerag/chat` is a graph of messages.
Images are fetched from `GET /images/{sha256}`; own ones come in by `POST /images`, whose answer goes into
`initial_image`, or into `subjects[].image`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.runnables import RunnableConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.completion import to_completion
from imagerag.agent.errors import ImageRAGError, UnknownRunError, UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.nodes import Nodes
from imagerag.agent.threads import in_thread
from imagerag.agent.types import RunSpec
from imagerag.graphs.configuration.origin_guard import OriginGuard
from imagerag.graphs.configuration.settings import Settings, resolve
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.generation import Workflow, build_workflow
from imagerag.graphs.mismatch_warnings import run_warnings
from imagerag.graphs.progress_events import ReportingNodes
from imagerag.graphs.qa import Workflow as Asking
from imagerag.graphs.qa import build_qa
from imagerag.graphs.runs.records import relist_run
from imagerag.graphs.snapshot_pins import thread_pins
from imagerag.graphs.start_node import check_context
from imagerag.store.data_dir import DataDir
from imagerag.store.images.image_info import inspect
from imagerag.tools.answerers.metadata import MetadataAnswerer
from imagerag.tools.registry import answerer_for

if TYPE_CHECKING:
    from langgraph_sdk.runtime import ServerRuntime

    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver


_log = logging.getLogger(__name__)


@asynccontextmanager
async def checkpointer() -> AsyncIterator["BatchedSqliteSaver"]:
    """Checkpointer of the server's threads, with the list of types that may be revived from them."""
    _, dependencies = await asyncio.to_thread(configured)
    async with dependencies.checkpoints() as saver:
        yield saver


@asynccontextmanager
async def graph(config: RunnableConfig, runtime: "ServerRuntime[Any]") -> AsyncIterator[Workflow]:
    """The uncompiled graph, for one run; for a look at its shape or at a thread, without its parts.

    Nothing is loaded when this module is imported: models and libraries come with the first run, off the event loop.
    """
    if runtime.execution_runtime is None:
        yield build_workflow(Nodes.for_diagram())
        return
    check_context(runtime.execution_runtime.context)  # as it was sent: the server leaves out what is not known
    settings, dependencies = await asyncio.to_thread(_chosen)
    setup = RunSpec(
        generator=settings.generator,
        judge=settings.judge,
        library=settings.library,
        reranker=settings.reranker or None,
    )
    parts = await dependencies.parts(setup)
    thread = str(config["configurable"].get("thread_id", ""))
    pins = await thread_pins(dependencies, thread, setup.library)
    async with dependencies.journal() as journal:
        try:
            nodes = ReportingNodes(dependencies.nodes(parts, journal), thread)  # images by their addresses
            workflow = dependencies.extension.workflow(cast("Nodes", nodes)).pin(pins)
            yield workflow.warn_with(partial(_warned, dependencies, setup), in_answer=True)
        finally:
            with suppress(UnknownRunError):  # a run without a thread leaves no steps
                await to_completion(relist_run(dependencies, thread))


@asynccontextmanager
async def asking(config: RunnableConfig, runtime: "ServerRuntime[Any]") -> AsyncIterator[Asking]:
    """The uncompiled graph that answers a question to the library, for one question."""
    if runtime.execution_runtime is None:
        yield build_qa(answerer=MetadataAnswerer(), library=None)
        return
    check_context(runtime.execution_runtime.context)
    settings, dependencies = await asyncio.to_thread(_chosen)
    if not settings.library:
        raise UsageError("there is no library to ask: IMAGERAG_LIBRARY=NAME, or library in imagerag.toml")
    spec = settings.answerer or answerer_for(settings.judge)
    answerer = await asyncio.to_thread(dependencies.answerer, spec)
    library = await dependencies.library(settings.library)
    reranker = dependencies.reranker(settings.reranker, settings.judge) if settings.reranker else None
    thread = str(config["configurable"].get("thread_id", ""))
    pins = await thread_pins(dependencies, thread, settings.library, ended_too=True)
    async with dependencies.journal() as journal:
        yield build_qa(
            answerer=answerer,
            library=library,
            blobs=dependencies.blobs,
            reranker=reranker,
            journal=journal,
        ).pin(pins)


async def _warned(dependencies: Dependencies, setup: RunSpec, prompt: str) -> tuple[str, ...]:
    warned = await run_warnings(dependencies, setup, prompt)
    for warning in warned:
        _log.warning("%s", warning)
    return warned


async def get_image(request: Request) -> Response:
    """The bytes of an image of a run or of the library, verified against their hash."""
    digest = request.path_params["sha256"]
    settings, dependencies = await asyncio.to_thread(configured)
    data: bytes | None = None
    with suppress(ImageRAGError):
        data = await dependencies.blobs.get(digest)
    if data is None and settings.library:
        with suppress(ImageRAGError):
            library = await dependencies.library(settings.library)
            data = await library.image_bytes(digest)
    if data is None:
        return _refused("BlobError", f"there is no image {digest[:64]!r}", 404)
    image = await in_thread(inspect, data)
    # An image never runs as a page, whatever its bytes are taken for; and one hash is one image for ever.
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=31536000, immutable"}
    return Response(data, media_type=image.media_type, headers=headers)


async def post_image(request: Request) -> Response:
    """Keep an image, sent as the body of the request, and say what it is: an `ImageRef`."""
    _, dependencies = await asyncio.to_thread(configured)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            return _refused("UsageError", f"at most {MAX_BYTES // 2**20} MB are read", 413)
    try:
        image = await dependencies.blobs.put(bytes(data))
    except UsageError as error:
        return _refused("UsageError", str(error), 400)
    return JSONResponse(image.model_dump(), 201)


def _refused(error: str, message: str, status: int) -> Response:
    return JSONResponse({"error": error, "message": message}, status)


app: Final = Starlette(
    routes=[
        Route("/images", post_image, methods=["POST"]),
        Route("/images/{sha256}", get_image, methods=["GET"]),
    ],
    # The server puts the middleware of this application before its own, around all its routes.
    middleware=[Middleware(OriginGuard)],
)


def _chosen() -> tuple[Settings, Dependencies]:
    settings, dependencies = configured()
    return settings.with_backends, dependencies


@cache
def configured() -> tuple[Settings, Dependencies]:
    """The settings of this server and what is made from them, shared by all its graphs. It reads files."""
    settings = resolve()
    dependencies = Dependencies(DataDir.find(settings.home))
    dependencies.name(*settings.specs)
    for part in (dependencies.blobs, dependencies.prices):  # read from files, so now rather than on the event loop
        assert part is not None
    return settings, dependencies
