"""What records and calls are dated by."""

from datetime import UTC, datetime


def now() -> str:
    """This moment, UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
