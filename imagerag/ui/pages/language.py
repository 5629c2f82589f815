"""`/language`: the language that a reader chooses, kept by the browser."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.formatting.texts import languages
from imagerag.ui.guard import is_csrf_token
from imagerag.ui.requests import LANGUAGE_COOKIE, YEAR_S, as_answer, own_address, read_form, state_of


@as_answer
async def choose_language(request: Request) -> Response:
    """Keep the choice of a form, and show the page that it stands on again."""
    fields = await read_form(request)
    if not is_csrf_token(state_of(request), fields.get("csrf", "")):
        raise HTTPException(403)
    if (language := fields.get("language", "")) not in languages():
        raise UsageError(f"no language {language[:20]!r}; there are: {', '.join(languages())}")
    answer = RedirectResponse(own_address(fields.get("next", "")), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, httponly=True, samesite="lax", secure=secure)
    return answer


ROUTES: Final = [Route("/language", choose_language, methods=["POST"])]
