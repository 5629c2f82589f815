"""From a report alone: why it is not aligned, what was looked for, what was found and not used, what it cost."""

import pytest

from imagerag import ImageRAG
from imagerag.formatting.html.templating import printable
from imagerag.formatting.numbers import cosine, dollars
from imagerag.reports.record_text import decision_of
from tests.reports.conftest import RUNS
from tests.reports.html.test_run_report import Reader


def as_read(text: str) -> str:
    """A text as a reader of the page finds it."""
    return " ".join(printable(text).split())


@pytest.mark.parametrize("name", RUNS)
async def test_every_fact_of_the_record_is_on_the_page(rag: ImageRAG, name: str) -> None:
    record, words = await rag.runs.get(name), Reader(await rag.runs.report(name)).words
    if record.outcome is not None and record.outcome.value != "aligned":
        assert as_read(record.reason)[1:] in words
        assert "Why is it not aligned?" in words
    for text in [*record.unresolved, *record.next_steps]:
        assert as_read(text) in words
    for search in record.searches:
        assert as_read(search.query.text) in words
        for candidate in search.candidates:
            word, why = decision_of(candidate, search.threshold)
            for said in (candidate.title or candidate.image.sha256[:12], cosine(candidate.similarity), word, why):
                assert as_read(said) in words
    for attempt in record.attempts:
        assert as_read(attempt.prompt) in words
        for check in attempt.verdict.checks if attempt.verdict else ():
            assert as_read(check.requirement.text) in words
    assert dollars(record.cost_usd).capitalize() in words
    for role, number in record.calls.items():
        assert f"{number} × {role}" in words
