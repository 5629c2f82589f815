"""The report of a run: one self-contained HTML page, a pure function of its record, its steps and its pictures."""

from collections.abc import Sequence
from importlib.resources import files

from imagerag.agent.run_record import RunRecord
from imagerag.formatting.numbers import dollars, model_calls, seconds
from imagerag.graphs.runs.history import Step
from imagerag.reports.html import attempts, trace
from imagerag.reports.html.image_gallery import Gallery, Load
from imagerag.reports.html.lineage import lineage
from imagerag.reports.html.markup import Child, Html, join, tag
from imagerag.reports.html.summary import answers, badge

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What the page may load: nothing. Should escaping ever fail, nothing that is smuggled in runs or calls home."""


def report(record: RunRecord, steps: Sequence[Step], load: Load, *, parent: RunRecord | None = None) -> str:
    """The page.

    Args:
        record: the run, wherever it stands.
        steps: its history; without any, the page has no steps and no times by node.
        load: gives an image's bytes for its SHA-256; raises LookupError or BlobError for one that is not there.
        parent: the run it comes from, where it does and that is still there.
    """
    gallery = Gallery(load)
    body = (
        _head(record, steps),
        section("In short", tag("div", answers(record), _next(record), class_="short")),
        section("Where it comes from", lineage(record, parent, gallery)),
        section("Round by round", attempts.attempts(record, gallery), attempts.matrix(record)),
        section("Looked for and found", attempts.searches(record, gallery)),
        section("Ledger", trace.ledger(record.concepts, gallery), lead="What became of each missing concept."),
        section("Time and cost", trace.costs(steps)),
        section("Steps", trace.history(steps) if steps else None, lead="Open one to see what it asked and changed."),
        section("Made with", trace.setup(record)),
    )
    return document(f"{record.prompt[:80]} · imagerag", join(*body))


def document(title: str, body: Html) -> str:
    """A whole page around its body."""
    style = files("imagerag.reports.html").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', body)), lang='en')}\n"


def section(title: str, *parts: Html | None, lead: str = "") -> Html | None:
    """A part of a page under its title; none where there is nothing to say."""
    if not any(parts):
        return None
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else None, [p for p in parts if p])


def _head(record: RunRecord, steps: Sequence[Step]) -> Html:
    facts: list[tuple[str, Child]] = [
        ("run", tag("code", record.run_id)),
        ("began", (record.started_at or (steps[0].at if steps else None) or "").replace("T", " ")[:19]),
        ("took", seconds(record.elapsed_s)),
        ("cost", dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)),
        ("calls", model_calls(sum(record.calls.values()), sum(record.reused.values()))),
    ]
    if record.setup:
        facts += [("generator", record.setup.generator), ("judge", record.setup.judge)]
        facts += [("library", record.setup.library or "none")]
    shown = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts if value]
    return tag(
        "header",
        tag("p", tag("b", "imagerag"), " run report", badge(record), class_="brand"),
        tag("h1", record.prompt, dir="auto"),
        tag("dl", shown, class_="facts"),
        class_="top",
    )


def _next(record: RunRecord) -> Html | None:
    if not record.next_steps:
        return None
    rows = [tag("li", step) for step in record.next_steps]
    return tag("aside", tag("h3", "What to do now"), tag("ul", rows), class_="next")
