"""The page on filters: every condition that it shows is one, and every key is one that filters know."""

import re
from pathlib import Path

import pytest

from imagerag.agent.errors import FilterError
from imagerag.agent.types.filters import parse_filter
from imagerag.agent.types.filters.keys import BUILT_IN

PAGE = (Path(__file__).parents[2] / "docs/reference/filters.md").read_text("utf-8")
SHOWN = re.findall(r"--filter '([^']+)'", PAGE) + re.findall(
    r"`([^`]*)`", "".join(line for line in PAGE.splitlines(True) if line.startswith("| `") and "--filter" not in line)
)


@pytest.mark.parametrize("text", [text for text in SHOWN if text not in ("<=", ">", ">=", "not in", "\\*")])
def test_every_condition_shown_can_be_read(text: str) -> None:
    assert parse_filter(text) is not None


def test_every_key_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.partition("## Keys")[2].partition("## Values")[0]))
    assert set(BUILT_IN) - {"tags"} <= named


def test_the_message_shown_is_the_message() -> None:
    shown = PAGE.partition("```text\nimagerag: ")[2].partition("\n```")[0]
    with pytest.raises(FilterError) as caught:
        parse_filter("camera=X100 taken>2020")
    assert str(caught.value) == shown
