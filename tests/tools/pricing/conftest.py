"""Prices of the package alone."""

import pytest


@pytest.fixture(autouse=True)
def _no_table_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGERAG_PRICES", "IMAGERAG_HOME", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
