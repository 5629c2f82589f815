"""Web addresses in what a service answers, before they are shown or fetched."""

from typing import Any, Final
from urllib.parse import urlsplit

from imagerag.agent.types.web_sources import MAX_URL
from imagerag.formatting.text import clean

_NOT_IN_ADDRESS: Final = frozenset(" \"'<>\\`{}")


def web_address(value: Any) -> str:
    """An http or https address that a person may follow; empty for anything else.

    Refused are other schemes, user names, control and markup characters, and more than `MAX_URL` characters: an address
    that was cut leads elsewhere, so none is cut. Spaces around it are removed.
    """
    address = value.strip() if isinstance(value, str) else ""
    if len(address) > MAX_URL or not address.isprintable() or address != clean(address):
        return ""
    try:
        place = urlsplit(address)
        valid = place.scheme in ("http", "https") and bool(place.hostname) and "@" not in place.netloc
        _ = place.port
    except ValueError:
        return ""
    return address if valid and not _NOT_IN_ADDRESS & set(address) else ""
