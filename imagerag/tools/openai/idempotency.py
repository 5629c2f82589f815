"""The `Idempotency-Key` header, by which services recognise a repeated request."""

from typing import Final

from imagerag.agent.calls.call_context import current_call

HEADER: Final = "Idempotency-Key"


def headers() -> dict[str, str]:
    """The header to send, if a key is set."""
    key = current_call().idempotency_key
    return {HEADER: key} if key else {}
