"""An error about a value names the option, the variable or the line of the file that it came from."""

import json
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.types import RunConfig
from imagerag.cli.generate import generate_command
from imagerag.formatting.interface_terms import option_names
from tests.cli.conftest import Imagerag

NOT_OPTIONS = {"near_duplicate", "retrieve_by", "deadline_at"}


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--max-calls", "0", "at least 1, not 0"),
        ("--max-rounds", "21", "at most 20, not 21"),
        ("--references-per-concept", "0", "at least 1, not 0"),
        ("--seed", "-1", "at least 0, not -1"),
        ("--max-cost-usd", "nan", "it has to be a number that is not infinite"),
        ("--deadline-s", "0", "more than 0, not 0.0"),
        ("--mask-feather", "999", "at most 256, not 999"),
    ],
)
def test_a_value_is_named_as_its_option(imagerag: Imagerag, option: str, value: str, problem: str) -> None:
    result = imagerag("generate", "a red circle", "-q", "--json", option, value)
    assert result.exit_code == 2
    assert result.stderr == f"imagerag: {option}: {problem}\n"
    assert json.loads(result.stdout)["message"] == f"{option}: {problem}"


def test_other_commands_do_so_too(imagerag: Imagerag, tmp_path: Path) -> None:
    assert imagerag("ask", "what", "-q", "--max-calls", "0").stderr.endswith(
        "imagerag: --max-calls: at least 1, not 0\n"
    )
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a red circle", "max_calls": 0}\n')
    batch = ("batch", str(rows), "--out", str(tmp_path / "out"))
    assert "--max-rounds: at most 20" in imagerag(*batch, "--max-rounds", "99").stderr
    assert "--concurrency: 1 to 64" in imagerag(*batch, "--concurrency", "0").stderr
    assert " max_calls: at least 1" in imagerag(*batch).stderr, "the file's own word"


def test_a_variable_is_named_where_the_value_is_from_there(imagerag: Imagerag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGERAG_REFERENCES_PER_CONCEPT", "0")
    assert imagerag("generate", "x").stderr == "imagerag: IMAGERAG_REFERENCES_PER_CONCEPT: at least 1, not 0\n"


def test_every_field_of_a_config_is_an_option() -> None:
    options: set[str] = set()
    for parameter in generate_command.params:
        options |= set(parameter.opts)
    names: dict[str, Any] = option_names(name for name in RunConfig.model_fields if name not in NOT_OPTIONS)
    assert set(names.values()) <= options
