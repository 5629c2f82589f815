"""A comparison of two runs as one self-contained HTML page, made of a report's parts."""

from collections.abc import Sequence
from itertools import zip_longest

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt
from imagerag.formatting.numbers import attempt, dollars, model_calls, percent, seconds
from imagerag.reports.html.attempts import attempt as attempt_card
from imagerag.reports.html.image_gallery import Gallery, Load
from imagerag.reports.html.markup import Child, Html, join, tag
from imagerag.reports.html.page import document, section
from imagerag.reports.html.summary import badge
from imagerag.reports.run_diff.models import Difference, Divergence, RunDiff, RunSummary
from imagerag.reports.run_diff.text import outcome_text, pair, place, related, steps_of, unmatched_text, verdict_of


def page(found: RunDiff, a: RunRecord, b: RunRecord, load: Load) -> str:
    """The page.

    Args:
        found: how the runs differ.
        a: the first of them, `b` the other.
        load: gives an image's bytes for its SHA-256; raises LookupError or BlobError for one that is not there.
    """
    gallery = Gallery(load)
    later = found.divergences[1:]
    body = (
        _head(found, a, b),
        section("In short", _answers(found)),
        section("Where they part", _card(found.first) if found.first else None),
        section("Picture by picture", _pictures(a, b, gallery)),
        section("Asked for and made with", _table(found.setup) if found.setup else None),
        section("In the end", _table(found.result) if found.result else None),
        section(
            "What else differs",
            tag("ol", [tag("li", _folded(divergence)) for divergence in later], class_="steps") if later else None,
            lead="In the order of the steps. Much of it follows from the first.",
        ),
    )
    return document(f"{a.run_id} and {b.run_id} · imagerag", join(*body))


def _head(found: RunDiff, a: RunRecord, b: RunRecord) -> Html:
    tone, word = ("good", "the same") if found.same else ("warn", "they differ")
    title = (
        tag("h1", a.prompt, dir="auto")
        if a.prompt == b.prompt
        else tag("div", tag("h1", a.prompt, dir="auto"), tag("h1", b.prompt, dir="auto"), class_="versus")
    )
    sides = [_side("A", found.a, a), _side("B", found.b, b)]
    return tag(
        "header",
        tag("p", tag("b", "imagerag"), " two runs compared", tag("span", word, class_=f"badge {tone}"), class_="brand"),
        title,
        tag("div", sides, class_="versus sides"),
        class_="top",
    )


def _side(name: str, side: RunSummary, record: RunRecord) -> Html:
    facts: list[tuple[str, Child]] = [
        ("run", tag("code", side.run_id)),
        ("score", "" if side.score is None else f"{percent(side.score)} met"),
        ("took", seconds(side.elapsed_s)),
        ("cost", dollars(side.cost_usd)),
        ("calls", model_calls(side.calls, side.reused)),
    ]
    shown = [tag("div", tag("dt", what), tag("dd", value)) for what, value in facts if value]
    return tag("div", tag("h2", name, badge(record)), tag("dl", shown, class_="facts"), class_="side")


def _answers(found: RunDiff) -> Html:
    rows: list[tuple[str, Child]] = [
        ("What is one to the other?", related(found)),
        ("Did they do the same?", verdict_of(found)),
    ]
    if found.setup:
        rows.append(("What was asked for differently?", _list(found.setup)))
    rows.append(("Did they end differently?", outcome_text(found)))
    return tag("dl", [join(tag("dt", asked), tag("dd", said)) for asked, said in rows], class_="answers")


def _alone(divergence: Divergence) -> str:
    return f"Only {'A' if divergence.a else 'B'} did this: {unmatched_text(divergence)}"


def _list(differences: Sequence[Difference]) -> Html:
    return tag("ul", [tag("li", *_one(difference)) for difference in differences])


def _one(difference: Difference) -> tuple[Html, ...]:
    a, b = (tag("span", _brief(said)) for said in pair(difference))
    return tag("b", difference.what), tag("span", ": "), a, tag("span", " → ", class_="mute"), b


def _brief(said: str) -> str:
    return said if len(said) <= 160 else f"{said[:150].rstrip()}…"


def _card(divergence: Divergence) -> Html:
    return tag(
        "article",
        tag("h4", place(divergence)),
        tag("p", steps_of(divergence), class_="mute"),
        _inside(divergence),
        class_="search",
    )


def _folded(divergence: Divergence) -> Html:
    told = unmatched_text(divergence) if divergence.a is None or divergence.b is None else ""
    words = [difference.what for difference in (*divergence.asked, *divergence.answered)]
    line = (
        tag("span", "≠" if divergence.a and divergence.b else "A" if divergence.a else "B", class_="number"),
        tag("strong", place(divergence)),
        tag("span", told or ", ".join(words), class_="told"),
        tag("span", steps_of(divergence), class_="facts"),
    )
    return tag("details", tag("summary", line), tag("div", _inside(divergence), class_="inside"))


def _inside(divergence: Divergence) -> Html:
    if divergence.a is None or divergence.b is None:
        return tag("p", _alone(divergence))
    parts: list[Child] = []
    if divergence.asked:
        parts += [tag("p", tag("b", "Asked"), class_="way"), _table(divergence.asked)]
    elif divergence.asked_alike:
        parts.append(tag("p", "The same was asked.", class_="mute"))
    if divergence.answered:
        parts += [tag("p", tag("b", "Answered"), class_="way"), _table(divergence.answered)]
    return join(*parts)


def _table(differences: Sequence[Difference]) -> Html:
    head = tag("tr", [tag("th", text, scope="col") for text in ("", "A", "B")])
    rows = [
        tag("tr", tag("th", difference.what, scope="row"), [tag("td", said) for said in pair(difference)])
        for difference in differences
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)), class_="scroll beside")


def _pictures(a: RunRecord, b: RunRecord, gallery: Gallery) -> Html:
    if not (a.attempts or b.attempts):
        return tag("p", "Neither has drawn a picture.", class_="nothing")
    rows = []
    for index, (one, other) in enumerate(zip_longest(a.attempts, b.attempts)):
        same = one is not None and other is not None and one.image.sha256 == other.image.sha256
        said = "the same picture" if same else "another picture" if one and other else "only one of them has it"
        rows.append(tag("h3", attempt(index).capitalize(), tag("span", f" · {said}", class_="mute")))
        cards = [_attempt(record, drawn, gallery) for record, drawn in ((a, one), (b, other))]
        rows.append(tag("div", cards, class_="versus"))
    return join(*rows)


def _attempt(record: RunRecord, drawn: Attempt | None, gallery: Gallery) -> Html:
    if drawn is None:
        return tag("p", "No such attempt.", class_="nothing")
    return attempt_card(record, drawn, gallery)
