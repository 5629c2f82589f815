"""The token of the MCP server comes from a file or a variable; on the command line others can read it."""

import os
from pathlib import Path

import pytest

from imagerag import UsageError
from imagerag.cli.access_token import access_token

TOKEN = "0123456789abcdefSECRET"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGERAG_MCP_TOKEN", raising=False)


def kept(folder: Path, text: str = f"{TOKEN}\n", mode: int = 0o600) -> str:
    file = folder / "token"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_a_file_holds_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access_token(None, kept(tmp_path), "IMAGERAG_MCP_TOKEN") == TOKEN
    assert capsys.readouterr().err == ""


def test_a_variable_holds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert access_token(None, None, "IMAGERAG_MCP_TOKEN") is None
    monkeypatch.setenv("IMAGERAG_MCP_TOKEN", "from the environment")
    assert access_token(None, None, "IMAGERAG_MCP_TOKEN") == "from the environment"
    assert access_token(None, kept(tmp_path), "IMAGERAG_MCP_TOKEN") == TOKEN


def test_on_the_command_line_it_is_taken_with_a_warning_that_does_not_repeat_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert access_token(TOKEN, None, "IMAGERAG_MCP_TOKEN") == TOKEN
    said = capsys.readouterr().err
    assert "process list" in said
    assert "--token-file" in said
    assert TOKEN not in said


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_file_that_others_can_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert access_token(None, kept(tmp_path, mode=0o644), "IMAGERAG_MCP_TOKEN") == TOKEN
    assert "chmod 600" in capsys.readouterr().err


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for given, file, why in (
        (TOKEN, kept(tmp_path), "give one of them"),
        (None, str(tmp_path / "none"), "cannot be read"),
        (None, kept(tmp_path, " \n"), "is empty"),
    ):
        with pytest.raises(UsageError, match=why):
            access_token(given, file, "IMAGERAG_MCP_TOKEN")
