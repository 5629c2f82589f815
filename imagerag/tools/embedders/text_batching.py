"""Text encoding with a cache, in which concurrent calls are encoded as one batch."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Row = NDArray[np.float32]

_GATHER_S = 0.002
"""Time that the worker waits for more calls before it encodes, in seconds; far less than a text tower needs."""


class TextEncoder:
    """Encodes texts on one worker, from any thread and any event loop.

    A graph searches once per caption, concurrently, and each search encodes one text; a batch of them costs little more
    than one. Nothing here is bound to an event loop, so each run may have its own.

    Args:
        encode: encodes distinct texts to vectors `(len(texts), dimension)`; called only in the worker.
        worker: an executor with one thread.
        keep: number of cached texts; the least recently used are dropped first.
    """

    def __init__(self, encode: "Callable[[list[str]], Row]", worker: Callable[[], Executor], *, keep: int) -> None:
        self._encode, self._worker, self._keep = encode, worker, keep
        self._lock = Lock()
        self._kept: OrderedDict[str, Row] = OrderedDict()
        self._waiting: list[tuple[list[str], Future[dict[str, Row]]]] = []

    async def rows(self, texts: Sequence[str]) -> "list[Row]":
        """One vector per text."""
        with self._lock:
            row_by_text = self._take({*texts})
            unknown = list(dict.fromkeys(text for text in texts if text not in row_by_text))
            answer: Future[dict[str, Row]] = Future()
            if unknown:
                self._waiting.append((unknown, answer))
        if unknown:
            self._worker().submit(self._drain)
            encoded = await asyncio.wrap_future(answer)
            row_by_text.update(encoded)
        return [row_by_text[text] for text in texts]

    def _take(self, texts: set[str]) -> "dict[str, Row]":
        rows = {text: self._kept[text] for text in texts if text in self._kept}
        for text in rows:
            self._kept.move_to_end(text)
        return rows

    def _drain(self) -> None:
        """Encode all waiting texts. Each call queues one of these; the first to run encodes the texts of all."""
        with self._lock:
            if not self._waiting:
                return
        time.sleep(_GATHER_S)
        with self._lock:
            calls, self._waiting = self._waiting, []
            unique_texts = {text: None for texts, _ in calls for text in texts}
            rows = self._take({*unique_texts})
        # A cancelled caller must not cancel the others.
        calls = [call for call in calls if call[1].set_running_or_notify_cancel()]
        try:
            new = [text for text in unique_texts if text not in rows]
            rows |= dict(zip(new, self._encode(new), strict=True)) if new else {}
        except BaseException as error:
            for _, answer in calls:
                answer.set_exception(error)
            return
        self._keep_all(rows)
        for texts, answer in calls:
            answer.set_result({text: rows[text] for text in texts})

    def _keep_all(self, rows: "dict[str, Row]") -> None:
        with self._lock:
            for text, row in rows.items():
                row.flags.writeable = False
                self._kept[text] = row
                self._kept.move_to_end(text)
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
