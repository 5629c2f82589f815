"""A library's file is gone: the run goes on with the next best picture, and what it sent before is kept by it."""

from typing import Any

import pytest

from imagerag.agent.errors import BlobError
from imagerag.agent.types import Outcome
from tests.scripted_runs import scripted_spec

CAPTION = "a detailed picture of a heart"
GONE = "/pictures/heart.png is gone since it was indexed. Type: `rag.libraries.index('/pictures', library='scripted')`"


@pytest.fixture
def stocked(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three pictures that pass; `stage.missing` holds the ids of those whose files are gone."""
    stage.hits = [stage.library.plant(CAPTION, similarity=similarity) for similarity in (0.9, 0.8, 0.7)]
    stage.judge.enqueue(["a heart"], [])
    stage.missing = set()
    read = stage.library.image_bytes

    async def image_bytes(sha256: str) -> bytes:
        if sha256 in stage.missing:
            raise BlobError(GONE)
        return bytes(await read(sha256))

    async def encode_for_model(sha256: str) -> tuple[bytes, str]:
        return await image_bytes(sha256), "image/png"

    monkeypatch.setattr(stage.library, "image_bytes", image_bytes)
    monkeypatch.setattr(stage.library, "encode_for_model", encode_for_model)
    return stage


async def run(stage: Any, **config: Any) -> Any:
    return [event async for event in stage.runner.start("a heart", scripted_spec(**config))][-1].record


def found(record: Any) -> list[str | None]:
    return [candidate.decision for candidate in record.searches[0].candidates]


async def test_the_next_best_takes_its_place_and_the_reason_is_noted(stocked: Any) -> None:
    first, second, _ = (hit.sha256 for hit in stocked.hits)
    stocked.missing = {first}
    record = await run(stocked)
    assert found(record) == ["missing_file", "taken", "reserve"]
    assert record.searches[0].note == GONE
    assert [one.image.sha256 for one in record.references] == [second]
    assert record.outcome == Outcome.ALIGNED


async def test_none_is_left_and_the_run_ends_with_that_reason(stocked: Any) -> None:
    stocked.missing = {hit.sha256 for hit in stocked.hits}
    record = await run(stocked, max_rounds=1)
    assert found(record) == ["missing_file"] * 3
    assert "missing_file" in record.causes
    assert "the file is gone or was changed" in record.reason


async def test_what_was_sent_is_kept_by_the_run(stocked: Any) -> None:
    record = await run(stocked)
    (sent,) = record.references
    stocked.missing = {hit.sha256 for hit in stocked.hits}
    assert (await stocked.runner.dependencies.blobs.get(sent.image.sha256))[:4] == b"\x89PNG"
    drawn = len(stocked.generator.calls)
    again = await run(stocked, cache="replay")
    assert [one.image for one in again.references] == [sent.image]
    assert len(stocked.generator.calls) == drawn


async def test_what_is_missing_is_not_offered(stocked: Any) -> None:
    stocked.missing = {stocked.hits[1].sha256}
    events = [event async for event in stocked.runner.start("a heart", scripted_spec(select=True))]
    offered = [one for search in events[-1].record.searches for one in search.candidates]
    assert [one.decision for one in offered] == ["offered", "missing_file", "offered"]
