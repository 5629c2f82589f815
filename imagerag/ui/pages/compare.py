"""`/compare`: any two attempts beside or over one another, of one run or of two; for two runs also how they differ."""

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt
from imagerag.formatting.numbers import percent
from imagerag.reports.html.diff_page import brief
from imagerag.reports.run_diff import text
from imagerag.ui.pages.images import FOREVER
from imagerag.ui.rendering import LinkedImages, page
from imagerag.ui.requests import as_answer, state_of, texts_of


@dataclass(frozen=True)
class ComparedAttempt:
    """An attempt that can be on either side.

    Attributes:
        key: its name in the page's address, "a0" for the first attempt of run A.
    """

    key: str
    record: RunRecord
    attempt: Attempt


@as_answer
async def compare_page(request: Request) -> Response:
    """The whole page, or with `part` what is said of the two sides."""
    runs, query = state_of(request).rag.runs, request.query_params
    a = await runs.get(query.get("a", ""))
    b = await runs.get(query["b"]) if query.get("b") else a
    other = b.run_id != a.run_id
    shown = [ComparedAttempt(f"a{one.index}", a, one) for one in a.attempts]
    shown += [ComparedAttempt(f"b{one.index}", b, one) for one in b.attempts] if other else []
    if not shown:
        raise UsageError(texts_of(request)("compare.nothing"))
    left, right = _side(shown, query.get("left", "a0"), 0), _side(shown, query.get("right") or _best(b, other), -1)
    library = a.setup.library if a.setup else None
    sides: dict[str, Any] = {"left": left, "right": right, "gallery": LinkedImages(library or "")}
    if "part" in query:
        return page(request, "compare_facts.html", **sides)
    sides |= {
        "a": a,
        "b": b,
        "other": other,
        "shown": shown,
        "lettered": [("A", a), ("B", b)][: 1 + other],
        "text": text,
        "brief": brief,
    }
    return page(request, "compare.html", **sides, found=await runs.diff(a, b) if other else None)


def _best(record: RunRecord, other: bool) -> str:
    return f"{'b' if other else 'a'}{record.best_attempt or 0}"


def _side(shown: list[ComparedAttempt], key: str, otherwise: int) -> ComparedAttempt:
    return next((one for one in shown if one.key == key), shown[otherwise])


@as_answer
async def difference_image(request: Request) -> Response:
    """A picture of where two images differ, by their SHA-256; the header `x-difference` says how much of them."""
    query = request.query_params
    found = await state_of(request).rag.runs.image_difference(query.get("a", ""), query.get("b", ""))
    headers = {**FOREVER, "x-difference": percent(found.share)}
    return Response(found.image, media_type="image/png", headers=headers)


ROUTES: Final = [Route("/compare", compare_page), Route("/compare/difference", difference_image)]
