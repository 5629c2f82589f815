"""`/library/NAME/upkeep`: checks, repairs, snapshots, exports of a library; and `/library-tasks/…`, the work itself."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from weakref import finalize

from pydantic import BaseModel, ConfigDict
from sse_starlette import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.client.client import ImageRAG
from imagerag.ui.library_tasks import Kind, LibraryTask
from imagerag.ui.pages.library import address_of, drawing_page, library_values
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, read_json, state_of, texts_of

WORST: Final = 60
"""Captions that are shown of those that do not reach the threshold."""


class TaskRequest(BaseModel):
    """What is to be done.

    Attributes:
        keep: of near-duplicates, the one that is proposed to be kept; `threshold`: from which cosine on.
        tag: of a snapshot.
        ids: of images that are to be removed.
        with_bytes: export the bytes of the images, too.
    """

    model_config = ConfigDict(extra="forbid")

    keep: Literal["largest", "oldest", "first"] = "largest"
    threshold: float | None = None
    tag: str = ""
    ids: list[str] = []
    with_bytes: bool = False


class NameRequest(BaseModel):
    """A name: a library's new one, or to confirm that it is to be deleted; or a snapshot's tag."""

    model_config = ConfigDict(extra="forbid")

    name: str


@dataclass
class ExportedFile:
    """A file that was made to be fetched; it goes with the task."""

    path: Path
    name: str
    images: int
    missing: int
    size_bytes: int


async def upkeep_page(request: Request) -> Response:
    """All that keeps a library in order."""
    try:
        if drawing := await drawing_page(request):
            return drawing
        values = await library_values(request, disk=True)
        last_check = await state_of(request).rag.libraries.last_check(values["summary"].name)
        return page(request, "library_upkeep.html", last_check=last_check, **values)
    except ImageRAGError as error:
        return page(request, "library_gone.html", status=404, message=str(error))


@as_answer
async def start_task(request: Request) -> Response:
    """Begin one of the tasks below; the answer names it."""
    body, state, kind = await read_json(request, TaskRequest), state_of(request), request.path_params["kind"]
    if kind not in WORK:
        raise HTTPException(404)
    name = await state.rag.libraries.current_name(request.path_params["name"])

    async def work(task: LibraryTask) -> Any:
        return await WORK[kind](state.rag, name, body, task)

    task = state.library_tasks.start(LibraryTask(kind=kind, library=name), work)
    return JSONResponse({"task": task.task_id}, 201)


@as_answer
async def task_body(request: Request) -> Response:
    """A task as it stands, as a part of the page."""
    task = state_of(request).library_tasks.get(request.path_params["task"])
    return page(request, "library_task.html", task=task, address=address_of(task.library))


@as_answer
async def follow_task(request: Request) -> Response:
    """Server-sent events: `change` whenever something happened, `ended` at the end."""
    task = state_of(request).library_tasks.get(request.path_params["task"])

    async def events() -> AsyncIterator[dict[str, str]]:
        async for changes in task.follow(beat_s=10, pause_s=0.25):
            yield {"event": "ended" if task.ended else "change", "data": json.dumps({"changes": changes})}

    return EventSourceResponse(events(), ping=15, headers={"cache-control": "no-store"})


@as_answer
async def stop_task(request: Request) -> Response:
    """Stop a task; what is written stays."""
    task = state_of(request).library_tasks.get(request.path_params["task"])
    task.stop()
    return JSONResponse({"stopped": True})


@as_answer
async def forget_task(request: Request) -> Response:
    """Show the result of a task no longer."""
    state_of(request).library_tasks.forget(request.path_params["task"])
    return JSONResponse({})


@as_answer
async def task_file(request: Request) -> Response:
    """The file that a task made."""
    task = state_of(request).library_tasks.get(request.path_params["task"])
    if not isinstance(task.result, ExportedFile):
        raise HTTPException(404)
    return FileResponse(task.result.path, filename=task.result.name)


@as_answer
async def rename_library(request: Request) -> Response:
    """Give a library another name."""
    body, name = await read_json(request, NameRequest), await _idle(request)
    await state_of(request).rag.libraries.rename(name, body.name.strip())
    return JSONResponse({"address": address_of(body.name.strip())})


@as_answer
async def delete_library(request: Request) -> Response:
    """Delete a library. Its name has to be said again."""
    body, name = await read_json(request, NameRequest), await _idle(request)
    if body.name.strip() != name:
        raise UsageError("the names are not the same: nothing was deleted")
    await state_of(request).rag.libraries.delete(name)
    return JSONResponse({"address": "/library"})


@as_answer
async def remove_snapshot(request: Request) -> Response:
    """Remove a snapshot."""
    body, name = await read_json(request, NameRequest), request.path_params["name"]
    await state_of(request).rag.libraries.snapshots.remove(body.name, name)
    return JSONResponse({})


async def _idle(request: Request) -> str:
    """The name of a library on which no work is under way.

    Raises:
        UsageError: there is some.
    """
    state = state_of(request)
    name = await state.rag.libraries.current_name(request.path_params["name"])
    if any(not task.ended for task in state.library_tasks.of_library(name)):
        raise UsageError(texts_of(request)("library.upkeep.busy"))
    return name


async def _export(rag: ImageRAG, name: str, body: TaskRequest, task: LibraryTask) -> ExportedFile:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="imagerag-export-")
    finalize(task, shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / f"{name}.parquet"
    made = await rag.libraries.export(path, library=name, with_bytes=body.with_bytes, progress=task.advance)
    return ExportedFile(path, path.name, made.images, len(made.missing), made.bytes)


async def _remove(rag: ImageRAG, name: str, body: TaskRequest, _: LibraryTask) -> int:
    return len(await rag.libraries.remove(*body.ids, library=name))


Work = Callable[[ImageRAG, str, TaskRequest, LibraryTask], Awaitable[Any]]

WORK: Final[dict[Kind, Work]] = {
    "check": lambda rag, name, body, task: rag.libraries.check(name),
    "calibrate": lambda rag, name, body, task: rag.libraries.calibrate(name),
    "duplicates": lambda rag, name, body, task: rag.libraries.dedupe(name, threshold=body.threshold, keep=body.keep),
    "captions": lambda rag, name, body, task: rag.libraries.stats(name, worst=WORST),
    "unmatched": lambda rag, name, body, task: rag.libraries.unmatched(name),
    "verify": lambda rag, name, body, task: rag.libraries.verify(name),
    "repair": lambda rag, name, body, task: rag.libraries.verify(name, repair=True),
    "optimize": lambda rag, name, body, task: rag.libraries.optimize(name),
    "snapshot": lambda rag, name, body, task: rag.libraries.snapshots.create(body.tag.strip(), name),
    "restore": lambda rag, name, body, task: rag.libraries.snapshots.restore(body.tag, name),
    "export": _export,
    "remove": _remove,
}
"""What each kind of task does."""

ROUTES: Final = [
    Route("/library/{name}/upkeep", upkeep_page),
    Route("/library/{name}/rename", rename_library, methods=["POST"]),
    Route("/library/{name}/delete", delete_library, methods=["POST"]),
    Route("/library/{name}/remove-snapshot", remove_snapshot, methods=["POST"]),
    Route("/library/{name}/tasks/{kind}", start_task, methods=["POST"]),
    Route("/library-tasks/{task}", task_body),
    Route("/library-tasks/{task}/events", follow_task),
    Route("/library-tasks/{task}/stop", stop_task, methods=["POST"]),
    Route("/library-tasks/{task}/forget", forget_task, methods=["POST"]),
    Route("/library-tasks/{task}/file", task_file),
]
