"""`/runs/RUN/…`: what a finished run offers: continue, fork, downloads, where its references come from."""

import json
from contextlib import suppress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from imagerag.agent.errors import UnknownRunError, UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Candidate, UsedReference
from imagerag.files.sidecar import Sidecar
from imagerag.formatting.html.templating import POLICY
from imagerag.graphs.runs.records import new_run_id
from imagerag.reports import step_text
from imagerag.reports.html import trace
from imagerag.ui.estimates import estimate_part
from imagerag.ui.rendering import LinkedImages, page
from imagerag.ui.requests import as_answer, read_json, state_of, texts_of
from imagerag.ui.state import UiState
from imagerag.ui.steering import ContinueRequest, ForkRequest, continue_options, fork_changes

CHILDREN: Final = 50
FOUND: Final = 24
"""Images of a library that a search for other references shows."""


async def after_values(state: UiState, record: RunRecord) -> dict[str, Any]:
    """What `after.html` needs, beside the record."""
    runs = state.rag.runs
    parent = None
    if record.parent_run is not None:
        with suppress(UnknownRunError):
            parent = await runs.get(record.parent_run.run_id)
    children = await runs.list(CHILDREN, parent_run=record.run_id)
    entry = await state.rag.dependencies.runs.get(record.run_id)
    return {"parent": parent, "children": children, "used": used_references(record), "entry": entry}


def used_references(record: RunRecord) -> list[UsedReference]:
    """Every image that any attempt was drawn with, once."""
    return list({one.image.sha256: one for made in record.attempts for one in made.references}.values())


def candidates(record: RunRecord) -> list[UsedReference | Candidate]:
    """The images that a person can keep, add or exclude: those that were sent first, then what was found."""
    shown: dict[str, UsedReference | Candidate] = {}
    for one in (*record.kept_images, *used_references(record)):
        if one.role == "reference":
            shown.setdefault(one.image.sha256, one)
    for search in record.searches:
        for candidate in search.candidates:
            shown.setdefault(candidate.image.sha256, candidate)
    return list(shown.values())


@as_answer
async def continue_form(request: Request) -> Response:
    """The form to continue, when it is opened."""
    record = await _record(request)
    kept = [pin.image.sha256 for pin in record.kept_images]
    return _part(request, record, "after_continue.html", candidates=candidates(record), kept=kept)


@as_answer
async def fork_form(request: Request) -> Response:
    """The steps, and the form to fork from one, when it is opened."""
    state, record = state_of(request), await _record(request)
    backends = {role: [model.spec for model in state.rag.models(role=role)] for role in ("generator", "judge")}
    values: dict[str, Any] = {"steps": await state.rag.runs.steps(record), "trace": trace, "step_text": step_text}
    return _part(request, record, "after_fork.html", candidates=candidates(record), backends=backends, **values)


@as_answer
async def find_references(request: Request) -> Response:
    """Images of the run's library by words, as further choices."""
    record, text = await _record(request), request.query_params.get("text", "")
    library = record.setup.library if record.setup else None
    if not library:
        raise UsageError(texts_of(request)("after.no_library"))
    hits = await state_of(request).rag.libraries.search(text, library=library, k=FOUND)
    picks = request.query_params.get("picks", "")
    return _part(request, record, "after_choices.html", candidates=list(hits), kept=[], picks=picks)


@as_answer
async def estimate_continue(request: Request) -> Response:
    """What continuing can cost, before it is begun."""
    body, state = await read_json(request, ContinueRequest), state_of(request)
    estimate = await state.rag.runs.estimate_continue(_run_id(request), **continue_options(body, state))
    return estimate_part(request, estimate)


@as_answer
async def start_continue(request: Request) -> Response:
    """Begin the run that goes on from this one; the answer has its address."""
    body, state = await read_json(request, ContinueRequest), state_of(request)
    new_id = new_run_id()
    options = continue_options(body, state)
    events = state.rag.runs.stream_continue(_run_id(request), new_id=new_id, **options)
    await state.tasks.start(new_id, events).wait_until_listed()
    return _begun(new_id)


