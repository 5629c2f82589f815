"""Adding to a library: images that the page sends, folders of the server, and images from the web that runs used."""

import asyncio
import os
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.uploads import UploadedImage
from imagerag.ui.library_tasks import LibraryTask
from imagerag.ui.pages.library import can_change
from imagerag.ui.requests import as_answer, read_body, read_json, state_of
from imagerag.ui.uploads import UploadTask

FOLDERS: Final = 500
"""Folders that are listed of one."""

LONGEST: Final = 4_000
"""Characters of the name of a file."""


class UploadRequest(BaseModel):
    """How many images are about to be sent."""

    model_config = ConfigDict(extra="forbid")

    files: int = Field(ge=1)


class FolderRequest(BaseModel):
    """A folder of the server, below one of its roots.

    Attributes:
        copy_files: keep the bytes of its images in the library, too.
        preview: write nothing, and say what would be done.
    """

    model_config = ConfigDict(extra="forbid")

    path: str
    copy_files: bool = False
    preview: bool = False


class WebRequest(BaseModel):
    """A run whose images from the web are to be kept."""

    model_config = ConfigDict(extra="forbid")

    run_id: str


@as_answer
async def begin_uploads(request: Request) -> Response:
    """Begin to take images; the answer names the task that they are sent to."""
    body, state, name = await read_json(request, UploadRequest), state_of(request), await _name(request)
    task = UploadTask(kind="upload", library=name, of=body.files)
    state.library_tasks.start(task, lambda _: task.add_all(state.rag))
    return JSONResponse({"task": task.task_id}, 201)


@as_answer
async def take_upload(request: Request) -> Response:
    """Take one image, the body of the request; its name and its caption are in the query. Answers once there is room
    for the next. What cannot be read is noted by the task, and the others go on."""
    task = _uploads(request)
    name, caption = request.query_params.get("name", "")[:LONGEST], request.query_params.get("caption", "")
    try:
        data = await read_body(request, MAX_BYTES)
    except UsageError as error:
        task.advance(task.done + 1, task.of)
        task.skip(name, str(error))
        return JSONResponse({"taken": False})
    await task.put(UploadedImage(data=data, name=os.path.basename(name), caption=caption))
    return JSONResponse({"taken": True})


@as_answer
async def end_uploads(request: Request) -> Response:
    """All images were sent."""
    task = _uploads(request)
    await task.end()
    return JSONResponse({})


@as_answer
async def list_folders(request: Request) -> Response:
    """The folders below one of the server's roots: `{"path": …, "parent": …, "folders": [{"name", "path"}]}`."""
    inputs, path = state_of(request).inputs, request.query_params.get("path", "")
    if not path:
        return JSONResponse(
            {"path": "", "parent": None, "folders": [_folder(root, str(root)) for root in inputs.roots]}
        )
    folder = await asyncio.to_thread(inputs.folder, path)
    below = await asyncio.to_thread(_folders, folder)
    parent = "" if folder in inputs.roots else str(folder.parent)
    return JSONResponse({"path": str(folder), "parent": parent, "folders": [_folder(one, one.name) for one in below]})


@as_answer
async def index_folder(request: Request) -> Response:
    """Index a folder of the server."""
    body, state, name = await read_json(request, FolderRequest), state_of(request), await _name(request)
    folder = await asyncio.to_thread(state.inputs.folder, body.path)

    async def work(task: LibraryTask) -> IndexReport:
        report = await state.rag.libraries.index(
            folder, library=name, links_within=state.inputs.roots, copy=body.copy_files, dry_run=body.preview,
            progress=task.advance, warn=task.note,
        )  # fmt: skip
        for path, reason in report.skipped:
            task.skip(Path(path).name, reason)
        return report

    task = state.library_tasks.start(LibraryTask(kind="index", library=name), work)
    return JSONResponse({"task": task.task_id}, 201)


@as_answer
async def keep_web(request: Request) -> Response:
    """Take the images from the web that a run used into the library."""
    body, rag = await read_json(request, WebRequest), state_of(request).rag
    rows = await rag.libraries.keep_web(body.run_id.strip(), library=await _name(request))
    return JSONResponse({"images": len(rows)})


async def _name(request: Request) -> str:
    """The library's current name; that it can be changed is checked before anything is sent."""
    name = request.path_params["name"]
    if not can_change(name):
        raise UsageError(f"{name!r} cannot be changed: snapshots and the built-in catalogue stay as they are")
    return await state_of(request).rag.libraries.current_name(name)


def _uploads(request: Request) -> UploadTask:
    task = state_of(request).library_tasks.get(request.path_params["task"])
    if not isinstance(task, UploadTask):
        raise UsageError("that task takes no images")
    return task


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                (one.name for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")),
                key=str.casefold,
            )
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror or error}") from error
    return [folder / name for name in names[:FOLDERS]]


def _folder(path: Path, name: str) -> dict[str, str]:
    return {"name": name, "path": str(path)}


ROUTES: Final = [
    Route("/library/{name}/uploads", begin_uploads, methods=["POST"]),
    Route("/library/{name}/index", index_folder, methods=["POST"]),
    Route("/library/{name}/keep-web", keep_web, methods=["POST"]),
    Route("/library-tasks/{task}/images", take_upload, methods=["POST"]),
    Route("/library-tasks/{task}/end", end_uploads, methods=["POST"]),
    Route("/library-folders", list_folders),
]
