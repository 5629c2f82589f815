"""Runs and answers as they show themselves in a notebook: small pieces of HTML without scripts.

Colours are the notebook's own, so that they fit a light and a dark one. Everything foreign is escaped, and the image
is inside, at most `SIDE` pixels on a side.
"""

import base64
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.formatting import labels
from imagerag.formatting.numbers import cosine, dollars, model_calls, seconds

if TYPE_CHECKING:
    from imagerag.agent.qa.qa_record import AnswerRecord
    from imagerag.agent.run_record import RunRecord

SIDE: Final = 512
_BOX: Final = "display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start;font-family:sans-serif;max-width:60em"
_DIM: Final = "opacity:.7;font-size:90%"


def run_html(record: "RunRecord") -> str:
    """A run: its image, how it ended, the checklist, and what it was drawn with."""
    standing = labels.standing(record.status, record.outcome)
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    verdict = best.verdict if best is not None else None
    checks = [f"{'✓' if one.met else '✗'} {one.requirement.text}" for one in (verdict.checks if verdict else ())]
    credit_lines = [
        _credit(reference.title or reference.image.sha256[:12], reference.licence) for reference in record.references
    ]
    sources = [" ".join((source.name, source.address)) for source in record.sources]
    spent = model_calls(sum(record.calls.values()), sum(record.cached_calls.values()))
    facts = [seconds(record.elapsed_s), spent, dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)]
    text = [
        f"<b>{escape(standing.name)}</b> {escape(record.reason)}",
        escape(record.prompt),
        _list("", checks),
        _list("drawn with", credit_lines) if best is not None else "",
        _list(labels.WEB_SOURCES, sources),
        _list("next", record.next_steps),
        f'<span style="{_DIM}">{escape(" · ".join((f"run {record.run_id}", *facts)))}</span>',
    ]
    data = run_png(record)
    image_html = figure(data, "image/png", record.prompt) if data else ""
    return box(image_html, text)


def run_png(record: "RunRecord") -> bytes | None:
    """A run's image as PNG, at most `SIDE` pixels on a side; None where there is none, or it is gone."""
    from imagerag.agent.images.decoding import open_rgb
    from imagerag.agent.images.encoding import png

    if record.image is None or record.image.path is None:
        return None
    with suppress(OSError, UsageError):
        image = open_rgb(Path(record.image.path).read_bytes(), side=SIDE)
        image.thumbnail((SIDE, SIDE))
        return png(image)
    return None


def answer_html(record: "AnswerRecord") -> str:
    """An answer, and the images it stands on."""
    outcome = labels.label(labels.ANSWERS, record.outcome)
    cited = [f"[{one.number}] {_credit(one.title or one.id[:12], one.licence)}" for one in record.citations]
    without = record.baseline_answer
    facts = [f"library {record.library}", seconds(record.elapsed_s), dollars(record.cost_usd, record.assumed_usd)]
    text = [
        f"<b>{escape(record.question)}</b>",
        escape(record.answer or record.reason),
        _list("", cited),
        f"<i>without the library:</i> {escape(without.answer)}" if without is not None else "",
        f'<span style="{_DIM}">{escape(" · ".join((outcome.name, *facts)))}</span>',
    ]
    return box("", text)


def figure(data: bytes, media_type: str, name: str, *, width: int = 240) -> str:
    """An image inside the HTML itself."""
    source = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    style = f"width:{width}px;max-width:100%;height:auto"
    return f'<img src="{source}" alt="{escape(name[:200])}" style="{style}">'


def tile(data: bytes | None, media_type: str, name: str, similarity: float) -> str:
    """An image of a library under its name, with how similar it is."""
    image = figure(data, media_type, name, width=128) if data else ""
    message = f'{escape(name[:80])}<br><span style="{_DIM}">{cosine(similarity)}</span>'
    return f'<div style="width:128px">{image}<br>{message}</div>'


def box(image_html: str, text: Iterable[str]) -> str:
    """An image with paragraphs beside it, below it where there is no room."""
    message = "".join(f'<div style="margin:0 0 8px">{part}</div>' for part in text if part)
    return f'<div style="{_BOX}">{image_html}<div style="flex:1 1 18em">{message}</div></div>'


def row(tiles: Sequence[str]) -> str:
    """Images side by side, as many as there is room for."""
    return f'<div style="{_BOX}">{"".join(tiles)}</div>'


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    head = f'<span style="{_DIM}">{escape(title)}</span><br>' if title else ""
    return head + "<br>".join(escape(line) for line in lines)


def _credit(name: str, licence: str) -> str:
    return f"{name} ({licence})" if licence else name
