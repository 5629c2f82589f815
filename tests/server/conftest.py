"""One server for all tests of this folder: it takes seconds to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import copied
from tests.server.serving import served


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, sketch_home: Path) -> Path:
    """The server's home."""
    return copied(sketch_home, tmp_path_factory.mktemp("served") / "home")


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[str]:
    """The address of a server that draws in the sketch world."""
    with served(home) as address:
        yield address
