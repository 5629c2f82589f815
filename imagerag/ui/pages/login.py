"""`/login`: the token is shown once, and a cookie stands for it from then on."""

import hmac
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from imagerag.ui.guard import SESSION_COOKIE, session_value
from imagerag.ui.rendering import page
from imagerag.ui.requests import YEAR_S, as_answer, own_address, read_form, state_of


@as_answer
async def login(request: Request) -> Response:
    """Ask for the token, or take it: from the form, or from `?token=` of the address that is printed at the start."""
    state = state_of(request)
    after = own_address(request.query_params.get("next", "/"))
    shown = request.query_params.get("token", "")
    if request.method == "POST":
        shown = (await read_form(request)).get("token", "")
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
