"""Feedback over HTTP: the image that is sent to be changed, the words, and what the judge is asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG, Outcome
from imagerag.tools.testing.mock_openai import MockOpenAIServer, SketchResponder
from tests.cli.conftest import Imagerag, document, one_line
from tests.conftest import copied

PROMPT = "a red solid circle and a blue solid star on a mint background"


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer(SketchResponder()) as loopback:
        yield loopback
    assert loopback.errors == []


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_the_image_is_edited_and_judged_by_the_words(
    server: MockOpenAIServer, sketch_home: Path, tmp_path: Path, mode: Any
) -> None:
    rag = ImageRAG(
        preset="sketch",
        generator=f"openai:gpt-image-2@{server.base_url}",
        judge=f"openai:some-vlm?max_images=9@{server.base_url}",
        library=None,
        home=copied(sketch_home, tmp_path / "home"),
    )
    first = await rag.generate(PROMPT, judge_mode=mode, max_rounds=0)
    assert first.outcome is Outcome.ALIGNED
    record = await rag.runs.continue_(first.run_id, feedback="make the circle green", more_rounds=0)
    (edit,) = server.of("images.edit")
    assert edit.images[0].data == await rag.runs.image_bytes(first.image.sha256)
    assert "make the circle green" in edit.prompt
    assert "blue solid star" not in edit.prompt
    asked = server.of("chat")[-1].prompt
    assert "make the circle green" in asked
    assert PROMPT in asked
    assert record.outcome is Outcome.ALIGNED, record.reason
    kinds = [check.requirement.kind for check in record.attempts[0].verdict.checks]
    assert kinds == (["content", "style", "feedback", "kept"] if mode == "fused" else [])
    assert sum(record.calls.values()) == 2


def test_it_is_said_at_the_command_line_and_shown(imagerag: Imagerag, tmp_path: Path) -> None:
    assert imagerag("generate", PROMPT).exit_code == 0
    told = document(imagerag("continue", "last", "--feedback", "make the circle green", "--json", "--out", "green.png"))
    assert (told["outcome"], told["feedback"]) == ("aligned", ["make the circle green"])
    shown = imagerag("show", "last").stdout
    assert "feedback    “make the circle green”" in shown
    assert "(your feedback)" in imagerag("show", "last", "--rounds").stdout
    assert imagerag("report", "last", "--out", "report.html").exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("make the circle green") >= 3
    assert "Changed image" in page
    assert "feedback" in imagerag("diff", told["parent_run"]["run_id"], told["run_id"]).stdout
    assert "the feedback is empty" in one_line(imagerag("continue", "last", "--feedback", " "))
