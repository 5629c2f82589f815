"""Before a call the journal is asked two things at once: what was answered, and what was never answered."""

import asyncio
from typing import Any

from imagerag.agent.calls.journal import FailedCall, JournalEntry
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.ports import Captions
from imagerag.agent.types import ModelCall, RunConfig

LOST = ModelCall(role="generate", backend="b", elapsed_s=0, request="r", completed=False, call_id="lost")


class Journal:
    """One that answers neither question before it was asked both; a run left a call behind."""

    def __init__(self) -> None:
        self.both = asyncio.Barrier(2)
        self.finds = 0

    async def find(self, key: str, *, run_id: str | None) -> JournalEntry | None:
        self.finds += 1
        if self.finds == 1:
            await asyncio.wait_for(self.both.wait(), 30)
        return None

    async def unanswered(self, run_id: str) -> list[FailedCall]:
        await asyncio.wait_for(self.both.wait(), 30)
        return [FailedCall(run_id=run_id, call=LOST, at="2026-01-01T00:00:02+00:00")]

    async def keep_lost(self, lost: FailedCall) -> None:
        """It is noted."""

    async def keep(self, entry: JournalEntry, **_: Any) -> None:
        """It is kept."""


async def test_what_was_left_behind_is_booked_before_the_call_is_made() -> None:
    journal: Any = Journal()
    calls = ModelCaller(
        config=RunConfig(max_calls=3), journal=journal, run_id="run", task="t", before=[], round=0, failed={}
    )
    booked: list[list[str]] = []

    async def ask() -> Captions:
        booked.append([call.call_id for call in calls.made])
        return Captions()

    for _ in range(2):
        await calls.execute("judge.ask", "b", Captions, {"words": "?"}, ask)
    assert booked[0] == ["lost"]
    assert [call.completed for call in calls.made] == [False, True, True]
    assert journal.finds == 2
