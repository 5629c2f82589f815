"""A run of the sketch world, as anybody has it: what found nothing is asked for twice more, and all doors show it."""

import json
from pathlib import Path
from typing import Any

from imagerag import ImageRAG
from imagerag.agent.run_record import RunRecord
from imagerag.cli.demo import ESCALATING

Imagerag = Any

NOTES = [
    "asked again in other words (seed 1; the judge takes no temperature)",
    "asked again in other words (seed 2; the judge takes no temperature)",
]


def test_the_demo_shows_two_further_asks_before_the_prompt_is_searched(imagerag: Imagerag, tmp_path: Path) -> None:
    result = imagerag("demo", "--escalate", "--out", tmp_path / "demo")
    record = RunRecord.model_validate(json.loads((tmp_path / "demo" / "run.json").read_text()))
    assert record.prompt == ESCALATING
    assert record.outcome == "no_usable_reference"
    assert [(search.query.by, search.query.ask) for search in record.searches] == [
        ("caption", 0), ("caption", 1), ("caption", 2), ("prompt", 0),
    ]  # fmt: skip
    assert len({search.query.text for search in record.searches}) == 4
    assert [search.query.note for search in record.searches[1:3]] == NOTES
    asked = [call.variation for call in record.call_log if call.role == "judge.missing_concepts"]
    assert [(v.attempt, v.varied_parameter, v.prompt_variant) for v in asked] == [
        (1, "seed_and_wording", 1),
        (2, "seed_and_wording", 2),
    ]
    lines = result.stdout.splitlines()
    told = [n for n, line in enumerate(lines) if "asked again in other words" in line and "list missing" in line]
    whole = [n for n, line in enumerate(lines) if "search with the prompt itself" in line]
    assert len(told) == 2
    assert whole
    assert max(told) < whole[0]
    report = (tmp_path / "demo" / "report.html").read_text()
    assert all(note.split(" (")[0] in report for note in NOTES)


async def test_the_events_and_the_steps_tell_each_ask(home: Path) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    nodes = [event.node async for event in rag.stream(ESCALATING) if event.kind == "step"]
    ask = ["extract_concepts", "write_captions", "retrieve", "shortlist"]
    assert nodes == ["generate", "critique", *ask, *ask, *ask, "retrieve", "shortlist", "finish"]
    record = (await rag.runs.list())[0]
    steps = await rag.runs.steps(record.run_id)
    named = [step for step in steps if step.node == "extract_concepts"]
    assert [len(step.calls) for step in named] == [0, 1, 1]


def test_generate_tells_how_it_asks_again(imagerag: Imagerag) -> None:
    result = imagerag("generate", "a black solid hexagon")
    assert result.stderr.count("asked again in other words") == 2
    shown = imagerag("show", "last")
    assert shown.output.count("asked again in other words") >= 2
