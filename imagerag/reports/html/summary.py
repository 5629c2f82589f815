"""The four questions a reader comes with, answered from the record alone."""

from collections import Counter
from collections.abc import Iterator, Sequence

from imagerag.agent.no_reference_reason import furthest
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Candidate, Outcome, Search
from imagerag.formatting.labels import DECISIONS, sought
from imagerag.formatting.numbers import attempt, cosine, counted, dollars, model_calls, seconds
from imagerag.formatting.text import image_name
from imagerag.formatting.web_credits import licence_text, page_of
from imagerag.reports.record_text import score_of, similarity_text

UNUSED = frozenset(DECISIONS) - {"taken", "offered", ""}


def question(record: RunRecord) -> str:
    """The first question of the summary."""
    if record.outcome is None:
        return "Is it aligned?"
    return "Why is it aligned?" if record.outcome is Outcome.ALIGNED else "Why is it not aligned?"


def why(record: RunRecord) -> str:
    """The reason for the outcome."""
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    if record.outcome is Outcome.ALIGNED and best is not None:
        number = len(best.verdict.checks) if best.verdict else 0
        all_ = f"all {number} requirements" if number > 1 else "everything the prompt asks for"
        return f"The judge found {all_} in {attempt(best.index)}."
    reason = record.reason or {
        "interrupted": "Nobody knows yet: the run waits for you to choose its references.",
        "running": "Nobody knows yet: the run has not finished.",
    }.get(record.status, "")
    sentence = reason[:1].upper() + reason[1:]
    if best is not None:
        stop = "" if reason.endswith((".", "!", "?")) else "."
        sentence += f"{stop} Best is {attempt(best.index)}: {score_of(best.verdict)}."
    return sentence


def unresolved(record: RunRecord) -> Sequence[str]:
    """The unresolved requirements; none where it is aligned."""
    return () if record.outcome is Outcome.ALIGNED and record.best_attempt is not None else record.unresolved


def searched(record: RunRecord) -> list[str]:
    """The subjects of all searches, each once."""
    return list(dict.fromkeys(sought(search.query.by, search.query.concept.text) for search in record.searches))


def reference_credits(record: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Each reference that was sent, whom it is to be credited to, and its page where it is from the web."""
    references = {ref.image.sha256: ref for attempt in record.attempts for ref in attempt.references}
    for ref in references.values():
        at = "" if ref.similarity is None else f" at {cosine(ref.similarity)}"
        stands = f", for {ref.concept}" if ref.concept and ref.role == "reference" else ""
        name = image_name(ref.title or ("your own image" if ref.role != "reference" else ""), ref.image.sha256)
        yield f"{name}{at}{stands}", ", ".join(filter(None, (ref.author, licence_text(ref.licence)))), page_of(ref.web)


def unused(record: RunRecord) -> Iterator[tuple[str, str, str]]:
    """The number of unused candidates by reason, the nearest of each, and its page where it is from the web."""
    # Each image once, by how far it came: one that three searches passed over is one image that is not used.
    candidates = [pair for pair in furthest(record.searches) if pair[0].decision in UNUSED]
    tally = Counter(str(candidate.decision) for candidate, _ in candidates)
    for decided, number in tally.most_common():
        nearest, search = max(
            (pair for pair in candidates if pair[0].decision == decided), key=lambda pair: pair[0].similarity
        )
        meaning = f"{counted(number, 'image')} {DECISIONS[decided].meaning}"
        yield meaning, _nearest(nearest, search), page_of(nearest.web)


def _nearest(candidate: Candidate, search: Search) -> str:
    return f"nearest: {image_name(candidate.title, candidate.image.sha256)} at {similarity_text(candidate, search)}"


def cost(record: RunRecord) -> str:
    """Cost, time and calls, and the backends without a known price."""
    roles = ", ".join(f"{number} × {role}" for role, number in record.calls.items())
    unpriced = f" No price is known for {_listed(record.has_unknown_cost)}." if record.has_unknown_cost else ""
    count = sum(record.calls.values())
    calls = model_calls(count, sum(record.cached_calls.values()))
    money = dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd).capitalize()
    message = f"{money}, {seconds(record.elapsed_s)}, {calls}"
    return f"{message}{f': {roles}' if roles else ''}.{unpriced}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
