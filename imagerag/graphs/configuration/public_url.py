"""Addresses under which a LangGraph server shows images: what messages and events carry instead of bytes."""

import os
from typing import Final

PUBLIC_URL: Final = "IMAGERAG_PUBLIC_URL"
"""Where clients reach the server, for one behind a proxy or a tunnel."""
_SERVER: Final = "LANGGRAPH_API_URL"
"""Set by `langgraph dev` to its own address."""


def public_url() -> str:
    """The address of the server without a slash at its end; empty outside of one."""
    return (os.environ.get(PUBLIC_URL) or os.environ.get(_SERVER) or "").rstrip("/")


def image_url(sha256: str) -> str:
    """The address of an image; relative to the server where its address is not known."""
    return f"{public_url()}/images/{sha256}"
