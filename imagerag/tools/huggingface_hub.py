"""Hugging Face's hub, asked only where it answers.

Its client tries again for most of a minute when there is no network, and writes about each try. Where one connection
shows that nobody answers, it is told to look into its cache alone; what is not there is then an error at once.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_TIMEOUT_S: Final = 4.0
_LOCK: Final = Lock()
_WITHOUT: Final[list[object]] = []
"""The blocks that are without the hub."""


@contextmanager
def hub(name: str | None) -> Iterator[None]:
    """A block that may ask the hub: in its client's offline mode when nobody answers there.

    Args:
        name: what is looked for; a folder, or None, is not asked for at the hub.
    """
    if name is None or Path(name).expanduser().is_dir():
        yield
        return
    from huggingface_hub import constants

    if (constants.HF_HUB_OFFLINE and not _WITHOUT) or answers(constants.ENDPOINT):
        yield
        return
    block = object()
    with _LOCK:
        _WITHOUT.append(block)
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        with _LOCK:
            _WITHOUT.remove(block)
            constants.HF_HUB_OFFLINE = bool(_WITHOUT)


def answers(address: str) -> bool:
    """Whether somebody takes a connection at an address, or at the proxy that leads there."""
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme)
    if proxy and parts.hostname and not proxy_bypass(parts.hostname):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), timeout=_TIMEOUT_S):
            return True
    except (OSError, ValueError):
        return False
