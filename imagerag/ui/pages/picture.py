"""`/runs/RUN/picture`: a picture for something that a run did not find, put into a library, and the run goes on."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.run_record import RunRecord
from imagerag.graphs.runs.records import new_run_id
from imagerag.store.library.indexing.uploads import UploadedImage
from imagerag.store.library.metadata.metadata_values import MAX_CAPTION
from imagerag.ui.draw_request import Hash
from imagerag.ui.estimates import estimate_part
from imagerag.ui.image_bytes import image_bytes
from imagerag.ui.pages.run import begin
from imagerag.ui.requests import as_answer, read_json, state_of
from imagerag.ui.run_view import takes_images
from imagerag.ui.steering import ContinueRequest, continue_options


class PictureRequest(BaseModel):
    """A picture, as the page sends it.

    Attributes:
        sha256: the picture, kept by `POST /images`.
        caption: what is in it.
        library: the library it is put into, which is made when there is none of that name.
    """

    model_config = ConfigDict(extra="forbid")

    sha256: Hash
    caption: Annotated[str, Field(max_length=MAX_CAPTION)] = ""
    library: Annotated[str, Field(min_length=1, max_length=200)]


@as_answer
async def add_picture(request: Request) -> Response:
    """Put a picture into a library; a run that has ended goes on with it, one that waits finds it from now on."""
    body, state = await read_json(request, PictureRequest), state_of(request)
    record = await state.rag.runs.get(request.path_params["run_id"])
    if record.status == "running":
        raise UsageError(f"run {record.run_id} has not ended: wait for it, or go on with it first")
    if not takes_images(body.library):
        raise UsageError(f"{body.library!r} takes no images: name a library of your own")
    data = await image_bytes(state.rag, body.sha256)
    libraries = state.rag.libraries
    await libraries.open(body.library, create=True)
    taken = await libraries.add_images([UploadedImage(data=data, caption=body.caption)], library=body.library)
    if taken.skipped:
        raise UsageError(taken.skipped[0][1])
    if record.status != "ended":
        return JSONResponse({"address": None})
    options = continue_options(ContinueRequest(add_images=[body.sha256]), state)
    new_id = new_run_id()
    library = _with(record, body.library)
    events = state.rag.runs.stream_continue(record.run_id, new_id=new_id, library=library, **options)
    return await begin(state, new_id, events, prompt=record.prompt)


@as_answer
async def estimate_picture(request: Request) -> Response:
    """What going on with a further picture can cost."""
    state = state_of(request)
    options = continue_options(ContinueRequest(add_images=["0" * 64]), state)
    return estimate_part(request, await state.rag.runs.estimate_continue(request.path_params["run_id"], **options))


def _with(record: RunRecord, library: str) -> str:
    """The libraries of a run, and this one before the services."""
    names = names_of(record.setup.library) if record.setup and record.setup.library else ()
    own = [name for name in names if not name.startswith(WEB)]
    return ",".join([*own, *([] if library in own else [library]), *(name for name in names if name.startswith(WEB))])


ROUTES: Final = [
    Route("/runs/{run_id}/picture", add_picture, methods=["POST"]),
    Route("/runs/{run_id}/picture/estimate", estimate_picture),
]
