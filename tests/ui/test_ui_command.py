"""`imagerag ui` as a command: without its extra, with limits that cannot be, and in a home that cannot be written."""

import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagerag.cli import main
from imagerag.store.data_dir import DataDir
from imagerag.ui.state import kept_secret


@pytest.mark.parametrize("module", ["starlette", "sse_starlette", "uvicorn"])
def test_without_the_extra_it_says_which(module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "ui", "--preset", "sketch", "--no-browser"])
    assert result.exit_code == 2
    assert "imagerag[ui]" in "".join(result.output.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "IMAGERAG_UI_TOKEN"),
        (["--root", "nowhere"], "no such folder"),
        (["--port", "70000"], "70000"),
        (["--token", "short"], "16 ASCII characters"),
    ],
)
def test_what_it_cannot_be_started_with(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGERAG_UI_TOKEN", raising=False)
    command = ["--home", str(tmp_path), "ui", "--preset", "sketch", "--no-browser", *options]
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, message in " ".join(result.output.split())) == (2, True), result.output


def test_open_pages_outlive_a_restart_and_nobody_else_reads_their_key(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "home")
    assert kept_secret(home) == kept_secret(home)
    assert stat.S_IMODE(home.page_key.stat().st_mode) == 0o600
    assert kept_secret(DataDir(tmp_path / "other")) != kept_secret(home)


def test_a_home_that_cannot_be_written_has_pages_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert len(kept_secret(DataDir(tmp_path / "file" / "home"))) == 32
