"""Titles and lines for the templates of attempts and searches."""

from collections.abc import Iterator, Sequence
from typing import Final

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Candidate, Search, UsedReference, Verdict
from imagerag.formatting import labels
from imagerag.formatting.found_by import found_by_text
from imagerag.formatting.numbers import attempt as attempt_name
from imagerag.formatting.numbers import counted, threshold_words
from imagerag.formatting.web_credits import licence_text, page_of
from imagerag.reports.record_text import passed, score_of

SHOWN: Final = 12
"""Candidates of one search that are shown with their images; the rest is a line each."""


def card_title(attempt: Attempt) -> str:
    """The number and round of an attempt."""
    return f"{attempt_name(attempt.index)}, {labels.attempt_origin(attempt.origin, attempt.round)}".capitalize()


def reference_name(reference: UsedReference) -> str:
    """The name of a reference."""
    if reference.role != "reference":
        return reference.concept or reference.title or "your own image"
    return reference.concept or reference.title


def reference_intent(reference: UsedReference) -> str:
    """The intent of a reference, where it is more than to inform."""
    if reference.mask is not None:
        return "to be changed only where the mask is light"
    intent = labels.INTENTS[reference.role] if reference.role != "reference" else ""
    return ", ".join(filter(None, (intent, "must be the very one" if reference.likeness else "")))


def unjudged(verdict: Verdict | None) -> str:
    """Text for an attempt without a checklist."""
    summary = score_of(verdict) + (f": {verdict.reason}" if verdict and verdict.reason else "")
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


def rounds(record: RunRecord) -> Iterator[tuple[str, list[Search]]]:
    """The searches of each round, under its title."""
    for number in sorted({search.round for search in record.searches}):
        title = f"For round {number}" if number else "Before the first drawing"
        yield title, [search for search in record.searches if search.round == number]


def longest(searches: Sequence[Search]) -> float:
    """End of the bars: a little beyond the highest similarity or threshold of the run. They start at 0."""
    values = [c.similarity for search in searches for c in search.candidates]
    values += [limit for search in searches for limit in search.thresholds.values()]
    return max([0.05, *values]) * 1.08


def part(value: float, top: float) -> str:
    """Length of a value on a bar that ends at `top`, for CSS."""
    return f"{100 * max(0.0, min(value / top, 1.0)):.1f}%"


def search_line(search: Search) -> str:
    """The threshold of a search, and how many candidates reached it."""
    limit = threshold_words(search.thresholds, off="threshold off: anything passes")
    through = sum(map(passed, search.candidates))
    return f"{limit} · {counted(len(search.candidates), 'candidate')}, {through} passed"


def credit(candidate: Candidate) -> str:
    """The author, licence, source and library of a candidate."""
    library = f"library {candidate.library}" if candidate.library else ""
    source = "" if candidate.web else candidate.source  # of an image from the web its page, which is a link
    return ", ".join(filter(None, (candidate.author, licence_text(candidate.licence), source, library)))


def page(candidate: Candidate) -> str:
    """The page of a candidate from the web; empty for any other."""
    return page_of(candidate.web)


def found_by(candidate: Candidate) -> str:
    """The lists of a hybrid search that have a candidate."""
    return found_by_text(candidate.found_by)
