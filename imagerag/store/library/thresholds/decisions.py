"""Decisions of a threshold on queries with a match and on queries without one; held out, by halves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Decisions:
    """Decisions of a threshold.

    Attributes:
        accepted: for each query with a match, whether the match reaches it.
        rejected: kind of queries without a match → for each of them, whether nothing reaches it.
    """

    accepted: "Flags"
    rejected: "Mapping[str, Flags]"

    @classmethod
    def joined(cls, parts: "Sequence[Decisions]") -> "Decisions":
        """The decisions of several parts with the same kinds."""
        import numpy as np

        kinds = parts[0].rejected
        return cls(
            np.concatenate([one.accepted for one in parts]),
            {kind: np.concatenate([one.rejected[kind] for one in parts]) for kind in kinds},
        )


class Evidence(Protocol):
    """Cosines of queries, from which a threshold is derived."""

    def half(self, at: Literal[0, 1]) -> Self:
        """One half of it; the two share no query."""
        ...

    def cosine(self) -> float:
        """The threshold that follows from it."""
        ...

    def decided(self, cosine: float) -> Decisions:
        """The decisions of a threshold on it."""
        ...


def held_out(evidence: Evidence) -> Decisions:
    """The decisions on each half of a threshold that is derived from the other half."""
    one, other = evidence.half(0), evidence.half(1)
    return Decisions.joined([other.decided(one.cosine()), one.decided(other.cosine())])
