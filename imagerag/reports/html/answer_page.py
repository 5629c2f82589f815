"""An answered question as one document: a self-contained HTML page, or Markdown.

Both are pure functions of the record; where it was compared, what the model says with and without the library stands
side by side.
"""

import re
from typing import Final

from imagerag.agent.qa.qa_record import AnswerRecord, RetrievedSource
from imagerag.agent.types import ImageRef
from imagerag.formatting.html.templating import render
from imagerag.formatting.labels import ANSWERS, label
from imagerag.formatting.text import image_name
from imagerag.reports.html import answer_text as words
from imagerag.reports.html.image_gallery import Gallery, Load
from imagerag.reports.html.run_page import TEMPLATES


def answer_page(record: AnswerRecord, load: Load) -> str:
    """The page.

    Args:
        load: gives an image's bytes for its SHA-256; raises LookupError or BlobError for one that is not there.
    """
    stands = label(ANSWERS, record.outcome)
    sources = [(_thumbnail(one), *_source(one, record)) for one in record.retrieved if one.accepted]
    context = {"record": record, "stands": stands, "words": words, "sources": sources}
    return render(TEMPLATES, "answer.html", **context, gallery=Gallery(load))


def _thumbnail(one: RetrievedSource) -> ImageRef:
    return ImageRef(sha256=one.id, media_type="image/*", width=42, height=42)  # shown at this size


def _source(one: RetrievedSource, record: AnswerRecord) -> tuple[str, str, str]:
    """A source's name, its line, and what is said about it."""
    name = image_name(one.title, one.id)
    message = " · ".join(filter(None, (words.closeness(one), words.why(one), one.author, one.licence)))
    supports = {cited.number: cited.supports for cited in record.citations}.get(one.number or 0)
    cited = "" if supports is None else f", cited: {supports}" if supports else ", cited"
    return name, f"[{one.number}] {name}{cited}", message


def answer_markdown(record: AnswerRecord) -> str:
    """The same as Markdown, without images; foreign text makes no markup."""
    stands = label(ANSWERS, record.outcome)
    lines = [f"# {_flat(record.question)}", "", f"**{stands.name}**: {stands.meaning}.", ""]
    if record.images:
        lines += [f"Asked with {', '.join(f'image://{image.sha256}' for image in record.images)}.", ""]
    if record.baseline_answer is None:
        lines += [_flat(words.answer_or_reason(record)), ""]
    else:
        both = _cell(words.answer_or_reason(record)), _cell(words.baseline_or_reason(record))
        lines += [f"| {words.WITH} | {words.WITHOUT} |", "|---|---|", f"| {both[0]} | {both[1]} |", ""]
    cited = {one.number: one.supports for one in record.citations}
    if sources := [one for one in record.retrieved if one.accepted]:
        lines += [
            f"## Sources: {words.retrieval_text(record)}",
            "",
            "| | image | similarity | found | licence | supports |",
        ]
        lines += ["|---|---|---|---|---|---|", *(_row(one, cited) for one in sources), ""]
    if record.asked:
        lines += [
            "## What was asked",
            "",
            *(f"{call.order}. {_flat(words.call_text(call))}" for call in record.asked),
            "",
        ]
    notes = [*record.notes, *([record.metadata_query] if record.metadata_query else [])]
    lines += ["## Notes", "", *(f"- {_flat(note)}" for note in notes), ""] if notes else []
    message = " · ".join(f"{name} {_flat(value)}" for name, value in words.facts(record) if value)
    return "\n".join([*lines, message, ""])


def _row(one: RetrievedSource, cited: dict[int, str]) -> str:
    number = f"**[{one.number}]**" if one.number in cited else f"[{one.number}]"
    cells = (image_name(one.title, one.id), words.closeness(one), words.why(one), one.licence)
    supports = cited.get(one.number or 0, "")
    return f"| {number} | {' | '.join(map(_cell, cells))} | {_cell(supports)} |"


_MARKS: Final = re.compile(r"([\\`*_{}<>#|~])|(\]\()")


def _flat(text: str) -> str:
    """Foreign text on one line, its marks inert."""
    return _MARKS.sub(lambda match: "\\" + match[1] if match[1] else "]\\(", " ".join(text.split()))


def _cell(text: str) -> str:
    return _flat(text) or " "
