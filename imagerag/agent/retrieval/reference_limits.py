"""Limits on the references of a round: the generator's, the judge's and the user's."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagerag.agent.outcomes import describe_missing
from imagerag.agent.ports import capabilities_of
from imagerag.agent.state import RunState, latest_attempt
from imagerag.agent.types import Search


@dataclass(frozen=True, kw_only=True)
class ReferenceLimits:
    """The limits of a round, whatever it searches with.

    Attributes:
        room: how many references the generator still takes.
        each: references for one missing concept.
        missing: how many concepts are missing: a search with the prompt itself stands for all of them, and takes no
            more than searches for each of them would.
        shown: how many references the judge can be shown; None is any number. Only what is taken beyond the first
            reference of a concept has to fit: without a first one there is nothing to judge.
    """

    room: int
    each: int = 1
    missing: int = 1
    shown: int | None = None

    def of(self, search: Search) -> int:
        """References that one search may give."""
        return self.each * self._stands_for(search)

    def turns(self, searches: Sequence[Search]) -> int:
        """Number of turns in which each search gives a reference."""
        return max(map(self.of, searches), default=0)

    def has_room(self, search: Search, *, count: int, turn: int) -> bool:
        """Whether a search may give another reference in its turn, from 0, after `count` of all searches."""
        if count >= self.room or turn >= self.of(search):
            return False
        return turn < self._stands_for(search) or self.shown is None or count < self.shown

    def _stands_for(self, search: Search) -> int:
        return self.missing if search.query.by == "prompt" else 1


def missing_count(state: RunState) -> int:
    """Number of concepts that are missing in the newest attempt, as far as they were named; 1 where none was."""
    attempt = latest_attempt(state)
    verdict = attempt.verdict if attempt else None
    concepts = verdict.missing if verdict else ()
    return max(1, len(concepts) or len(describe_missing(verdict, state)))


def shown_at_most(judge: object, always_sent: int) -> int | None:
    """References that a judge can be shown beside the judged image and what is always sent; None is any number."""
    most = capabilities_of(judge).max_images
    return None if most is None else max(0, most - 1 - always_sent)
