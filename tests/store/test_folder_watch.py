"""Changes below folders are told once things are quiet, and what is never indexed is not told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from imagerag.store.library import folder_watch
from imagerag.store.library.folder_watch import changes


async def test_changes_are_told_together_and_without_what_is_left_out(
    tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "QUIET_MS", 300)
    (tmp_path / "drafts").mkdir()
    watched = changes([tmp_path], ["drafts"])
    coming = asyncio.ensure_future(anext(watched))
    wanted = {tmp_path / f"{mark}.png" for mark in range(5)}
    for _ in range(50):  # until the watcher has begun
        (tmp_path / ".hidden.png").write_bytes(b"")
        (tmp_path / "drafts" / "a.png").write_bytes(picture("red"))
        for file in sorted(wanted):
            file.write_bytes(picture("red"))
        await asyncio.sleep(0.2)
        if coming.done():
            break
        await asyncio.wait([coming], timeout=1)
        if coming.done():
            break
    assert await coming == wanted
    await watched.aclose()
