"""The attempts side by side, what the judge checked in each, and what was searched between them."""

from collections.abc import Sequence

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Candidate, RequirementCheck, Search, UsedReference, Verdict
from imagerag.formatting import labels
from imagerag.formatting.numbers import attempt as attempt_name
from imagerag.formatting.numbers import cosine, counted, drawing, threshold_words
from imagerag.reports.html.image_gallery import Gallery
from imagerag.reports.html.markup import Html, join, tag
from imagerag.reports.mask_text import mask_words
from imagerag.reports.step_text import decision_of, passed, score_of

SHOWN = 12
"""Candidates of one search that are shown with their pictures; the rest is a line each."""


def attempts(record: RunRecord, gallery: Gallery) -> Html:
    """Every picture of the run, oldest first, with its checklist."""
    if not record.attempts:
        return tag("p", "No picture was drawn.", class_="nothing")
    few = {1: "attempts one", 2: "attempts few"}.get(len(record.attempts), "attempts")
    return tag("div", [attempt(record, one, gallery) for one in record.attempts], class_=few)


def attempt(record: RunRecord, made: Attempt, gallery: Gallery) -> Html:
    """One picture of a run: its checklist, what it was drawn with, the prompt that was sent."""
    best = made.index == record.best_attempt
    drawn = "handed in" if made.origin == "handed_in" else drawing(made.round)
    name = f"{attempt_name(made.index)}, {drawn}".capitalize()
    return tag(
        "article",
        tag(
            "header",
            tag("h3", name),
            tag("span", "result", class_="result") if best else None,
            tag("span", score_of(made.verdict).removesuffix(" met"), class_="score"),
        ),
        tag("figure", gallery.large(made.image, attempt_name(made.index)), class_="picture"),
        _sent_with(made.references, gallery),
        tag("p", mask_words(made.mask), class_="mask") if made.mask else None,
        checklist(made.verdict),
        _folded_prompt(made, record.prompt),
        class_="attempt best" if best else "attempt",
    )


def _sent_with(references: Sequence[UsedReference], gallery: Gallery) -> Html | None:
    if not references:
        return None
    return tag("div", tag("h4", "Drawn with"), tag("ul", [_sent(ref, gallery) for ref in references]), class_="sent")


def _sent(reference: UsedReference, gallery: Gallery) -> Html:
    picture = gallery.small(reference.image, reference.title or reference.concept or "reference")
    if reference.mask is None:
        intent = _intent(reference)
        return tag("li", picture, tag("span", _name(reference), tag("small", intent) if intent else None))
    mask = gallery.mask(reference.mask, f"mask of {_name(reference)}: it may change where this is light")
    return tag(
        "li", picture, mask, tag("span", _name(reference), tag("small", "to be changed only where the mask is light"))
    )


def _name(reference: UsedReference) -> str:
    if reference.role != "reference":
        return reference.concept or "your own picture"
    return reference.concept or reference.title


def _intent(reference: UsedReference) -> str:
    """What it was sent for, where that is not merely to inform."""
    said = labels.INTENTS[reference.role] if reference.role != "reference" else ""
    return ", ".join(filter(None, (said, "must be the very one" if reference.likeness else "")))


def checklist(verdict: Verdict | None) -> Html:
    """What the judge checked, with its evidence."""
    if verdict is None or not verdict.checks:
        said = score_of(verdict) + (f": {verdict.reason}" if verdict and verdict.reason else "")
        return tag("p", said[:1].upper() + said[1:] + ".", class_="unjudged")
    return tag("ul", [_check(check) for check in verdict.checks], class_="checks")


def _check(check: RequirementCheck) -> Html:
    kind = labels.KINDS[check.requirement.kind]
    style = tag("span", kind, class_="kind") if kind else None
    evidence = tag("small", check.evidence) if check.evidence else None
    return tag(
        "li", mark(check.met), tag("div", check.requirement.text, style, evidence), class_="" if check.met else "no"
    )


def mark(met: bool) -> Html:
    """✓ or ✗, said aloud as words."""
    return tag("span", "✓" if met else "✗", class_="mark yes" if met else "mark no", role="img", aria_label=_said(met))


def _said(met: bool) -> str:
    return "met" if met else "not met"


def _folded_prompt(attempt: Attempt, asked: str) -> Html:
    inside = [tag("pre", attempt.prompt)]
    if attempt.revised_prompt:
        inside += [tag("h4", "Revised by the service"), tag("pre", attempt.revised_prompt)]
    facts = f"{attempt.image.width}×{attempt.image.height}, {attempt.image.media_type}, {attempt.image.sha256[:12]}"
    inside.append(tag("p", " · ".join(filter(None, (attempt.generator, facts))), class_="mute"))
    same = attempt.prompt.strip() == asked.strip()
    title = "Prompt sent: your own words" if same else "Prompt sent, as it was"
    return tag("details", tag("summary", title), inside)


