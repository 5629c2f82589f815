"""Decode the base64 or URL of a response to a complete image."""

import asyncio
import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from imagerag.agent.errors import BackendError, ImageTooLargeError, UnreadableImageError, UsageError
from imagerag.agent.images.decoding import MAX_BYTES, decode
from imagerag.agent.threads import in_thread
from imagerag.tools.error_bodies import holds_image
from imagerag.tools.openai.errors import redact, unreadable
from imagerag.tools.url_fetcher import Fetcher, FetchError

if TYPE_CHECKING:
    from pydantic import BaseModel

_LONGEST_PATH: Final = 1000
"""Characters."""

_LOOKED_AT: Final = 256
"""Pixels: a JPEG that is only checked need not be decoded in full size."""

_DATA_URL: Final = re.compile(r"data:(?:[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.I)
_ADDRESS: Final = re.compile(r"https?://\S+$", re.I)
_STANDARD: Final = str.maketrans("-_", "+/")
_PAUSES_S: Final = (0.5, 2.0)
"""Delays between attempts to download an image, in seconds: some stores have it a moment after its URL."""


async def checked(data: bytes, who: str) -> tuple[bytes, str]:
    """The bytes and their format, after decoding them completely.

    Raises:
        UnreadableImageError: damaged, cut off, or of an unsupported format or size; the bytes are its `data`.
    """
    try:
        return data, await in_thread(_media_type, data, who)
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
    """Bytes of base64 text or a data URL: with or without line breaks and padding, in either alphabet.

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
    """The first image in a response, as base64 or URL, wherever a server puts it; empty if there is none."""
    if isinstance(answer, str):
        text = answer.strip()
        return answer if text and (place in ("b64_json", "url") or _IMAGE.match(text)) else ""
    if isinstance(answer, list) and depth < _DEEPEST:
        return next(filter(None, (first_image(item, depth + 1, place=place) for item in answer)), "")
    if isinstance(answer, Mapping) and depth < _DEEPEST:
        images = (first_image(answer.get(name), depth + 1, place=name) for name in _PLACES)
        return next(filter(None, images), "")
    return ""


_PLACES: Final = (
    "b64_json", "url", "image_url", "b64", "base64", "image_base64", "inline_data", "inlineData", "source", "image",
    "images", "data", "output", "result", "artifacts",
)  # fmt: skip
_DEEPEST: Final = 5
_IMAGE: Final = re.compile(rf"{_DATA_URL.pattern}|https?://\S+$|[\w+/=\s-]{{40,}}$", re.I)


def is_address(text: str) -> bool:
    """Whether a text is the URL of an image."""
    return _ADDRESS.match(text.strip()) is not None


def is_path(text: str) -> bool:
    """Whether a text is the path of an image on the server itself; the base64 of a JPEG begins with a slash, too."""
    return text.startswith("/") and not text.startswith("/9j/") and len(text) < _LONGEST_PATH


def misplaced(answer: "BaseModel", who: str) -> UnreadableImageError | None:
    """Error for a response with an image in an unexpected place: it is paid for, so it is kept."""
    document = answer.model_dump_json(warnings=False)
    where = f"{who} answered with an image where none is looked for"
    return UnreadableImageError(where, data=document.encode()) if holds_image(document) else None


def data_url(data: bytes, media_type: str) -> str:
    """An image as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def fetched(
    url: str,
    base_url: str,
    who: str,
    timeout_s: float,
    key: str | None = None,
    *,
    by_model: bool = False,
    hosts: Collection[str] = (),
) -> bytes:
    """Download an image whose URL came with a response: over https from a public host, or from the called server.

    The image is already paid for, so the download is retried several times, and the generation is not. The key is sent
    only to the called server, and only if it requires one.

    Args:
        by_model: whether the model's own text contains the URL. An attacker who controls part of a prompt can make the
            model write a URL that leaks what it read, so other hosts are used only for URLs without a query.
        hosts: other hosts that the user named; their URLs may have a query.

    Raises:
        UnreadableImageError: no image there, or an unsupported URL; its `data` is the URL.
    """
    place, why = _place(url.strip(), base_url, who), ""
    target, own = urlsplit(place), urlsplit(base_url).hostname or ""
    if by_model and target.query and target.hostname not in {own, *hosts}:
        raise _elsewhere(who, f"is not fetched: it has a query (image_hosts={target.hostname} allows it)", place)
    fetcher = Fetcher(max_bytes=MAX_BYTES, timeout_s=timeout_s, clear=False, own_host=own)
    for pause in (*_PAUSES_S, None):
        try:
            return await _got(fetcher, place, base_url, key)
        except FetchError as error:
            why = error.why
            if not error.passing:
                break
        except UsageError as error:
            why = str(error)
            break
        if pause is not None:
            await asyncio.sleep(pause)
    raise _elsewhere(who, why, place)


def _elsewhere(who: str, why: str, place: str) -> UnreadableImageError:
    address = redact(place.partition("?")[0])
    return UnreadableImageError(f"{who} put its image at an address that {why}: {address}", data=place.encode())


async def _got(fetcher: Fetcher, place: str, base_url: str, key: str | None) -> bytes:
    """Download the image; the key is sent only if the called server requires it."""
    try:
        return await fetcher.fetch(place)
    except FetchError as error:
        if error.status not in (401, 403) or not key or urlsplit(place)[:2] != urlsplit(base_url)[:2]:
            raise
    return await fetcher.fetch(place, headers={"Authorization": f"Bearer {key}"})


def _place(url: str, base_url: str, who: str) -> str:
    """Resolve an image's URL: a server that means itself (`localhost`, a path) is called under its own name.

    Raises:
        UnreadableImageError: neither https, nor the called server.
    """
    base, target = urlsplit(base_url), urlsplit(urljoin(base_url.partition("?")[0] + "/", url))
    host, itself = base.hostname or "", _is_this_machine(target.hostname or "")
    if target.scheme in ("http", "https") and itself and target.hostname != host:
        port = target.port or (443 if target.scheme == "https" else 80)
        target = target._replace(netloc=f"{f'[{host}]' if ':' in host else host}:{port}")
    if target.scheme == "https" or (target.scheme == "http" and target.hostname == host):
        return urlunsplit(target)
    problem = (
        f"{who} put its image at an address that is not fetched ({target.scheme}, {redact(target.hostname or '')})"
    )
    raise UnreadableImageError(problem, data=url.encode())


def _is_this_machine(host: str) -> bool:
    """Whether a server that names this host means itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
