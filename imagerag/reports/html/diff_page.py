"""A comparison of two runs as one self-contained HTML page, made of a report's parts."""

from itertools import zip_longest

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt
from imagerag.formatting.html.templating import render
from imagerag.formatting.numbers import dollars, model_calls, percent, seconds
from imagerag.reports import record_text
from imagerag.reports.html import attempts
from imagerag.reports.html.image_gallery import Gallery, Load
from imagerag.reports.html.run_page import TEMPLATES
from imagerag.reports.run_diff import text
from imagerag.reports.run_diff.models import RunDiff, RunSummary


def page(diff: RunDiff, a: RunRecord, b: RunRecord, load: Load) -> str:
    """The page.

    Args:
        diff: how the runs differ.
        a: the first of them, `b` the other.
        load: gives an image's bytes for its SHA-256; raises LookupError or BlobError for one that is not there.
    """
    sides = [("A", a, _facts(diff.a)), ("B", b, _facts(diff.b))]
    pairs = [(one, other, _compared(one, other)) for one, other in zip_longest(a.attempts, b.attempts)]
    words = {"attempts": attempts, "record_text": record_text, "text": text, "brief": brief}
    return render(
        TEMPLATES, "diff.html", **words, found=diff, a=a, b=b, sides=sides, pairs=pairs, gallery=Gallery(load)
    )


def _facts(side: RunSummary) -> list[tuple[str, str]]:
    return [
        ("run", side.run_id),
        ("score", "" if side.score is None else f"{percent(side.score)} met"),
        ("took", seconds(side.elapsed_s)),
        ("cost", dollars(side.cost_usd)),
        ("calls", model_calls(side.calls, side.cached_calls)),
    ]


def _compared(one: Attempt | None, other: Attempt | None) -> str:
    if one is None or other is None:
        return "only one of them has it"
    return "the same image" if one.image.sha256 == other.image.sha256 else "another image"


def brief(text: str) -> str:
    """A value of an input, cut where it is long."""
    return text if len(text) <= 160 else f"{text[:150].rstrip()}…"
