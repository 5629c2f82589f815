"""Results of search services, as they are let in: bounded, on one line, with addresses that are addresses."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any, Final

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.types.web_sources import MAX_URL
from imagerag.formatting.text import clean

LONGEST_TEXT: Final = 200
"""Characters of a title or an author."""

_TAG: Final = re.compile(r"<[^<>]{0,2000}>")


@dataclass(frozen=True, kw_only=True)
class WebResult:
    """A result of a search service, not checked yet.

    Attributes:
        image: the address of the image.
        page: the address of the page it is on; empty when the service names none.
        licence, licence_version, licence_url: as the service reports them; empty when it does not.
        width, height: in pixels; 0 when not reported.
    """

    image: str
    page: str = ""
    title: str = ""
    author: str = ""
    licence: str = ""
    licence_version: str = ""
    licence_url: str = ""
    width: int = 0
    height: int = 0


def text_of(value: Any) -> str:
    """A stranger's text as it is kept: without markup, on one line, bounded, and no control token of a model."""
    if not isinstance(value, str):
        return ""
    plain = clean(unescape(_TAG.sub("", value[: 20 * LONGEST_TEXT])))
    return neutralised(plain[:LONGEST_TEXT]).strip()


def number_of(value: Any) -> int:
    """A number of pixels; 0 when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6 else 0


def raw_text(value: Any) -> str:
    """A text that is compared and not shown; empty for anything else."""
    return value[:MAX_URL] if isinstance(value, str) else ""
