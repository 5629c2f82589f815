"""From an answer's base64 or address to an image that is whole."""

import asyncio
import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from imagerag.agent.errors import BackendError, ImageTooLargeError, UnreadableImageError, UsageError
from imagerag.agent.images import MAX_BYTES, decode
from imagerag.tools.generators.error_bodies import holds_picture
from imagerag.tools.generators.failures import redact, unreadable

if TYPE_CHECKING:
    import httpx2
    from pydantic import BaseModel

_LONGEST_PATH: Final = 1000
"""Characters."""

_LOOKED_AT: Final = 256
"""Pixels: a JPEG that is only to be checked need not be decoded in full size."""

_DATA_URL: Final = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.I)
_ADDRESS: Final = re.compile(r"https?://\S+$", re.I)
_STANDARD: Final = str.maketrans("-_", "+/")
_PAUSES_S: Final = (0.5, 2.0)
"""Between the tries to fetch one picture, in seconds: some stores have it a moment after its address."""


async def checked(data: bytes, who: str) -> tuple[bytes, str]:
    """The bytes and what they are, after decoding them to the last pixel.

    Raises:
        UnreadableImageError: damaged, cut short, or of a form or size we do not take; the bytes are its `data`.
    """
    try:
        return data, await asyncio.to_thread(_media_type, data, who)
    except BackendError as error:
        problem = str(error)
    raise UnreadableImageError(problem, data=data)


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
    """The bytes of base64 text, or of a data URL: in lines or in one, in either alphabet, with its padding or without.

    Raises:
        UnreadableImageError: it is not base64; the text is its `data`.
        BackendError: more than 64 MB.
    """
    encoded = _DATA_URL.sub("", text.strip().strip("\"'"), count=1)
    if len(encoded) > MAX_BYTES * 3 // 2:
        raise BackendError(f"{who} answered with more than {MAX_BYTES >> 20} MB", retryable=False)
    if "%" in encoded:
        encoded = unquote(encoded)
    plain = "".join(encoded.replace("\\n", "").split()).rstrip("=").translate(_STANDARD)
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise UnreadableImageError(f"{who} answered with an image whose base64 is damaged", data=text.encode())
    return data


def first_image(answer: object, depth: int = 0, *, place: str = "") -> str:
    """The first picture in an answer, as base64 or an address, wherever a server puts it; empty where there is none."""
    if isinstance(answer, str):
        text = answer.strip()
        return answer if text and (place in ("b64_json", "url") or _PICTURE.match(text)) else ""
    if isinstance(answer, list) and depth < _DEEPEST:
        return next(filter(None, (first_image(item, depth + 1, place=place) for item in answer)), "")
    if isinstance(answer, Mapping) and depth < _DEEPEST:
        found = (first_image(answer.get(name), depth + 1, place=name) for name in _PLACES)
        return next(filter(None, found), "")
    return ""


_PLACES: Final = (
    "b64_json", "url", "image_url", "b64", "base64", "image_base64", "inline_data", "inlineData", "source", "image",
    "images", "data", "output", "result", "artifacts",
)  # fmt: skip
_DEEPEST: Final = 5
_PICTURE: Final = re.compile(rf"{_DATA_URL.pattern}|https?://\S+$|[\w+/=\s-]{{40,}}$", re.I)


def is_data_url(text: str) -> bool:
    """Whether a text is an image in itself."""
    return _DATA_URL.match(text.strip()) is not None


def is_address(text: str) -> bool:
    """Whether a text says where an image is."""
    return _ADDRESS.match(text.strip()) is not None


def is_path(text: str) -> bool:
    """Whether a text is the path of an image on the server itself; the base64 of a JPEG begins with a slash, too."""
    return text.startswith("/") and not text.startswith("/9j/") and len(text) < _LONGEST_PATH


def misplaced(answer: "BaseModel", who: str) -> UnreadableImageError | None:
    """The error for an answer with a picture where none is looked for: it is paid for, so it is kept."""
    said = answer.model_dump_json(warnings=False)
    where = f"{who} answered with an image where none is looked for"
    return UnreadableImageError(where, data=said.encode()) if holds_picture(said) else None


def data_url(data: bytes, media_type: str) -> str:
    """An image as an address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def fetched(url: str, base_url: str, who: str, timeout_s: float, key: str | None = None) -> bytes:
    """The image behind an address that a service gave: over https, or from the host that was asked.

    The picture is paid for when its address comes, so fetching it is tried several times, and drawing it is not. No
    redirect is followed, and the key goes only to the very server that was asked, where it wants one.

    Raises:
        UnreadableImageError: no image there, or another kind of address; its `data` is the address.
        BackendError: more than 64 MB.
    """
    import httpx2

    place, why = _place(url.strip(), base_url, who), ""
    for pause in (*_PAUSES_S, None):
        try:
            async with httpx2.AsyncClient(timeout=timeout_s) as client:
                return await _got(client, place, base_url, who, key)
        except _NotThereError as error:
            why = str(error)
            if error.final:
                break
        except httpx2.HTTPError as error:
            why = f"cannot be reached ({type(error).__name__})"
        if pause is not None:
            await asyncio.sleep(pause)
    told = redact(place.partition("?")[0])
    raise UnreadableImageError(f"{who} put its image at an address that {why}: {told}", data=place.encode())


class _NotThereError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"answers HTTP {status}")
        self.final = status < 500 and status not in (404, 408, 409, 423, 425, 429)


async def _got(client: "httpx2.AsyncClient", place: str, base_url: str, who: str, key: str | None) -> bytes:
    same = urlsplit(place)[:2] == urlsplit(base_url)[:2]
    for headers in ({}, {"Authorization": f"Bearer {key}"}) if same and key else ({},):
        async with client.stream("GET", place, headers=headers) as response:
            if response.status_code in (401, 403) and not headers and same and key:
                continue
            if response.status_code != 200:
                raise _NotThereError(response.status_code)
            whole = bytearray()
            async for piece in response.aiter_bytes():
                whole += piece
                if len(whole) > MAX_BYTES:
                    raise BackendError(f"{who} answered with more than {MAX_BYTES >> 20} MB", retryable=False)
            return bytes(whole)
    raise _NotThereError(403)


def _place(url: str, base_url: str, who: str) -> str:
    """Where an image is fetched from: a server that means itself (`localhost`, a path) is asked under its own name.

    Raises:
        UnreadableImageError: neither https, nor the host that was asked.
    """
    asked, given = urlsplit(base_url), urlsplit(urljoin(base_url.partition("?")[0] + "/", url))
    host, itself = asked.hostname or "", _is_this_machine(given.hostname or "")
    if given.scheme in ("http", "https") and itself and given.hostname != host:
        port = given.port or (443 if given.scheme == "https" else 80)
        given = given._replace(netloc=f"{f'[{host}]' if ':' in host else host}:{port}")
    if given.scheme == "https" or (given.scheme == "http" and given.hostname == host):
        return urlunsplit(given)
    what = f"{who} put its image at an address that is not fetched ({given.scheme}, {redact(given.hostname or '')})"
    raise UnreadableImageError(what, data=url.encode())


def _is_this_machine(host: str) -> bool:
    """Whether a server that names this host means itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
