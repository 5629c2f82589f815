"""Every coroutine of the client has a synchronous twin with the same parameters."""

import inspect
from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.client.libraries import LibrariesAPI
from imagerag.client.library_maintenance import LibraryMaintenance
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.library_snapshots import SnapshotsAPI
from imagerag.client.qa import QAClient
from imagerag.client.runs import RunsAPI

CLASSES = (ImageRAG, RunsAPI, LibrariesAPI, LibraryMaintenance, LibraryOpening, SnapshotsAPI, QAClient)


def coroutines(of: type) -> list[str]:
    return [name for name, value in vars(of).items() if inspect.iscoroutinefunction(value) and not name.startswith("_")]


@pytest.mark.parametrize(
    ("of", "name"),
    [(of, name) for of in CLASSES for name in coroutines(of) if name not in getattr(of, "__abstractmethods__", ())],
)
def test_a_coroutine_has_a_twin(of: type, name: str) -> None:
    twin = getattr(of, f"{name.rstrip('_')}_sync")
    assert inspect.signature(twin) == inspect.signature(getattr(of, name))
    assert not inspect.iscoroutinefunction(twin)
    assert twin.__doc__.startswith(f"`{name}`")


def test_a_twin_works_outside_of_an_event_loop(tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path)
    assert rag.runs.list_sync() == []
    assert rag.libraries.list_sync() == []


async def test_a_twin_works_inside_of_an_event_loop(tmp_path: Path) -> None:
    assert ImageRAG(preset="sketch", home=tmp_path).runs.list_sync(limit=1) == []
