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


def test_no_text_is_made_of_a_result_which_may_have_a_million_parts() -> None:
    texts = list[str]()

    class Large:
        def __repr__(self) -> str:
            texts.append("a gigabyte")
            return texts[0]

    async def work() -> Large:
        return Large()

    assert isinstance(run_sync(work()), Large)
    assert not texts  # asyncio.run up to Python 3.12.0 makes one of what a coroutine returns