@as_answer
async def estimate_fork(request: Request) -> Response:
    """What a fork can cost, before it is begun."""
    body, state = await read_json(request, ForkRequest), state_of(request)
    changes = await _changes(request, body)
    return estimate_part(request, await state.rag.runs.estimate_replay(_run_id(request), **changes))


@as_answer
async def start_fork(request: Request) -> Response:
    """Begin the run that does this one again from a step; the answer has its address."""
    body, state = await read_json(request, ForkRequest), state_of(request)
    changes, new_id = await _changes(request, body), new_run_id()
    events = state.rag.runs.stream_replay(_run_id(request), new_id=new_id, **changes)
    await state.tasks.start(new_id, events).wait_until_listed()
    return _begun(new_id)


@as_answer
async def get_report(request: Request) -> Response:
    """The run's report, one self-contained page."""
    record = await _record(request)
    headers = {"content-security-policy": f"{POLICY}; frame-ancestors 'none'"}
    if "download" in request.query_params:
        headers |= _as_file(f"{record.run_id}.html")
    return HTMLResponse(await state_of(request).rag.runs.report(record), headers=headers)


@as_answer
async def get_zip(request: Request) -> Response:
    """Everything of the run, as an archive that is written while it is read."""
    record = await _record(request)
    chunks = state_of(request).rag.runs.stream_zip(record)
    return StreamingResponse(chunks, media_type="application/zip", headers=_as_file(f"{record.run_id}.zip"))


@as_answer
async def get_file(request: Request) -> Response:
    """The image of the result as a file."""
    record = await _record(request)
    if record.image is None:
        raise UsageError(texts_of(request)("run.no_image"))
    data = await state_of(request).rag.runs.image_bytes(record.image.sha256)
    return Response(data, media_type=record.image.media_type, headers=_as_file(image_file(record)))


@as_answer
async def get_sidecar(request: Request) -> Response:
    """The sidecar of the image: the run that made it, and whose images are in it."""
    record = await _record(request)
    document = json.dumps(Sidecar.of(record).as_json(), indent=2)
    name = f"{image_file(record)}.json" if record.image else f"{record.run_id}.json"
    return Response(document, media_type="application/json", headers=_as_file(name))


def image_file(record: RunRecord) -> str:
    """The name of the result's file."""
    media_type = record.image.media_type if record.image else ""
    return f"{record.run_id}{RESULT_SUFFIXES.get(media_type, '.png')}"


def _run_id(request: Request) -> str:
    run_id: str = request.path_params["run_id"]
    return run_id


async def _changes(request: Request, body: ForkRequest) -> dict[str, Any]:
    return fork_changes(body, state_of(request), await _record(request))


async def _record(request: Request) -> RunRecord:
    return await state_of(request).rag.runs.get(_run_id(request))


def _part(request: Request, record: RunRecord, template: str, **values: Any) -> Response:
    library = record.setup.library if record.setup else None
    server = state_of(request).limits
    return page(request, template, record=record, gallery=LinkedImages(library or ""), server=server, **values)


def _begun(run_id: str) -> Response:
    return JSONResponse({"run_id": run_id, "address": f"/runs/{run_id}"}, 201)


def _as_file(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


ROUTES: Final = [
    Route("/runs/{run_id}/continue", continue_form),
    Route("/runs/{run_id}/continue", start_continue, methods=["POST"]),
    Route("/runs/{run_id}/continue/estimate", estimate_continue, methods=["POST"]),
    Route("/runs/{run_id}/fork", fork_form),
    Route("/runs/{run_id}/fork", start_fork, methods=["POST"]),
    Route("/runs/{run_id}/fork/estimate", estimate_fork, methods=["POST"]),
    Route("/runs/{run_id}/references", find_references),
    Route("/runs/{run_id}/report", get_report),
    Route("/runs/{run_id}/zip", get_zip),
    Route("/runs/{run_id}/file", get_file),
    Route("/runs/{run_id}/sidecar", get_sidecar),
]
