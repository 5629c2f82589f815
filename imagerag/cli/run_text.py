"""Text of a run: its attempts, searches, verdicts, and a summary."""

from collections.abc import Sequence
from typing import Final

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Candidate, Outcome, Query, Search, UsedReference, Verdict, WebSource
from imagerag.cli.terminal.output import (
    accent,
    bar,
    bold,
    columns,
    dim,
    entry,
    hanging,
    rest_of_line,
    scale,
    short,
    table,
    tick,
    wrapped,
)
from imagerag.cli.terminal.text_width import width
from imagerag.formatting import labels
from imagerag.formatting.found_by import found_by_text
from imagerag.formatting.interface_terms import in_commands
from imagerag.formatting.labels import WEB_SOURCES
from imagerag.formatting.numbers import cosine, dollars, drawing, model_calls, seconds, threshold_words
from imagerag.formatting.text import clean, image_name
from imagerag.formatting.web_credits import found_text, licence_text
from imagerag.reports.record_text import attempt_title, drawing_notes, judging_notes, mask_words, score_words

MAX_REASON: Final = 400
"""Columns of the reason why a run ended as it did, which may quote a long text of a model."""


def verdict_lines(verdict: Verdict | None) -> list[str]:
    """The checklist, each requirement with the judge's evidence."""
    if verdict is None:
        return [dim("  not judged")]
    if verdict.status == "abstained":
        return hanging(verdict.reason, columns(), indent=4, head="  the judge gave no verdict: ")
    if not verdict.checks:
        result = "everything is there" if verdict.aligned else "something is missing"
        return table([[f"{tick(bool(verdict.aligned))} {result}", dim(clean(verdict.reason))]])
    return table(
        [
            [
                f"{tick(check.met)} {short(check.requirement.text, 40)}{_kind(check.requirement.kind)}",
                dim(clean(check.evidence)) if check.evidence else "",
            ]
            for check in verdict.checks
        ],
        fold=1,
    )


def _kind(kind: str) -> str:
    return dim(f" ({labels.KINDS[kind]})") if kind in ("likeness", "kept", "feedback") else ""


def attempt_lines(attempt: Attempt) -> list[str]:
    """An attempt: its image, the exact prompt when it is not the user's own, its references."""
    image = attempt.image
    size = f"{image.width}×{image.height}"
    lines = [f"  {dim('image')}    {image.sha256[:12]}  {dim(size)}"]
    if attempt.mask:
        lines += entry("mask", mask_words(attempt.mask), at=9)
    for note in drawing_notes(attempt):
        lines += entry("note", note, at=9)
    if attempt.references:
        lines += entry("sent", attempt.prompt, at=9)
        lines += reference_lines(attempt.references, indent=2)
    if attempt.sources:
        lines += [f"  {dim(WEB_SOURCES)}", *source_lines(attempt.sources, indent=2)]
    return lines


def reference_lines(references: Sequence[UsedReference], *, indent: int = 2) -> list[str]:
    """The references of an image, with their authors and licences."""
    rows = table([_reference_row(reference) for reference in references], right={1}, indent=indent)
    pages = _page_lines(references, indent=indent + 2)
    return [*rows, *pages]


def source_lines(sources: Sequence[WebSource], *, indent: int = 2) -> list[str]:
    """What the generator's model found on the web: name and address, below each other where both do not fit."""
    lines = []
    for source in sources:
        name, address = short(source.name, columns() - indent - 2), short(source.shown_address(100), 100)
        lines.append(f"{' ' * indent}{accent('~')} {name}")
        if indent + 2 + width(name) + 2 + width(address) <= columns():
            lines[-1] += f"  {dim(address)}"
        else:
            lines.append(f"{' ' * indent}  {dim(address)}")
    return lines


def _page_lines(images: Sequence[UsedReference | Candidate], *, indent: int) -> list[str]:
    """The pages of images from the web, on lines of their own: an address that is broken leads nowhere."""
    found = [(one, one.web) for one in images if one.web]
    names = [f"{short(image_name(one.title, one.image.sha256), 28)}: " if found[1:] else "" for one, _ in found]
    return [f"{' ' * indent}{dim(name + found_text(web))}" for name, (_, web) in zip(names, found, strict=True)]


def _reference_row(reference: UsedReference) -> list[str]:
    own = reference.role != "reference"
    title = reference.concept or reference.title or "your image"
    name = title if own else image_name(reference.title, reference.image.sha256)
    similarity = "" if reference.similarity is None else cosine(reference.similarity)
    whose = _OWNERS.get(reference.selected_by, "the library's")
    stands_for = f"{whose}, {labels.INTENTS[reference.role]}" if own else f"for {short(reference.concept, 36)}"
    by = f"by {short(reference.author, 24)}" if reference.author else ""
    licence = dim(short(licence_text(reference.licence), 44))
    return [f"{accent('+')} {short(name, 28)}", similarity, stands_for, licence, dim(by)]


_OWNERS: Final = {"given": "your own", "parent_run": "from the run before"}


def query_title(query: Query) -> str:
    """The query of a search and its concept."""
    if query.by == "prompt":
        return f"search with the prompt itself: “{rest_of_line(query.text, 36)}”"
    return f"search for {short(query.concept.text, 40)}"


