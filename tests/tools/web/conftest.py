"""A search service on this machine."""

from collections.abc import Iterator

import pytest

from tests.tools.web.search_server import SearchServer, search_server


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with search_server() as one:
        yield one
