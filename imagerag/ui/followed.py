"""What pages follow: it counts its changes, and whoever follows it learns of each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(eq=False, kw_only=True)
class Followed:
    """Something that changes for a while, and then has ended.

    Attributes:
        changes: how many times something happened.
        ended: whether it has ended.
    """

    changes: int = 0
    ended: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def change(self, seen: int, *, within_s: float | None) -> bool:
        """Wait until more has happened than `seen` times; False when nothing did within the seconds."""
        if self.changes == seen and not self.ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), within_s)
        return self.changes > seen

    async def follow(self, *, beat_s: float, pause_s: float = 0.0) -> AsyncIterator[int]:
        """The number of changes, at each of them and every `beat_s` seconds, until it has ended.

        Args:
            pause_s: seconds between two numbers at least.
        """
        seen = -1
        while not (self.ended and seen == self.changes):
            if seen >= 0:
                await self.change(seen, within_s=beat_s)
                if pause_s and not self.ended:
                    await asyncio.sleep(pause_s)
            seen = self.changes
            yield seen

    def tell(self) -> None:
        """Something happened."""
        self.changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
