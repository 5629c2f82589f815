"""The list of runs is made anew where it was lost, and never while another run makes it."""

from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.graphs.runs import reindexing
from imagerag.graphs.runs.reindexing import ensure_indexed
from imagerag.store.run_index import RunIndex


async def test_a_list_that_another_run_makes_meanwhile_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dependencies = ImageRAG(preset="sketch", home=tmp_path).dependencies
    other = RunIndex(dependencies.home.run_list)
    async with other.kept_open():
        await other.upsert("theirs", prompt="a red circle", status="running")
        monkeypatch.setattr(dependencies.runs, "is_lost", lambda: True)  # as it was a moment ago
        log = dependencies.home.run_list.with_name("run_list.sqlite-wal")
        assert log.stat().st_size, "what was written is in the log alone"
        await ensure_indexed(dependencies)
        assert log.stat().st_size
        monkeypatch.undo()
        await other.upsert("theirs-too", prompt="a blue star", status="running")
        assert {run.run_id for run in await dependencies.runs.list(None)} == {"theirs", "theirs-too"}
    assert {run.run_id for run in await dependencies.runs.list(None)} == {"theirs", "theirs-too"}


async def test_an_emptied_list_goes_with_its_log(tmp_path: Path) -> None:
    dependencies = ImageRAG(preset="sketch", home=tmp_path).dependencies
    path = dependencies.home.run_list
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
    path.write_bytes(b"")
    for file in files[1:]:
        file.write_bytes(b"what was left")
    await ensure_indexed(dependencies)
    assert not any(file.exists() for file in files)
    reindexing._remove_empty(path)  # whoever waited for the lock finds nothing to do
