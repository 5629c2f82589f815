"""From an answer's base64 or address to an image that is whole."""

import asyncio
import base64
import binascii
import re
from typing import Final
from urllib.parse import urlsplit

from imagerag.agent.errors import BackendError, ImageTooLargeError, UsageError
from imagerag.agent.images import MAX_BYTES, decode
from imagerag.tools.generators.failures import unreadable

_LOOKED_AT: Final = 256
"""Pixels: a JPEG that is only to be checked need not be decoded in full size."""

_DATA_URL: Final = re.compile(r"data:image/[\w.+-]+;base64,")


async def checked(data: bytes, who: str) -> tuple[bytes, str]:
    """The bytes and what they are, after decoding them to the last pixel.

    Raises:
        BackendError: damaged or cut short (asking again can help), or of a form or size we do not take (it cannot).
    """
    return data, await asyncio.to_thread(_media_type, data, who)


def _media_type(data: bytes, who: str) -> str:
    try:
        return decode(data, side=_LOOKED_AT).media_type
    except ImageTooLargeError as error:
        problem = str(error)
    except UsageError:
        problem = ""
    # Not chained: the decoder's message may quote the bytes.
    if not problem:
        raise unreadable(who, f"a damaged image ({len(data)} bytes)")
    raise BackendError(f"{who} answered with an image that is too large: {problem}", retryable=False)


def decoded(text: str, who: str) -> bytes:
    """The bytes of base64 text, or of a data URL.

    Raises:
        BackendError: it is not base64, or more than 64 MB.
    """
    head = _DATA_URL.match(text)
    encoded = text[head.end() :] if head else text
    if len(encoded) > MAX_BYTES * 4 // 3 + 4:
        raise BackendError(f"{who} answered with more than {MAX_BYTES >> 20} MB", retryable=False)
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        problem = unreadable(who, "an image whose base64 is damaged")
    raise problem


def is_data_url(text: str) -> bool:
    """Whether a text is an image in itself."""
    return _DATA_URL.match(text) is not None


def data_url(data: bytes, media_type: str) -> str:
    """An image as an address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def fetched(url: str, base_url: str, who: str, timeout_s: float) -> bytes:
    """The image behind an address that a service gave: over https, or from the very server that was asked.

    No key is sent along and no redirect followed.

    Raises:
        BackendError: another kind of address, no image there, or more than 64 MB.
    """
    import httpx2

    asked, given = urlsplit(base_url), urlsplit(url)
    same = (asked.scheme, asked.hostname, asked.port) == (given.scheme, given.hostname, given.port)
    if not (same or given.scheme == "https"):
        raise BackendError(f"{who} put its image at an address that is not fetched ({given.scheme})", retryable=False)
    async with httpx2.AsyncClient(timeout=timeout_s) as client, client.stream("GET", url) as response:
        if response.status_code != 200:
            raise BackendError(f"{who} put its image at an address that answers HTTP {response.status_code}")
        whole = bytearray()
        async for piece in response.aiter_bytes():
            whole += piece
            if len(whole) > MAX_BYTES:
                raise BackendError(f"{who} answered with more than {MAX_BYTES >> 20} MB", retryable=False)
    return bytes(whole)
