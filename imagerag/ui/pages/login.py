"""`/login`: the token is shown once, and a cookie stands for it from then on."""

import hmac
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from imagerag.ui.guard import SESSION_COOKIE, session_value
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, read_body, state_of

YEAR_S: Final = 365 * 24 * 3600


@as_answer
async def login(request: Request) -> Response:
    """Ask for the token, or take it: from the form, or from `?token=` of the address that is printed at the start."""
    state = state_of(request)
    after = request.query_params.get("next", "/")
    after = after if after.startswith("/") and not after.startswith(("//", "/\\")) else "/"
    shown = request.query_params.get("token", "")
    if request.method == "POST":
        fields = parse_qs((await read_body(request, 10_000)).decode("utf-8", "replace"))
        shown = fields.get("token", [""])[0]
    if state.http.token is None:
        return RedirectResponse(after, 303)
    if not shown or not hmac.compare_digest(shown.encode(), state.http.token.encode()):
        return page(request, "login.html", status=401 if shown else 200, wrong=bool(shown), after=after)
    answer = RedirectResponse(after, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        SESSION_COOKIE, session_value(state), max_age=YEAR_S, httponly=True, samesite="strict", secure=secure
    )
    return answer


ROUTES: Final = [Route("/login", login, methods=["GET", "POST"])]
