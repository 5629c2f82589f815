"""What pages follow: it counts its changes, and whoever follows it learns of each."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from imagerag.agent.errors import ImageRAGError

log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Followed:
    """Something that changes for a while, and then has ended.

    Attributes:
        changes: how many times something happened.
        ended: whether it has ended.
        error: why it broke off, or could not begin.
    """

    changes: int = 0
    ended: bool = False
    error: str = ""
    _task: "asyncio.Task[None] | None" = field(default=None, repr=False)
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

    @contextmanager
    def noting_failure(self, what: str) -> Iterator[None]:
        """Note an error as `error` in place of raising it; one that nobody foresaw is logged as that of `what`."""
        try:
            yield
        except ImageRAGError as error:
            self.error = str(error)
        except Exception as error:
            log.exception("%s failed", what)
            self.error = f"the server failed ({type(error).__name__}); its log says more"

    def tell(self) -> None:
        """Something happened."""
        self.changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
