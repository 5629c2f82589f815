"""`ask --compare`: what a model says with and without the library stands side by side, in a terminal and on paper."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from imagerag.cli.terminal.columns import beside
from imagerag.cli.terminal.output import wrapped
from imagerag.cli.terminal.text_width import width
from imagerag.schemas import schema
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse

Imagerag = Callable[..., Result]
WITH = "Medic Kit 4 costs the most of all [1]: 120.49 dollars, and nothing else in the catalogue comes near it."
WITHOUT = "I have not seen the catalogue | <b>so I cannot know</b>, but watches are often dear."
QUESTION = "What is the most expensive product?"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-loopback")
    monkeypatch.setenv("COLUMNS", "80")
    with MockOpenAIServer() as running:
        cited = {"citations": [{"source": 1, "supports": "price 120.49"}], "held": True, "answer": WITH}
        running.enqueue("chat", MockResponse(text=json.dumps(cited)), MockResponse(text=WITHOUT))
        yield running


def asked(imagerag: Imagerag, server: MockOpenAIServer, *more: object) -> Result:
    return imagerag(
        "ask",
        QUESTION,
        "--compare",
        "--preset",
        "sketch",
        "--answerer",
        f"openai:loopback@{server.base_url}",
        "-q",
        *more,
    )


def test_both_stand_side_by_side_in_eighty_columns(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    result = asked(imagerag, server)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    sides = [line for line in lines if "│" in line]
    assert [side.strip() for side in sides[0].split("│")] == ["with the library", "without the library"]
    left, right = (" ".join(line.split("│")[at].strip() for line in sides[1:]).strip() for at in (0, 1))
    assert (left, right) == (WITH, WITHOUT.replace("|", "|"))
    assert max(map(width, lines)) <= 80
    assert len({line.index("│") for line in sides}) == 1


def test_one_record_has_both_calls_in_their_order(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    record = json.loads(asked(imagerag, server, "--json", "-k", "2").stdout)
    calls = [(call["order"], call["retrieval"], call["sources"], call["completed"]) for call in record["asked"]]
    assert calls == [(1, True, [1, 2], True), (2, False, [], True)]
    assert len(server.requests[0].images) == 2
    assert not server.requests[1].images
    assert record["calls"] == {"answer": 1, "answer.without": 1}
    described = schema("answer")
    assert {"asked", "images", "by", "baseline_answer"} <= set(described["properties"])


def test_both_calls_are_in_one_budget(imagerag: Imagerag, server: MockOpenAIServer) -> None:
    record = json.loads(asked(imagerag, server, "--json", "--max-calls", "1").stdout)
    assert (record["answer"], server.count()) == (WITH, 1)
    assert "1 model call" in record["baseline_answer"]["reason"]


def test_it_is_one_page(imagerag: Imagerag, server: MockOpenAIServer, tmp_path: Path) -> None:
    page = tmp_path / "answer.html"
    assert asked(imagerag, server, "--out", page, "-k", "2").exit_code == 0
    html = page.read_text(encoding="utf-8")
    assert 'class="replies"' in html
    assert html.index("with the library") < html.index(WITH) < html.index("without the library")
    assert "&lt;b&gt;so I cannot know" in html
    assert "<b>so" not in html
    assert "<script" not in html
    assert "1. with the library: openai:loopback" in html
    assert "2. without the library: openai:loopback" in html
    assert "shown the question alone" in html


def test_it_is_one_markdown_document(imagerag: Imagerag, server: MockOpenAIServer, tmp_path: Path) -> None:
    file = tmp_path / "answer.md"
    assert asked(imagerag, server, "--out", file, "-k", "2").exit_code == 0
    text = file.read_text(encoding="utf-8")
    assert "| with the library | without the library |" in text
    assert "catalogue \\| \\<b\\>so I cannot know" in text
    assert "| **[1]** | Medic Kit 4 |" in text
    assert asked(imagerag, server, "--out", file).exit_code == 2


def test_a_narrow_terminal_shows_one_below_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = list(beside("one", "two", titles=("left", "right"), styles=(str, str)))
    assert [line.split("m")[-1] if "\x1b" not in line else line for line in lines][1::2] == ["one", "two"]


@pytest.mark.parametrize("text", ["", "a" * 100, "日本語の長い文章" * 9, "a b  c", "x" * 38 + " y"])
def test_no_line_is_wider_than_its_column(text: str) -> None:
    lines = wrapped(text, 38)
    assert all(width(line) <= 38 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
