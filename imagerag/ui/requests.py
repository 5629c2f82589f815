"""Reading requests: JSON bodies, images that are dropped in, and errors as answers."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagerag.agent.errors import BlobError, ImageRAGError, UnknownLibraryError, UnknownRunError, UsageError
from imagerag.formatting.messages import invalid
from imagerag.formatting.numbers import size_of_bytes
from imagerag.formatting.texts import Texts, accepted_language, languages, texts
from imagerag.ui.page_terms import page_terms
from imagerag.ui.state import UiState

MAX_JSON: Final = 1_000_000
"""Bytes of a request without an image."""

MAX_FORM: Final = 10_000
"""Bytes of a form that is sent without a script."""

LANGUAGE_COOKIE: Final = "imagerag_language"

YEAR_S: Final = 365 * 24 * 3600
"""How long a browser keeps a cookie of the page."""

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]


def state_of(request: Request) -> UiState:
    """The state of the server that answers a request."""
    state: UiState = request.app.state.ui
    return state


def texts_of(request: Request) -> Texts:
    """The words in the reader's language: the one that was chosen, the server's, or the browser's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in languages():
        return texts(chosen)
    return texts(state_of(request).language or accepted_language(request.headers.get("accept-language", "")))


async def read_body(request: Request, most: int = MAX_JSON) -> bytes:
    """The body of a request.

    Raises:
        UsageError: it is longer.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise UsageError(f"at most {size_of_bytes(most)} are read")
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


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that a browser sends without a script; the first value of each.

    Raises:
        UsageError: they are longer than 10,000 bytes.
    """
    sent = (await read_body(request, MAX_FORM)).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(sent).items()}


def own_address(address: str) -> str:
    """An address of this server to go on to; the first page for any other."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"


def number_of(text: str, most: int) -> int:
    """A whole number of an address, `most` where it is larger.

    Raises:
        UsageError: it is none.
    """
    if not text.isdecimal() or len(text) > 10:
        raise UsageError(f"{text[:20]!r} is no number")
    return min(int(text), most)


def as_answer(handler: Handler) -> Handler:
    """Answer errors of the user, 400, or 404 for what there is not: as a page to a person who follows a link, else as
    JSON, `{"error": …, "message": …}`."""

    @wraps(handler)
    async def answering(request: Request) -> Response:
        try:
            return await handler(request)
        except ImageRAGError as error:
            message = _message(request, error)
            if wants_page(request):
                raise HTTPException(status_of(error), message) from error
            return JSONResponse({"error": type(error).__name__, "message": message}, status_of(error))

    return answering


def _message(request: Request, error: ImageRAGError) -> str:
    run_id = request.path_params.get("run_id")
    if run_id and isinstance(error, UnknownRunError):
        return texts_of(request)("refused.no_run", run=run_id[:60])
    return page_terms(texts_of(request), str(error))


def wants_page(request: Request) -> bool:
    """Whether a person follows a link, and not a script."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def status_of(error: ImageRAGError) -> int:
    """The HTTP status of an error."""
    return 404 if isinstance(error, UnknownRunError | UnknownLibraryError | BlobError) else 400


def data_of(body: BaseModel) -> dict[str, Any]:
    """What was sent, without what was not."""
    return body.model_dump(exclude_unset=True, exclude_none=True)
