"""The header by which services that know it are told that two requests are the same one."""

from typing import Final

from imagerag.agent.calls.idempotency import current_idempotency_key

HEADER: Final = "Idempotency-Key"


def headers() -> dict[str, str]:
    """The header to send, if a key is set."""
    key = current_idempotency_key()
    return {HEADER: key} if key else {}
