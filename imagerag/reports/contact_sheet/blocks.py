"""The parts of a contact sheet: an attempt with its checklist, a search with its candidates, the small print."""

from collections.abc import Sequence

from imagerag.formatting import labels
from imagerag.formatting.numbers import attempt as attempt_name
from imagerag.formatting.numbers import cosine, dollars, met, model_calls, seconds
from imagerag.reports.contact_sheet.canvas import Canvas, leading
from imagerag.reports.contact_sheet.layout import (
    ACCENT,
    GREY,
    HAIRLINE,
    INK,
    MUTED,
    PAPER,
    RUST,
    TINT,
    WHITE,
    Document,
    Gallery,
    Page,
)

SHOWN = 8
"""Candidates of one search that are shown."""
BARS = 44
"""The height of the tallest similarity bar."""


class SheetBlocks(Page):
    """Draws the parts of one run's sheet."""

    def __init__(self, run: Document, gallery: Gallery, canvas: Canvas) -> None:
        super().__init__(gallery, canvas)
        self.run = run
        self.span = _span(run.get("searches") or [])

    def attempt(self, attempt: Document, x: float, y: float, side: float, *, checks: bool = True) -> float:
        """An attempt: its image, what was sent along with the prompt, and the judge's checklist."""
        verdict = attempt.get("verdict")
        origin = labels.attempt_origin(attempt.get("origin") or "generated", attempt["round"])
        self.canvas.text(x, y - 2, _score(verdict), 13, INK, width=side, align="right")
        y = self.heading(x, y, f"{attempt_name(attempt['index'])}, {origin}")
        best = self.run.get("best_attempt") == attempt["index"]
        if best:
            self.canvas.frame(x - 6, y - 6, side + 12, side + 12, ACCENT, PAPER, radius=14, line=2.5)
        self.image(attempt["image"]["sha256"], x, y, side, radius=9)
        if best:
            self.canvas.box(x + side - 70, y + side - 36, 60, 26, ACCENT, radius=13)
            self.canvas.text(x + side - 70, y + side - 32.5, "result", 13, WHITE, width=60, align="center", bold=True)
        y = self._sent_images(attempt.get("references") or [], x, y + side + 18, side)
        return self.checks(verdict, x, y, side) if checks else y

    def checks(
        self, verdict: Document | None, x: float, y: float, width: float, *, unmet_only: bool = False, size: float = 15
    ) -> float:
        """The judge's checklist, with its evidence where something is missing."""
        checks = [c for c in (verdict or {}).get("checks") or [] if not (unmet_only and c["met"])]
        if not checks:
            return self.canvas.text(x, y, _in_words(verdict), size, MUTED, width=width, lines=4)
        disc, left = size + 3, x + size + 14
        width -= left - x
        for check in checks[:12]:
            is_met = check["met"]
            self.canvas.icon(x, y + 1, disc, "tick" if is_met else "cross", WHITE, disc=ACCENT if is_met else RUST)
            y = self.canvas.text(left, y, check["requirement"]["text"], size, INK, width=width, lines=3)
            if not is_met:
                y = self.canvas.text(left, y, check.get("evidence") or "", 12, MUTED, width=width, lines=2)
            y += size / 2
        if len(checks) > 12:
            y = self.canvas.text(left, y, f"and {len(checks) - 12} more", 13, MUTED)
        return y

    def _sent_images(self, references: Sequence[Document], x: float, y: float, width: float) -> float:
        if not references:
            return y
        self.canvas.text(x, y + 12, "drawn with", 13, MUTED)
        x, width = x + 84, width - 84
        room = int((width + 8) // 50)
        images = [(reference, kind) for reference in references for kind in ("image", "mask") if reference.get(kind)]
        for number, (reference, kind) in enumerate(images[:room]):
            mask = kind == "mask"
            region = reference.get("region") if reference.get("crop") and kind == "image" else None
            self.image(reference[kind]["sha256"], x + 50 * number, y, 42, radius=6, mask=mask, region=region)
        return y + 42 + 16

    def searches(self, searches: Sequence[Document], x: float, y: float, width: float) -> float:
        """The searches of one round and their candidates."""
        y = self.heading(x, y, "searched in your library" if searches else "no new search")
        if not searches:
            return self.canvas.text(x, y, "This round searched nothing new.", 15, MUTED, width=width, lines=2)
        for number, search in enumerate(searches):
            y += 14 if number else 0
            # The card is as high as what it holds: measured first with a canvas that has no page.
            page, self.canvas = self.canvas, Canvas()
            high = self._search(search, x + 20, y + 16, width - 40) + 16 - y
            self.canvas = page
            self.canvas.frame(x, y, width, high, HAIRLINE, WHITE, radius=12, line=1)
            self._search(search, x + 20, y + 16, width - 40)
            y += high
        return y

    def _search(self, search: Document, x: float, y: float, width: float) -> float:
        query, candidates = search["query"], search.get("candidates") or []
        concept = labels.sought(query.get("by") or "", query["concept"]["text"])
        y = self.canvas.text(x, y, concept, 15, INK, width=width, lines=2, bold=True)
        if query["text"] != concept:
            y = self.canvas.text(x, y + 1, query["text"], 13, MUTED, width=width, lines=3)
        y += 16
        if not candidates:
            return self.canvas.text(x, y, "Nothing was found.", 14, RUST)
        first = candidates[:SHOWN]
        self._bars(first, search.get("threshold"), x, y, width)
        y += BARS + 8
        column, side = _columns(width)
        for number, candidate in enumerate(first):
            self._candidate(candidate, x + number * column, y, side)
        y += side + 6 + leading(11.5) * 3
        if len(candidates) > SHOWN:
            y = self.canvas.text(x, y + 4, f"and {len(candidates) - SHOWN} more", 12, MUTED)
        return y

    def _bars(self, candidates: Sequence[Document], threshold: float | None, x: float, y: float, width: float) -> None:
        low, high = self.span
        column, side = _columns(width)
        tall = [max(2.0, BARS * (candidate["similarity"] - low) / (high - low)) for candidate in candidates]
        for number, candidate in enumerate(candidates):
            color = ACCENT if candidate.get("decision") == "taken" else GREY
            self.canvas.box(x + number * column, y + BARS - tall[number], side, tall[number], color, radius=2)
        if threshold is not None:
            line = BARS * (threshold - low) / (high - low)
            self.canvas.rule(x, y + BARS - line, width, INK, dash=3, line=1)
            # Above the line, and above the last two bars where they are higher than it.
            top = max([line, *tall[SHOWN - 2 :]])
            self.canvas.text(
                x, y + BARS - top - 17, f"threshold {cosine(threshold)}", 11.5, INK, width=width, align="right"
            )

    def _candidate(self, candidate: Document, x: float, y: float, side: float) -> None:
        is_reference = candidate.get("decision") == "taken"
        decoded = self.gallery(candidate["image"]["sha256"], region=candidate.get("region"))
        if is_reference:
            self.canvas.frame(x - 3, y - 3, side + 6, side + 6, ACCENT, WHITE, radius=8, line=2)
        self.canvas.box(x, y, side, side, TINT, radius=6)
        if decoded is not None:
            self.canvas.image(decoded, x, y, side, side, radius=6, veil=None if is_reference else WHITE)
        ink = ACCENT if is_reference else MUTED
        number = cosine(candidate["similarity"])
        y = self.canvas.text(x - 4, y + side + 5, number, 11.5, ink, width=side + 8, align="center", bold=is_reference)
        decision = labels.decision(candidate.get("decision")).name
        self.canvas.text(x - 2, y, decision, 10, ink, width=side + 4, lines=2, align="center")


def _columns(width: float) -> tuple[float, float]:
    """The distance between candidates and the side of their images."""
    column = (width + 8) / SHOWN
    return column, column - 8


def _span(searches: Sequence[Document]) -> tuple[float, float]:
    """The similarities that the bars reach from and to: the run's own, with room around them."""
    values = [c["similarity"] for s in searches for c in s.get("candidates") or []]
    values += [s["threshold"] for s in searches if s.get("threshold") is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max(high - low, 0.02) * 0.25
    return low - room, high + room


def _score(verdict: Document | None) -> str:
    checks = (verdict or {}).get("checks") or []
    return met(sum(bool(c["met"]) for c in checks), len(checks)) if checks else ""


def _in_words(verdict: Document | None) -> str:
    if not verdict:
        return "not judged"
    label = labels.verdict(judged=verdict.get("status") != "abstained", aligned=verdict.get("aligned"))
    if verdict.get("status") == "abstained" or verdict.get("aligned") is None:
        return f"the judge gave {label}"
    return str(verdict.get("reason") or label)


def _page(reference: Document) -> str:
    """The page of an image from the web; empty for any other."""
    return str((reference.get("web") or {}).get("page", ""))


def facts(run: Document) -> str:
    """The small print: calls, time, cost, and whose images were used."""
    calls, reused = run.get("calls") or {}, run.get("cached_calls") or {}
    roles = ", ".join(f"{count} × {role}" for role, count in calls.items())
    parts = [model_calls(sum(calls.values()), sum(reused.values())) + (f" ({roles})" if roles else "")]
    if run.get("elapsed_s") is not None:
        parts.append(seconds(run["elapsed_s"]))
    if "cost_usd" in run:
        parts.append(dollars(run["cost_usd"], run.get("assumed_usd", 0.0), run.get("unsettled_usd", 0.0)))
    setup = run.get("setup") or {}
    if setup.get("library"):
        parts.append(f"library {setup['library']}")
    references = {r["image"]["sha256"]: r for a in run.get("attempts") or [] for r in a.get("references") or []}
    texts = [(*map(r.get, ("title", "author", "licence")), _page(r)) for r in references.values()]
    thanks = [", ".join(filter(None, words)) for words in texts]
    return " · ".join(parts + [f"reference: {credit}" for credit in thanks if credit])
