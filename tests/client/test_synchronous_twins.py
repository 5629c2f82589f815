"""Every coroutine of the client has a synchronous twin with the same parameters."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from imagerag import ImageRAG, client


def client_classes() -> list[type]:
    """The classes of all modules of the client."""
    names = [f"{client.__name__}.{module.name}" for module in pkgutil.iter_modules(client.__path__)]
    found = [
        value for name in names for value in vars(importlib.import_module(name)).values() if inspect.isclass(value)
    ]
    return [one for one in dict.fromkeys(found) if one.__module__ in names]


CLASSES = client_classes()


def coroutines(of: type) -> list[str]:
    return [name for name, value in vars(of).items() if inspect.iscoroutinefunction(value) and not name.startswith("_")]


def test_the_classes_are_found() -> None:
    known = {"ImageRAG", "RunsAPI", "RunStorageAPI", "RunSteeringAPI", "LibrariesAPI", "QAClient"}
    assert known <= {one.__name__ for one in CLASSES}


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
