"""What the next click can cost, as a part of a page."""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from imagerag.ui.rendering import page

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate


def estimate_part(request: Request, estimate: "Estimate", *, backends: bool = False) -> Response:
    """The part of a page that says it; `static/estimate.js` puts it there.

    Args:
        backends: name the backends that are called.
    """
    return page(request, "estimate.html", estimate=estimate, backends=backends)
