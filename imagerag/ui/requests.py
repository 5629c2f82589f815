"""Reading requests: JSON bodies, images that are dropped in, and errors as answers."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagerag.agent.errors import BlobError, ImageRAGError, UnknownLibraryError, UnknownRunError, UsageError
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.messages import invalid
from imagerag.ui.state import UiState

MAX_JSON: Final = 1_000_000
"""Bytes of a request without an image."""

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]


def state_of(request: Request) -> UiState:
    """The state of the server that answers a request."""
    state: UiState = request.app.state.ui
    return state


async def read_body(request: Request, most: int = MAX_JSON) -> bytes:
    """The body of a request.

    Raises:
        UsageError: it is longer.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise UsageError(f"at most {most // 1_000_000} MB are read")
    return bytes(data)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The JSON body of a request as a model.

    Raises:
        UsageError: it is something else; one line that names what.
    """
    try:
        return model.model_validate_json(await read_body(request))
    except ValidationError as error:
        raise UsageError(invalid(error)) from error


def as_answer(handler: Handler) -> Handler:
    """Answer errors of the user as JSON: `{"error": …, "message": …}`, 400, or 404 for what there is not."""

    @wraps(handler)
    async def answering(request: Request) -> Response:
        try:
            return await handler(request)
        except ImageRAGError as error:
            return JSONResponse({"error": type(error).__name__, "message": as_commands(str(error))}, status_of(error))

    return answering


def status_of(error: ImageRAGError) -> int:
    """The HTTP status of an error."""
    return 404 if isinstance(error, UnknownRunError | UnknownLibraryError | BlobError) else 400


def data_of(body: BaseModel) -> dict[str, Any]:
    """What was sent, without what was not."""
    return body.model_dump(exclude_unset=True, exclude_none=True)
