"""Google Search inside of the model: the tool of a request, and the sources of a response.

Titles and addresses are other people's text: they are shortened to one line, only http and https links are kept, and
the search suggestions, which are HTML, are not read at all.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from imagerag.agent.types import WebSource
from imagerag.agent.types.web_sources import MAX_SOURCES, MAX_TITLE
from imagerag.formatting.quoting import line
from imagerag.tools.gemini.responses import Chunk, Grounding
from imagerag.tools.web_addresses import web_address

KINDS: Final = ("image", "web")
"""What the model may search: images or web pages."""


def search_tool(kinds: Sequence[str]) -> dict[str, Any]:
    """The tool of a request, as the SDK's type `Tool` reads it.

    Args:
        kinds: one or more of `KINDS`.
    """
    types: dict[str, Any] = {f"{kind}_search": {} for kind in kinds}
    # Web search alone is the tool's own default, which older models accept without `search_types`.
    return {"google_search": {} if tuple(kinds) == ("web",) else {"search_types": types}}


def web_sources(groundings: Sequence[Grounding]) -> tuple[WebSource, ...]:
    """The sources of a response, each once, at most `MAX_SOURCES`."""
    chunks = [chunk for grounding in groundings for chunk in grounding.grounding_chunks]
    sources = dict.fromkeys(source for chunk in chunks for source in _sources(chunk))
    return tuple(sources)[:MAX_SOURCES]


def _sources(chunk: Chunk) -> Iterator[WebSource]:
    if chunk.image is not None:
        page, image = web_address(chunk.image.source_uri), web_address(chunk.image.image_uri)
        title, domain = chunk.image.title, chunk.image.domain
    elif chunk.web is not None:
        page, image = web_address(chunk.web.uri), ""
        title, domain = chunk.web.title, chunk.web.domain
    else:
        return
    if page or image:
        host = domain or urlsplit(page or image).hostname or ""
        yield WebSource(title=line(title or "", MAX_TITLE), page=page, image=image, domain=line(host, MAX_TITLE))
