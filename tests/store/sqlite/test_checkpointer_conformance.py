"""LangGraph's own conformance suite for checkpointers."""

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from imagerag.store.sqlite.checkpoint_types import open_checkpointer


async def test_every_capability_of_the_suite_is_there_and_right(tmp_path):
    opened = 0

    @checkpointer_test(name="imagerag")
    async def fresh():
        nonlocal opened
        opened += 1
        async with open_checkpointer(tmp_path / f"{opened}.sqlite") as saver:
            yield saver

    report = await validate(fresh)
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert not failures
    assert {name for name, result in report.results.items() if result.passed} == {one.value for one in Capability}
    assert len(report.results) == 8
