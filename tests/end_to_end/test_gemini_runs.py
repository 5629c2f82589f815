"""Whole runs on the Gemini API's form over HTTP: drawn, judged, drawn again with references, credited, replayed."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from imagerag import ImageRAG
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, WebSource
from imagerag.assistants.run_results import run_result
from imagerag.cli import main
from imagerag.cli.demo import PROMPT
from imagerag.cli.run_text import source_lines
from imagerag.files.sidecar import Sidecar
from imagerag.formatting.labels import WEB_SOURCES
from imagerag.tools.testing.mock_gemini import MockGeminiServer
from imagerag.tools.testing.mock_openai import MockResponse, Raw, RecordedRequest, SketchResponder

pytest.importorskip("google.genai")

TITLE = "<b>Split</b> crescents"
PAGE = "https://moons.example/split?a=1&b=2"
FOUND = {"groundingChunks": [{"web": {"uri": PAGE, "title": TITLE}}], "webSearchQueries": ["split crescent"]}


class Searching:
    """The sketch world, whose drawings say that they are grounded."""

    def __init__(self) -> None:
        self.sketch = SketchResponder()

    def __call__(self, request: RecordedRequest) -> MockResponse:
        """A response with sources if the request has the tool."""
        answer = self.sketch(request)
        searches = "tools" in request.sent  # type: ignore[attr-defined]
        return replace(answer, message={"groundingMetadata": FOUND}) if searches else answer


@pytest.fixture
def server() -> Iterator[MockGeminiServer]:
    """A service in the sketch world."""
    with MockGeminiServer(Searching()) as loopback:
        yield loopback
    assert loopback.errors == []


def specs(server: MockGeminiServer) -> dict[str, str]:
    """Generator and judge on the service."""
    return {
        "generator": f"gemini:gemini-3.1-flash-image?grounding=web@{server.base_url}",
        "judge": f"gemini:gemini-3.5-flash@{server.base_url}",
    }


def commanded(home: Path, *words: str) -> str:
    """The output of a command that succeeded."""
    made = CliRunner().invoke(main, ["--home", str(home), *words])
    assert made.exit_code == 0, made.output
    return made.stdout


async def test_a_run_is_aligned_credited_everywhere_and_replayed_without_a_request(
    server: MockGeminiServer, home: Path
) -> None:
    rag = ImageRAG(preset="sketch", home=home, **specs(server))
    record = await rag.generate(PROMPT)
    assert record.outcome is Outcome.ALIGNED, record.reason
    assert [one.title for one in record.sources] == [TITLE]
    assert record.references
    assert server.requests[-2].images, "the second drawing had a reference"
    assert record.cost_usd is not None
    assert record.cost_usd > 2 * (1120 * 60e-6 + 0.014)
    _check_credits(record)
    shown = await asyncio.to_thread(commanded, home, "show", record.run_id)
    assert WEB_SOURCES in shown
    assert PAGE in shown
    before = server.count()
    again = await rag.runs.replay(record.run_id, 1)
    assert again.canonical() == record.canonical()
    assert server.count() == before
    _check_page(await rag.runs.report(record))


def test_a_long_name_of_a_source_leaves_its_address_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = "https://moons.example/" + "p" * 50
    sources = [WebSource(title="a moon " * 20, page=page), WebSource(title="b", page=PAGE)]
    name, below, short = map(click.unstyle, source_lines(sources))
    assert len(name) <= 80
    assert below.strip() == page
    assert short.split() == ["~", "b", PAGE]


def _check_credits(record: RunRecord) -> None:
    """The sidecar, the JSON document, an assistant's text and a notebook name the sources, and escape their words."""
    assert [one.page for one in Sidecar.of(record).sources] == [PAGE]
    assert record.as_json()["sources"][0]["title"] == TITLE
    told = run_result(record)
    assert WEB_SOURCES.capitalize() in told.text
    assert f'"{TITLE}" {PAGE}' in told.text
    assert told.data["sources"] == [{"title": TITLE, "page": PAGE, "image": ""}]
    _check_html(record._repr_html_())


def _check_html(page: str) -> None:
    assert "<b>Split" not in page
    assert "&lt;b&gt;Split&lt;/b&gt; crescents" in page


def _check_page(page: str) -> None:
    _check_html(page)
    assert WEB_SOURCES.capitalize() in page
    assert 'href="https://moons.example/split?a=1&amp;b=2" rel="noreferrer noopener nofollow"' in page


@pytest.mark.parametrize(
    "body",
    [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, {"candidates": [{"finishReason": "IMAGE_SAFETY"}]}],
    ids=["prompt", "image"],
)
async def test_a_block_ends_a_run_refused_after_one_request(
    server: MockGeminiServer, home: Path, body: dict[str, Any]
) -> None:
    server.enqueue("chat", Raw(200, body))
    record = await ImageRAG(preset="sketch", home=home, **specs(server)).generate(PROMPT)
    assert record.outcome is Outcome.REFUSED
    assert server.count() == 1


def test_a_dry_run_knows_the_price_and_sends_nothing(server: MockGeminiServer, home: Path) -> None:
    chosen = {**specs(server), "generator": f"gemini:gemini-3.1-flash-image@{server.base_url}"}
    backends = [word for role, spec in chosen.items() for word in (f"--{role}", spec)]
    told = json.loads(commanded(home, "generate", PROMPT, "--library", "sketch", *backends, "--dry-run", "--json"))
    assert told["priced"]
    assert told["max_cost_usd"] > 0
    assert server.count() == 0
