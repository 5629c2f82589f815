"""`/images/…`: the images of runs and libraries, whole or reduced; and `POST /images`, an image that is dropped in."""

import asyncio
import io
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES, decode, opaque
from imagerag.agent.images.regions import outlined
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Region
from imagerag.store.images.image_info import inspect
from imagerag.store.images.masks import shown_mask
from imagerag.store.library.thumbnails import thumbnails
from imagerag.ui.image_bytes import image_bytes
from imagerag.ui.requests import as_answer, read_body, state_of

SIDES: Final = (96, 192, 384, 1024, 2048)
"""Sizes that reduced images have, so that there are few of each: the next larger one is taken."""

THUMBNAIL: Final = 384
"""Up to this size a library's own thumbnail is enough."""

FOREVER: Final = {"cache-control": "private, max-age=31536000, immutable"}
"""One hash is one image."""


@as_answer
async def get_image(request: Request) -> Response:
    """An image by its SHA-256; `side` reduces it, `region` draws a box on it, `mask` shows what a mask says."""
    sha256, query = request.path_params["sha256"], request.query_params
    side = _side(query.get("side", ""))
    data = await _image(request, sha256, query.get("library", ""), small=side is not None and side <= THUMBNAIL)
    if side is None:
        image = await in_thread(inspect, data)
        return Response(data, media_type=image.media_type, headers=FOREVER)
    region = _region(query.get("region", ""))
    reduced = await in_thread(_reduced, data, side, region, mask="mask" in query)
    return Response(reduced, media_type="image/webp", headers=FOREVER)


@as_answer
async def post_image(request: Request) -> Response:
    """Keep an image, the body of the request; the answer names it for other requests."""
    return await keep_image(request, await read_body(request, MAX_BYTES))


async def keep_image(request: Request, data: bytes) -> Response:
    """Keep an image, and answer with what names it."""
    image = await state_of(request).rag.dependencies.blobs.put(data)
    return JSONResponse({**image.model_dump(), "address": f"/images/{image.sha256}"}, 201)


async def _image(request: Request, sha256: str, library: str, *, small: bool) -> bytes:
    """The bytes of an image of a run, or of a library; where a small one is enough, the library's own thumbnail."""
    rag = state_of(request).rag
    name = library or rag.settings.library or ""
    if small and name and not rag.dependencies.blobs.path(sha256).exists():
        found = await asyncio.to_thread(thumbnails, rag.dependencies.home, name, [sha256])
        if sha256 in found:
            return found[sha256]
    return await image_bytes(rag, sha256, name)


async def reduced_answer(data: bytes, side: int) -> Response:
    """An image that is no run's or library's, reduced."""
    reduced = await in_thread(_reduced, data, side, None, mask=False)
    return Response(reduced, media_type="image/webp", headers={"cache-control": "private, max-age=600"})


def _reduced(data: bytes, side: int, region: Region | None, *, mask: bool) -> bytes:
    decoded = decode(data, side=side).image
    decoded.thumbnail((side, side), reducing_gap=2.0)
    image = shown_mask(decoded) if mask else opaque(decoded)
    out = io.BytesIO()
    (outlined(image, region) if region else image).save(out, "WEBP", quality=85, method=2)
    return out.getvalue()


def _side(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 5:
        raise UsageError("`side` is a number of pixels")
    return next((side for side in SIDES if side >= int(text)), SIDES[-1])


def _region(text: str) -> Region | None:
    if not text:
        return None
    try:
        left, top, right, bottom = map(float, text.split(","))
        return Region.of_shares((left, top, right, bottom))
    except ValueError as error:
        raise UsageError("`region` is left,top,right,bottom, in [0, 1]") from error


ROUTES: Final = [
    Route("/images", post_image, methods=["POST"]),
    Route("/images/{sha256:str}", get_image),
]
