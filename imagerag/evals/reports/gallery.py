"""The gallery: one self-contained HTML page with every case, all arms side by side.

Images are embedded as small WebP copies, each once, even if several arms show it. All text from models, captions or
files is escaped, and the page's script never builds markup from it.
"""

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from imagerag.evals.result_record import Result
from imagerag.formatting.html.templating import render
from imagerag.formatting.labels import CASES

SIDE: Final = 160
TEMPLATES: Final = Path(__file__).parent / "templates"
MOST: Final = 400
"""Cases on the page: more, and a browser no longer likes it. The report says how many were left out."""


def gallery(
    summary: Mapping[str, Any],
    results: Iterable[Result],
    load_bytes: Callable[[str], bytes | None],
    plots: Iterable[str],
) -> str:
    """Render the page.

    Args:
        results: the results in order, the arms of a case and seed in succession.
        load_bytes: returns the bytes of an image of the evaluation or its library; None where it is missing.
        plots: SVG elements.
    """
    thumbnails: dict[str, str] = {}
    data = gallery_data(summary, results, lambda sha256: _small(sha256, load_bytes, thumbnails))
    return render(TEMPLATES, "gallery.html", data=data, images=thumbnails, plots=list(plots))


def gallery_data(
    summary: Mapping[str, Any], results: Iterable[Result], small: Callable[[str], str | None]
) -> dict[str, Any]:
    """The cases as the gallery's script shows them.

    Args:
        results: the results in order, the arms of a case and seed in succession.
        small: returns the key of an image's small copy; None where it is missing.
    """
    rows: list[dict[str, Any]] = []
    left_out = 0
    for (case, seed), group in groupby(results, key=lambda result: (result.case, result.seed)):
        if len(rows) == MOST:
            left_out += 1
            continue
        row = [_answer(result, small) for result in group]
        head = {"case": case, "seed": seed, "prompt": row[0]["prompt"], "tags": row[0]["tags"]}
        rows.append({**head, "answers": [{k: v for k, v in one.items() if k not in head} for one in row]})
    return {
        "suite": summary["suite"],
        "arms": list(summary["arms"]),
        "rows": rows,
        "leftOut": left_out,
        "labels": CASES,
    }


def _answer(result: Result, small: Callable[[str], str | None]) -> dict[str, Any]:
    best = result.attempts[result.best_attempt] if result.best_attempt is not None else None
    return {
        "prompt": result.prompt,
        "tags": list(result.tags),
        "arm": result.arm,
        "status": result.status,
        "reason": result.reason,
        "image": small(result.image.sha256) if result.image else None,
        "scores": {name: value for name, value in result.scores.items() if value is not None},
        "redrawn": result.regenerations,
        "references": [
            {"image": small(r.image.sha256), "similarity": r.similarity, "for": r.concept}
            for r in (best.references if best else ())
        ],
    }


def _small(sha256: str, load_bytes: Callable[[str], bytes | None], thumbnails: dict[str, str]) -> str | None:
    """The key of an image's small copy."""
    key = sha256[:12]
    if key not in thumbnails:
        data = load_bytes(sha256)
        if data is None:
            return None
        thumbnails[key] = thumbnail(data)
    return key


def thumbnail(data: bytes, side: int = SIDE) -> str:
    """A small WebP of an image as a data URL."""
    from imagerag.agent.images.decoding import open_rgb

    small = open_rgb(data, side=side)
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
