"""Variables come from a file where the user names it, and from no `.env` that merely lies there."""

import os
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import UsageError
from imagerag.graphs.configuration.env_file import load_env_file
from tests.cli.conftest import Imagerag, document, one_line

NAMES = ("IMAGERAG_JUDGE", "IMAGERAG_GENERATOR", "IMAGERAG_ENV_FILE", "ONE", "TWO", "THREE", "FOUR", "OPENAI_API_KEY")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these is set, and what a test sets is gone after it."""
    for name in NAMES:
        monkeypatch.setenv(name, "set")
        monkeypatch.delenv(name)


def judge_of(doctor: dict[str, Any]) -> tuple[str, str]:
    """The judge that is configured, and where it was."""
    (found,) = (one for one in doctor["settings"] if one["name"] == "judge")
    return found["value"], found["origin"]


def test_an_option_and_a_variable_name_the_file(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.env").write_text("IMAGERAG_JUDGE=clip:sketch\n")
    found = document(imagerag("--env-file", tmp_path / "keys.env", "doctor", "--json"))
    assert judge_of(found) == ("clip:sketch", "environment")
    monkeypatch.delenv("IMAGERAG_JUDGE")
    monkeypatch.setenv("IMAGERAG_ENV_FILE", str(tmp_path / "keys.env"))
    assert judge_of(document(imagerag("doctor", "--json"))) == ("clip:sketch", "environment")


def test_python_hears_the_variable(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys.env").write_text("IMAGERAG_JUDGE=clip:sketch\n")
    monkeypatch.setenv("IMAGERAG_ENV_FILE", str(tmp_path / "keys.env"))
    assert ImageRAG(home=home).settings.judge == "clip:sketch"


def test_a_file_that_nobody_named_is_not_read(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("IMAGERAG_JUDGE=clip:sketch\nOPENAI_API_KEY=sk-of-somebody\n")
    assert judge_of(document(imagerag("doctor", "--json"))) == ("sketch", "preset sketch")
    assert "OPENAI_API_KEY" not in os.environ


def test_what_is_set_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "mine")
    file = tmp_path / "keys.env"
    file.write_bytes(
        b"\xef\xbb\xbf# keys\nONE=theirs\nexport TWO=\"a b\" # said\n\nTHREE='${HOME}'\nFOUR=${ONE}x\r\nFIVE_IS_NOT=\n"
    )
    monkeypatch.setenv("FIVE_IS_NOT", "kept")
    assert load_env_file(file) == ["TWO", "THREE", "FOUR"]
    assert (os.environ["ONE"], os.environ["TWO"], os.environ["THREE"]) == ("mine", "a b", "${HOME}")
    assert os.environ["FOUR"] == "${ONE}x"  # as it is written
    assert load_env_file() == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"ONE\n", "line 1 is not NAME=value"),
        (b"TWO=2\nsk-a-secret-key alone\n", "line 2 is not NAME=value"),
        (b"ONE='never closed\n", "line 1 is not NAME=value"),
        (b"ONE=\xff\xfe\n", "not UTF-8"),
        (b"ONE=a\0b\n", "no file of variables"),
    ],
)
def test_what_is_no_such_file_is_said_without_its_content(
    imagerag: Imagerag, tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "keys.env").write_bytes(content)
    said = one_line(imagerag("--env-file", tmp_path / "keys.env", "runs"))
    assert why in said
    assert "secret" not in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.env"):
        with pytest.raises(UsageError, match="is not a file"):
            load_env_file(path)
