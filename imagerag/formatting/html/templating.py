"""Self-contained HTML pages from Jinja2 templates; whatever is not markup already is escaped."""

import json
import re
import unicodedata
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.formatting import labels, numbers
from imagerag.formatting.text import image_name
from imagerag.formatting.texts import texts

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES: Final = Path(__file__).parent / "templates"
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content security policy: a page loads nothing. Should escaping ever fail, injected code cannot run."""
SCRIPT_POLICY: Final = f"{POLICY}; script-src 'unsafe-inline'"
"""The same for the pages with a script of their own. It puts foreign text into text nodes only."""


def render(folder: Path, template: str, /, **values: Any) -> str:
    """Render a template of a folder with these values.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    return environment(folder).get_template(template).render(values)


@lru_cache
def environment(*folders: Path) -> "Environment":
    """The templates of these folders, the first one first, and the shared ones: `base.html`, `parts.html`, `style.css`.

    They speak English (`t`) unless they are rendered with another `t`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    jinja = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader([*folders, TEMPLATES]),
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals |= {"numbers": numbers, "labels": labels, "image_name": image_name, "t": texts()}
    jinja.globals |= {"POLICY": POLICY, "SCRIPT_POLICY": SCRIPT_POLICY}
    jinja.filters["script_json"] = _script_json
    return jinja


def is_report(head: bytes) -> bool:
    """Whether a file that begins so is a page without a script that was made here."""
    return f'content="{POLICY}"' in unescape(head.decode(errors="replace"))


def _finalize(value: Any) -> Any:
    """Every value on its way into a page, before it is escaped; None is nothing."""
    if value is None:
        return ""
    return value if hasattr(value, "__html__") else printable(str(value))


_ODD: Final = re.compile(r"[^\n\t\x20-\x7e]")


def printable(text: str) -> str:
    """Foreign text without control characters, and without those that turn the direction of what follows."""
    return _ODD.sub(_harmless, text)


def _harmless(match: "re.Match[str]") -> str:
    sign = match[0]
    kind = unicodedata.category(sign)
    if kind == "Cs":
        return "\ufffd"
    return "" if kind == "Cc" or (kind == "Cf" and sign != "\u200d") else sign


def _script_json(value: Any) -> Any:
    """JSON that can stand inside a script element."""
    from markupsafe import Markup

    text = printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
