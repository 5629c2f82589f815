"""Where the hub does not answer, its client looks into its cache alone, and does not try for a minute."""

import socket
from pathlib import Path

import pytest
from huggingface_hub import constants

from imagerag.agent.errors import BackendError
from imagerag.tools.generators.diffusers import weight_sources
from imagerag.tools.huggingface_hub import answers, hub


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody answers, as the hub's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return address


def test_without_the_hub_its_client_is_offline_and_afterwards_as_it_was(nobody: str) -> None:
    with hub("somebody/model"):
        assert constants.HF_HUB_OFFLINE
        with hub("somebody/other"):
            assert constants.HF_HUB_OFFLINE
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_with_the_hub_nothing_is_changed(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with hub("somebody/model"):
            assert not constants.HF_HUB_OFFLINE


def test_a_folder_is_not_asked_for(nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagerag.tools.huggingface_hub.answers", lambda _: pytest.fail("it was asked"))
    for name in (None, str(tmp_path)):
        with hub(name):
            assert not constants.HF_HUB_OFFLINE


def test_the_proxy_is_who_must_answer(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        assert answers("https://hub.invalid")
    assert not answers(nobody)


def test_a_model_that_is_not_here_is_an_error_without_tries(
    nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits to try again"))
    with pytest.raises(BackendError, match="Without a network"):
        weight_sources._class_name("somebody/model")
