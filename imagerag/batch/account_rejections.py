"""Lines in a row that an account rejects: for want of a key or of money, every further one would be, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from imagerag.agent.errors import AuthError, ImageRAGError, QuotaError
from imagerag.batch.results import BatchResult

MOST: Final = 5
"""Rejected lines in a row before a batch stops."""

_ERRORS: Final[Mapping[str | None, type[ImageRAGError]]] = {"AuthError": AuthError, "QuotaError": QuotaError}


@dataclass
class AccountRejections:
    """Counts the results in a row that an account rejected."""

    _in_a_row: int = field(default=0, init=False)

    def add(self, result: BatchResult) -> ImageRAGError | None:
        """Count a result; gives the error to stop with when there were too many."""
        kind = _ERRORS.get(result.error)
        self._in_a_row = self._in_a_row + 1 if kind else 0
        if kind is None or self._in_a_row < MOST:
            return None
        return kind(f"{self._in_a_row} lines in a row were rejected, so no other was begun: {result.reason}")
