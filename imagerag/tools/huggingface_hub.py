"""Access to the Hugging Face hub, in offline mode if it is unreachable.

Without a network, the hub's client retries for most of a minute and logs each attempt. If a single connection fails,
the client is restricted to its cache; a missing file is then an error at once.
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
"""The contexts that are in offline mode."""


@contextmanager
def hub(name: str | None) -> Iterator[None]:
    """Context for hub access: in the client's offline mode if the hub is unreachable.

    Args:
        name: the repository; for a folder or None the hub is not contacted.
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
    """Whether an address, or the proxy that leads to it, accepts a connection."""
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
