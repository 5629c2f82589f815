"""Pages from templates: the shared ones of reports, and those of this package."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse

from imagerag.agent.types import ImageRef, Region
from imagerag.formatting.html.templating import TEMPLATES as SHARED
from imagerag.formatting.html.templating import environment
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.texts import languages, texts
from imagerag.reports import record_text
from imagerag.reports.html import attempts, lineage
from imagerag.ui.guard import csrf_token
from imagerag.ui.page_terms import page_terms, upkeep_terms
from imagerag.ui.requests import state_of, texts_of

TEMPLATES: Final = Path(__file__).parent / "templates"
STATIC: Final = Path(__file__).parent / "static"
REPORTS: Final = Path(attempts.__file__).parent / "templates"
EVALUATIONS: Final = REPORTS.parents[2] / "evals" / "reports" / "templates"


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or a part of one, of a template of this package, in the reader's language."""
    return HTMLResponse(markup(request, template, **values), status)


def markup(request: Request, template: str, **values: Any) -> str:
    """The markup of a page, or of a part of one, of a template of this package, in the reader's language."""
    own = texts_of(request)
    shared: dict[str, Any] = {
        "t": own,
        "in_words": partial(page_terms, own),
        "in_upkeep_words": partial(upkeep_terms, own),
        "as_commands": as_commands,
        "languages": [(code, texts(code)("nav.language")) for code in languages()],
        "path": request.url.path,
        "address": f"{request.url.path}?{request.url.query}".rstrip("?"),
        "csrf": csrf_token(state_of(request)),
        "gallery": LinkedImages(),
        "attempts": attempts,
        "lineage": lineage,
        "record_text": record_text,
    }
    jinja = environment(TEMPLATES, REPORTS, EVALUATIONS)
    return jinja.get_template(template).render(**shared | values)


@dataclass(frozen=True)
class LinkedImages:
    """Gives images as addresses of this server, where a report's `Gallery` gives their bytes.

    Attributes:
        library: where else they are looked for than among those of runs.
    """

    library: str = ""

    def large(self, image: ImageRef) -> str:
        """An image to look at."""
        return self.address(image.sha256, 1024)

    def small(self, image: ImageRef, region: Region | None = None) -> str:
        """An image to recognise, with the box of a region."""
        return self.address(image.sha256, 192, region)

    def mask(self, image: ImageRef) -> str:
        """A mask, light where the image may change."""
        return self.address(image.sha256, 192) + "&mask=1"

    def address(self, sha256: str, side: int, region: Region | None = None) -> str:
        """The address of an image, its longer side `side` pixels at most, with the box of a region."""
        library = f"&library={quote(self.library)}" if self.library else ""
        box = "" if region is None else "&region=" + ",".join(f"{share:.4f}" for share in region.shares)
        return f"/images/{sha256}?side={side}{library}{box}"


def static_file(name: str) -> Path:
    """A static file of the pages; `style.css` and `gallery.js` are those of the reports.

    Raises:
        KeyError: there is none of that name.
    """
    return _static_files()[name]


@lru_cache
def _static_files() -> dict[str, Path]:
    own = {path.name: path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".svg")}
    return own | {"style.css": SHARED / "style.css", "gallery.js": EVALUATIONS / "gallery.js"}
