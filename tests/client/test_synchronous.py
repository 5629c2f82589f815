"""The synchronous versions: Ctrl-C ends what they do, inside a running event loop (a notebook), too."""

import asyncio
import threading
from typing import Any

import pytest

from imagerag.client.synchronous import run_sync


async def test_ctrl_c_in_a_notebook_ends_the_run_and_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ends = threading.Event(), list[str]()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ends.append("written")

    join = threading.Thread.join

    def interrupted(thread: threading.Thread, *wait: Any) -> None:
        """Ctrl-C while the first one waits."""
        monkeypatch.setattr(threading.Thread, "join", join)
        begun.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sync(work())
    assert ends == ["written"]
