"""The document of the app: one page with its style, its script and the words of every language, that loads nothing."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from imagerag import __version__
from imagerag.formatting.html.templating import POLICY, render

TEMPLATES: Final = Path(__file__).parent / "templates"
SCRIPTS: Final = ("protocol.js", "elements.js", "run.js", "choosing.js")


@lru_cache
def app_document() -> str:
    """The page. Its own policy allows its one script and no other, however lax that of the host may be."""
    from markupsafe import Markup

    from imagerag.mcp.app.texts import app_texts

    script = "\n".join((TEMPLATES / name).read_text("utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'"
    texts = {"version": __version__, **app_texts()}
    return render(TEMPLATES, "app.html", policy=policy, script=Markup(script), texts=texts)