def search_lines(search: Search) -> list[str]:
    """A search: caption, threshold, and every candidate with its similarity, decision and reason."""
    lines = []
    if search.query.by == "caption":
        lines += entry("caption", f"“{search.query.text}”", at=11)
    if search.query.note:
        lines += entry("note", search.query.note, at=11)
    if search.note:
        lines += entry("note", search.note, at=11)
    if search.reranker:
        lines += entry("order", f"by {search.reranker}", at=11)
    if search.hybrid:
        lines.append(f"  {dim('hybrid')}     captions and words counted, too")
    limit = threshold_words(search.thresholds, off="threshold off: anything passes").removeprefix("threshold ")
    lines += entry("threshold", limit, at=11)
    if not search.candidates:
        return [*lines, "  nothing was found"]
    top = scale([0.0, *search.thresholds.values(), *(candidate.similarity for candidate in search.candidates)])
    rows = table([_candidate_row(c, search.threshold_of(c), top) for c in search.candidates], right={1})
    return [*lines, *rows, *_page_lines(search.candidates, indent=4)]


def _candidate_row(candidate: Candidate, threshold: float | None, top: float) -> list[str]:
    words = labels.decision(candidate.decision).name
    decision_text = accent(words) if candidate.decision in ("taken", "offered") else dim(words)
    title = short(image_name(candidate.title, candidate.image.sha256), 30)
    return [
        bar(candidate.similarity, threshold, top),
        cosine(candidate.similarity),
        bold(title) if candidate.decision == "taken" else title,
        decision_text,
        dim(short(found_by_text(candidate.found_by), 36)),
        dim(short(licence_text(candidate.licence), 40)),
    ]


def badge(record: RunRecord) -> str:
    """Badge with the outcome or status of a run."""
    words = bold(labels.standing(record.status, record.outcome).name)
    if record.outcome is None:
        return words
    return f"{tick(True)} {accent(words)}" if record.outcome is Outcome.ALIGNED else f"{tick(False)} {words}"


def summary(record: RunRecord, *, steps_shown: bool = False) -> list[str]:
    """Summary of a run: outcome and reason, the image, its references with licences, next steps.

    Args:
        steps_shown: the run's steps were just shown, so the hint at `imagerag show` is left out.
    """
    record = in_commands(record)
    reason = record.reason.removeprefix(f"{labels.standing(record.status, record.outcome).name} ")
    stands = badge(record)
    lines = hanging(short(reason, MAX_REASON), columns(), indent=2, head=f"{stands}  ") if reason else [stands]
    if record.image:
        lines.append(f"  {dim('image')}       {record.image.path or record.image.sha256}")
        best = record.attempts[record.best_attempt or 0]
        which = f"{best.index + 1}, the best of {len(record.attempts)}" if record.attempts[1:] else "the only one"
        lines.append(f"  {dim('attempt')}     {which}: {score_words(best.verdict)}")
        for n, note in enumerate([*drawing_notes(best), *judging_notes(record)]):
            lines += entry("" if n else "note", short(note, 400))
    if record.unresolved:
        lines += entry("missing", "; ".join(record.unresolved))
    if record.references:
        lines.append(f"  {dim('references')}")
        lines += reference_lines(record.references, indent=4)
    if record.sources:
        lines += [f"  {dim(WEB_SOURCES)}", *source_lines(record.sources, indent=4)]
    lines.append(f"  {dim('run')}         {record.run_id}  {dim(_cost_text(record))}")
    show = f"imagerag show {record.run_id}"
    steps = list(record.next_steps)
    if record.outcome and not steps_shown and not any(show in step for step in steps):
        steps.append(show)
    return lines + [line for n, step in enumerate(steps) for line in entry("" if n else "next", short(step, 400))]


def _cost_text(record: RunRecord) -> str:
    calls = model_calls(sum(record.calls.values()), sum(record.cached_calls.values()))
    return f"{calls}, {seconds(record.elapsed_s)}, {dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)}"


def run_header(record: RunRecord) -> list[str]:
    """The prompt of a run and its backends."""
    lines = [bold(line) for line in wrapped(short(record.prompt, 3 * columns()), columns())]
    lines += [line for words in record.feedback for line in entry("feedback", f"“{words}”")]
    if record.setup:
        setup = record.setup
        parts = f"generator {setup.generator} · judge {setup.judge} · library {setup.library or 'none'}"
        parts += f" · reranker {setup.reranker}" if setup.reranker else ""
        parts += f" · size {setup.config.size}" if setup.config.size else ""
        lines += map(dim, hanging(parts, columns(), indent=2))
    return lines


def render_run(record: RunRecord) -> list[str]:
    """A whole run, round by round."""
    lines = run_header(record)
    for number in sorted({a.round for a in record.attempts} | {s.round for s in record.searches}):
        lines += ["", dim(drawing(number) + (f" of {_rounds(record)}" if number else ""))]
        for search in (search for search in record.searches if search.round == number):
            lines += [accent(query_title(search.query)), *search_lines(search)]
        for attempt in (attempt for attempt in record.attempts if attempt.round == number):
            lines += [accent(attempt_title(attempt)), *attempt_lines(attempt)]
            lines += [accent(f"the judge: {score_words(attempt.verdict)}"), *verdict_lines(attempt.verdict)]
    return [*lines, "", *summary(record, steps_shown=True)]


def _rounds(record: RunRecord) -> str:
    return str(record.setup.config.max_rounds) if record.setup else "?"