def matrix(record: RunRecord) -> Html | None:
    """Requirement by attempt; two attempts are compared by looking at their own lists."""
    judged = [a for a in record.attempts if a.verdict and a.verdict.checks]
    if len(judged) < 3:
        return None
    texts = dict.fromkeys(check.requirement.text for a in judged if a.verdict for check in a.verdict.checks)
    head = tag("tr", tag("th", "Requirement", scope="col"), [tag("th", _column(a), scope="col") for a in judged])
    rows = [tag("tr", tag("th", text, scope="row"), [_cell(a.verdict, text) for a in judged]) for text in texts]
    total = tag("tr", tag("th", "Met", scope="row"), [tag("td", _share(a.verdict)) for a in judged], class_="total")
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows, total)), class_="scroll matrix")


def _column(attempt: Attempt) -> str:
    return attempt_name(attempt.index).capitalize()


def _cell(verdict: Verdict | None, text: str) -> Html:
    met = next((check.met for check in verdict.checks if check.requirement.text == text), None) if verdict else None
    return tag("td", mark(met) if met is not None else "–")


def _share(verdict: Verdict | None) -> str:
    return f"{sum(check.met for check in verdict.checks)}/{len(verdict.checks)}" if verdict else ""


def searches(record: RunRecord, gallery: Gallery) -> Html:
    """What was looked for, round by round, and every candidate with what was decided about it."""
    if not record.searches:
        return tag("p", "Nothing was looked for in this run.", class_="nothing")
    top = span(record.searches)
    rounds = sorted({search.round for search in record.searches})
    parts = []
    for number in rounds:
        found = [search for search in record.searches if search.round == number]
        title = f"For round {number}" if number else "Before the first drawing"
        parts += [tag("h3", title), *(_search(search, gallery, top) for search in found)]
    return join(parts)


def span(found: Sequence[Search]) -> float:
    """Where the bars end: a little beyond the highest similarity or threshold of the run. They begin at 0."""
    values = [c.similarity for search in found for c in search.candidates]
    values += [limit for search in found for limit in search.thresholds.values()]
    return max([0.05, *values]) * 1.08


def _search(search: Search, gallery: Gallery, top: float) -> Html:
    query = search.query
    title = "The prompt as a whole" if query.by == "prompt" else query.concept.text
    limit = threshold_words(search.thresholds, off="threshold off: anything passes")
    through = sum(map(passed, search.candidates))
    found = counted(len(search.candidates), "candidate")
    more = search.candidates[SHOWN:]
    return tag(
        "article",
        tag("h4", title),
        tag("p", f"“{query.text}”", class_="caption") if query.text != title else None,
        [tag("p", note, class_="note") for note in (query.note, search.note) if note],
        tag("p", f"in the order of {search.reranker}", class_="mute") if search.reranker else None,
        tag("p", "captions and titles were searched for the words, too", class_="mute") if search.hybrid else None,
        tag("p", f"{limit} · {found}, {through} passed", class_="mute"),
        tag("ol", [_candidate(c, search, gallery, top) for c in search.candidates[:SHOWN]], class_="found")
        if search.candidates
        else tag("p", "Nothing was found.", class_="nothing"),
        tag("details", tag("summary", f"{len(more)} more"), tag("ol", [_line(c, search) for c in more]))
        if more
        else None,
        class_="search",
    )


def _candidate(candidate: Candidate, search: Search, gallery: Gallery, top: float) -> Html:
    threshold = search.threshold_of(candidate)
    word, why = decision_of(candidate, threshold)
    library = f"library {candidate.library}" if candidate.library else ""
    credit = ", ".join(filter(None, (candidate.author, candidate.licence, candidate.source, library)))
    name = candidate.title or candidate.image.sha256[:12]
    used = candidate.decision in ("taken", "offered")
    return tag(
        "li",
        gallery.small(candidate.image, name),
        tag("div", tag("strong", name), tag("small", credit) if credit else None, class_="who"),
        bar(candidate.similarity, threshold, top),
        tag("span", cosine(candidate.similarity), class_="number"),
        tag("div", tag("span", word, class_="pill"), tag("small", why), class_="why"),
        class_="used" if used else "",
    )


def bar(value: float, threshold: float | None, top: float) -> Html:
    """A similarity as a bar from 0, with the threshold as a line across it."""
    line = tag("b", style=f"left:{_part(threshold, top)}") if threshold is not None else None
    return tag("div", tag("i", style=f"width:{_part(value, top)}"), line, class_="bar", aria_hidden="true")


def _part(value: float, top: float) -> str:
    return f"{100 * max(0.0, min(value / top, 1.0)):.1f}%"


def _line(candidate: Candidate, search: Search) -> Html:
    word, why = decision_of(candidate, search.threshold_of(candidate))
    name = candidate.title or candidate.image.sha256[:12]
    return tag("li", f"{name} · {cosine(candidate.similarity)} · {word}: {why}")
