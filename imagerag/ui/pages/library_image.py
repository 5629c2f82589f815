"""`/library/NAME/images/ID`: one image of a library, what is known of it, changed and removed here."""

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import BlobError, ImageRAGError, UsageError
from imagerag.agent.types import Scalar
from imagerag.agent.visible_text import is_blank
from imagerag.store.text_files import clean
from imagerag.ui.pages.images import FOREVER
from imagerag.ui.pages.library import address_of, drawing_page, library_values
from imagerag.ui.rendering import markup, page
from imagerag.ui.requests import as_answer, read_json, state_of, texts_of

if TYPE_CHECKING:
    from imagerag.store.library.schema import ImageRecord

PREVIEWED: Final = 24
"""Images that are shown before they are removed."""


class ChangeRequest(BaseModel):
    """What is to be known of an image from now on; what is not named stays.

    Attributes:
        tags: all of them.
        shown: of the fields that change, what the form was opened with; `shown_tags` likewise.
        set: further fields and metadata keys; `unset`: those to be emptied.
    """

    model_config = ConfigDict(extra="forbid")

    title: str | None = None
    caption: str | None = None
    licence: str | None = None
    author: str | None = None
    source: str | None = None
    tags: list[str] | None = None
    shown: dict[Literal["title", "caption", "licence", "author", "source"], str] = Field(default_factory=dict)
    shown_tags: list[str] | None = None
    set: dict[str, Scalar] = Field(default_factory=dict)
    unset: list[str] = Field(default_factory=list)


class RemoveRequest(BaseModel):
    """Images that are to be removed: by their ids, or all that a filter lets through.

    Attributes:
        preview: only say which they would be.
    """

    model_config = ConfigDict(extra="forbid")

    ids: list[str] = Field(default_factory=list, max_length=10_000)
    filter: str = ""
    preview: bool = False


async def image_page(request: Request) -> Response:
    """One image."""
    name, sha256 = request.path_params["name"], request.path_params["sha256"]
    libraries = state_of(request).rag.libraries
    try:
        if drawing := await drawing_page(request):
            return drawing
        values = await library_values(request, disk=False)
        record = await libraries.record(sha256, name)
    except ImageRAGError as error:
        return page(request, "library_gone.html", status=404, message=str(error))
    if record is None:
        return page(request, "library_gone.html", status=404, message="")
    try:
        await libraries.image_bytes(sha256, name)
        trouble = ""
    except BlobError as error:
        trouble = str(error)
    return page(request, "library_image.html", **values, record=record, trouble=trouble)


@as_answer
async def image_file(request: Request) -> Response:
    """The image itself, as its file is."""
    path = request.path_params
    libraries = state_of(request).rag.libraries
    record = await libraries.record(path["sha256"], path["name"])
    data = await libraries.image_bytes(path["sha256"], path["name"])
    assert record is not None, "there is no image without a record"
    return Response(data, media_type=record.image.media_type, headers=FOREVER)


@as_answer
async def change_image(request: Request) -> Response:
    """Change what is known of an image. Fields that somebody else changed since the form was opened are left as they
    are, and the answer has what they say now: 409, `{"message": …, "meanwhile": {FIELD: TEXT}}`."""
    body, libraries = await read_json(request, ChangeRequest), state_of(request).rag.libraries
    name, sha256 = request.path_params["name"], request.path_params["sha256"]
    record = await libraries.record(sha256, name)
    if record is None:
        raise UsageError("that image is no longer in the library")
    if meanwhile := _meanwhile(body, record):
        t = texts_of(request)
        fields = ", ".join(f"{t(f'library.image.{name}')} (“{text[:80]}”)" for name, text in meanwhile.items())
        return JSONResponse({"message": t("library.image.meanwhile", fields=fields), "meanwhile": meanwhile}, 409)
    changes: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"tags", "shown", "shown_tags"})
    if body.tags is not None:
        tags, shown = _tags(body.tags), record.tags if body.shown_tags is None else _tags(body.shown_tags)
        changes |= {
            "add_tags": [one for one in tags if one not in shown],
            "remove_tags": [one for one in shown if one not in tags],
        }
    changed = await libraries.update(sha256, library=name, calibrate=False, **changes)
    return JSONResponse({"changed": len(changed)})


def _meanwhile(body: ChangeRequest, record: "ImageRecord") -> dict[str, str]:
    """What fields say that neither is what the form was opened with, nor what they are to say."""
    meanwhile: dict[str, str] = {}
    for name, shown in body.shown.items():
        now: str = getattr(record, name)
        # Fields of one line show no line breaks, so that words are compared.
        if now.split() not in (shown.split(), (getattr(body, name) or "").split()):
            meanwhile[name] = now
    return meanwhile


def _tags(names: list[str]) -> list[str]:
    return [name.strip() for name in names if name.strip()]


@as_answer
async def remove_images(request: Request) -> Response:
    """Take images out of a library, or say which these would be."""
    body, state = await read_json(request, RemoveRequest), state_of(request)
    name = request.path_params["name"]
    if not body.ids and is_blank(body.filter):
        raise UsageError("say which images: their ids, or a filter")
    libraries = state.rag.libraries
    rows = await libraries.remove(
        *body.ids, library=name, filter=clean(body.filter) or None, calibrate=False, dry_run=body.preview
    )
    await state.thumbnails.load(state.rag, name, [row.id for row in rows.rows[:PREVIEWED]])
    tiles = markup(request, "library_tiles.html", records=rows.rows[:PREVIEWED], address=address_of(name))
    return JSONResponse({"images": len(rows), "html": tiles, "preview": body.preview})


ROUTES: Final = [
    Route("/library/{name}/images/{sha256}", image_page),
    Route("/library/{name}/images/{sha256}", change_image, methods=["POST"]),
    Route("/library/{name}/images/{sha256}/file", image_file),
    Route("/library/{name}/remove", remove_images, methods=["POST"]),
]
