"""Titles and lines for the templates of attempts and searches, in the words of a language (`t`)."""

from collections.abc import Iterator, Sequence
from typing import Final

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Candidate, Search, UsedReference, Verdict
from imagerag.formatting.found_by import found_by_text
from imagerag.formatting.numbers import cosine
from imagerag.formatting.texts import Texts
from imagerag.formatting.web_credits import licence_text, page_of
from imagerag.reports.record_text import passed, score_of

SHOWN: Final = 12
"""Candidates of one search that are shown with their images; the rest is a line each."""


def card_title(attempt: Attempt, t: Texts) -> str:
    """The number and round of an attempt."""
    drawing = t("attempt.round", round=attempt.round) if attempt.round else t("attempt.first")
    origin = t.label("ORIGINS", "handed_in").name if attempt.origin == "handed_in" else drawing
    return t("attempt.title", number=attempt.index + 1, origin=origin)


def reference_name(reference: UsedReference, t: Texts) -> str:
    """The name of a reference."""
    if reference.role != "reference":
        return reference.concept or reference.title or t("attempt.own_image")
    return reference.concept or reference.title


def reference_intent(reference: UsedReference, t: Texts) -> str:
    """The intent of a reference, where it is more than to inform."""
    if reference.mask is not None:
        return t("attempt.only_where_light")
    intent = t.label("INTENTS", reference.role).name if reference.role != "reference" else ""
    return ", ".join(filter(None, (intent, t("attempt.likeness") if reference.likeness else "")))


def score(verdict: Verdict | None, t: Texts) -> str:
    """`2 of 3`, or what there is instead of a score."""
    if verdict is not None and verdict.status == "judged" and verdict.checks:
        return t("attempt.share", met=sum(check.met for check in verdict.checks), all=len(verdict.checks))
    return score_of(verdict, t)


def unjudged(verdict: Verdict | None, t: Texts) -> str:
    """Text for an attempt without a checklist."""
    summary = score_of(verdict, t) + (f": {verdict.reason}" if verdict and verdict.reason else "")
    return summary[:1].upper() + summary[1:] + "."


def image_facts(attempt: Attempt) -> str:
    """The generator, size, type and hash of an image."""
    image = attempt.image
    facts = f"{image.width}×{image.height}, {image.media_type}, {image.sha256[:12]}"
    return " · ".join(filter(None, (attempt.generator, facts)))


def judged(record: RunRecord) -> list[Attempt]:
    """The attempts that a requirement-by-attempt table compares: three or more; two are read side by side."""
    attempts = [attempt for attempt in record.attempts if attempt.verdict and attempt.verdict.checks]
    return attempts if len(attempts) > 2 else []


def requirements(attempts: Sequence[Attempt]) -> list[str]:
    """All that was checked in any of them, once."""
    checks = (check for attempt in attempts if attempt.verdict for check in attempt.verdict.checks)
    return list(dict.fromkeys(check.requirement.text for check in checks))


def met(verdict: Verdict | None, text: str) -> bool | None:
    """Whether a requirement is met; None where it was not checked."""
    checks = verdict.checks if verdict else ()
    return next((check.met for check in checks if check.requirement.text == text), None)


def rounds(record: RunRecord, t: Texts) -> Iterator[tuple[str, list[Search]]]:
    """The searches of each round, under its title."""
    for number in sorted({search.round for search in record.searches}):
        title = t("search.for_round", round=number) if number else t("search.before")
        yield title, [search for search in record.searches if search.round == number]


def longest(searches: Sequence[Search]) -> float:
    """End of the bars: a little beyond the highest similarity or threshold of the run. They start at 0."""
    values = [c.similarity for search in searches for c in search.candidates]
    values += [limit for search in searches for limit in search.thresholds.values()]
    return max([0.05, *values]) * 1.08


def part(value: float, top: float) -> str:
    """Length of a value on a bar that ends at `top`, for CSS."""
    return f"{100 * max(0.0, min(value / top, 1.0)):.1f}%"


def sought(search: Search, t: Texts) -> str:
    """The subject of a search: its concept, or the whole prompt."""
    return t("search.whole_prompt") if search.query.by == "prompt" else search.query.concept.text


def search_line(search: Search, t: Texts) -> str:
    """The threshold of a search, and how many candidates reached it."""
    limits = [
        t("search.limit_in", cosine=cosine(limit), name=name) if name else t("search.limit", cosine=cosine(limit))
        for name, limit in search.thresholds.items()
    ]
    limit = t("search.threshold", limits=", ".join(limits)) if limits else t("search.threshold_off")
    return f"{limit} · {t('search.passed', n=len(search.candidates), passed=sum(map(passed, search.candidates)))}"


def credit(candidate: Candidate, t: Texts) -> str:
    """The author, licence, source and library of a candidate."""
    library = t("search.library", name=candidate.library) if candidate.library else ""
    source = "" if candidate.web else candidate.source  # of an image from the web its page, which is a link
    return ", ".join(filter(None, (candidate.author, licence_text(candidate.licence), source, library)))


def page(candidate: Candidate) -> str:
    """The page of a candidate from the web; empty for any other."""
    return page_of(candidate.web)


def found_by(candidate: Candidate, t: Texts) -> str:
    """The lists of a hybrid search that have a candidate."""
    return found_by_text(candidate.found_by, t.starting("search.list"))
