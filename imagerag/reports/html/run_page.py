"""The report of a run: one self-contained HTML page, a pure function of its record, its steps and its images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imagerag.agent.run_record import RunRecord
from imagerag.formatting.html.templating import render
from imagerag.formatting.numbers import dollars, model_calls, seconds
from imagerag.graphs.runs.history import Step
from imagerag.reports import record_text, step_text
from imagerag.reports.html import attempts, lineage, summary, trace
from imagerag.reports.html.image_gallery import Gallery, Load

TEMPLATES: Final = Path(__file__).parent / "templates"


def report(record: RunRecord, steps: Sequence[Step], load: Load, *, parent: RunRecord | None = None) -> str:
    """The page.

    Args:
        record: the run, wherever it stands.
        steps: its history; without any, the page has no steps and no times by node.
        load: gives an image's bytes for its SHA-256; raises LookupError or BlobError for one that is not there.
        parent: the run it comes from, where it does and that is still there.
    """
    words = {"attempts": attempts, "lineage": lineage, "record_text": record_text, "step_text": step_text}
    words |= {"summary": summary, "trace": trace}
    context = {"record": record, "steps": steps, "parent": parent, "facts": _facts(record, steps)}
    return render(TEMPLATES, "run_report.html", **words, **context, gallery=Gallery(load))


def _facts(record: RunRecord, steps: Sequence[Step]) -> list[tuple[str, str]]:
    facts = [
        ("run", record.run_id),
        ("began", (record.started_at or (steps[0].at if steps else None) or "").replace("T", " ")[:19]),
        ("took", seconds(record.elapsed_s)),
        ("cost", dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)),
        ("calls", model_calls(sum(record.calls.values()), sum(record.cached_calls.values()))),
    ]
    if record.setup:
        facts += [("generator", record.setup.generator), ("judge", record.setup.judge)]
        facts += [("library", record.setup.library or "none")]
    return facts
