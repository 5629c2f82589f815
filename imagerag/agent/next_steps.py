"""Next steps after a run, the most useful first, in the terms of the Python API."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final

from imagerag.agent.calls.costs import HOW_TO_PRICE
from imagerag.agent.no_reference_reason import furthest
from imagerag.agent.retrieval.search_queries import WEB, names_of, split_name
from imagerag.agent.retry_policy import describe_delay
from imagerag.agent.run_call import run_call
from imagerag.agent.types import BUILT_IN_LIBRARY, Candidate, Cause, Outcome, RequirementCheck, Search
from imagerag.formatting.interface_terms import FILE, NAME, PATH, SPEC, Placeholder, python_call
from imagerag.formatting.labels import OUTCOMES
from imagerag.formatting.numbers import cosine, percent

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord

_PRONOUN: Final = re.compile(r"\b(?:it|this|that|them|these|those)\b", re.I)
_ARTICLE: Final = re.compile(r"^(?:an?|the|some|two|three)\s+", re.I)

MOST: Final = 3
"""Ways out that are named of a run without a usable reference."""


def next_steps(record: "RunRecord") -> list[str]:
    """Next steps; the command line shows their calls as commands."""
    if record.status == "interrupted":
        call = python_call("runs.resume", record.run_id, choose=[1, 2])
        steps = [f"choose references by number: {call} (or `choose=[]`)"]
        if record.question and record.question.get("may_edit"):
            steps.append(f"or edit one of them: {python_call('runs.resume', record.run_id, edit=1)}")
        return steps
    if record.outcome is None:
        return [f"the run is unfinished: {python_call('runs.resume', record.run_id)}"]
    if record.error == "AuthError":
        return [_key(record), _see(record)]
    if record.error == "WaitTooLongError":
        return [*_wait(record), _see(record)]
    return [*_mask_steps(record), *_unclear_besides(record), *_after(record, record.outcome)]


def _see(record: "RunRecord") -> str:
    return f"see what happened: {python_call('runs.get', record.run_id)}"


def _after(record: "RunRecord", outcome: Outcome) -> list[str]:
    own = OUTCOMES[outcome].next_step.format(run_id=record.run_id)
    if outcome is Outcome.NO_USABLE_REFERENCE:
        return [*_ways_out(record), own]
    if outcome is Outcome.BUDGET_EXHAUSTED and HOW_TO_PRICE in record.reason:
        return [_price(record)]
    if outcome is Outcome.BEST_EFFORT:
        return [own] if record.unresolved and not _lacking(record) else [own, _add(record)]
    return [own] if own else []


def _price(record: "RunRecord") -> str:
    """How to go on where a budget in money could not be kept, because the price of a call is not known."""
    usd = Placeholder("X")
    if record.best_attempt is None:
        again = run_call(record, assume_cost_usd_per_call=usd)
        return f"say what a call costs at most, in US dollars, and run it again: {again}"
    again = python_call("runs.continue_", record.run_id, assume_cost_usd_per_call=usd)
    return f"say what a call costs at most, in US dollars, and go on: {again}"


def _mask_steps(record: "RunRecord") -> list[str]:
    """A note on a mask that could not be held."""
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    if best is None or best.mask is None or best.mask.held:
        return []
    changed = f"{percent(best.mask.changed_outside)} of what is outside of it changed"
    return [f"the mask is not held ({best.mask.reason}; {changed}): give `size=WxH` in the image's own shape"]


def _key(record: "RunRecord") -> str:
    """Name the key to set: the variable that the reason names, else that of the backend that was asked last."""
    variable = re.search(r"(?<=\bset )[A-Z][A-Z0-9_]+|\b[A-Z][A-Z0-9_]*_KEY\b", record.reason)
    of = record.call_log[-1].backend if record.call_log else "the backend"
    advice = f"set {variable[0]}" if variable else f"check the key of {of}"
    return f"{advice}, and run it again; which keys are set: imagerag doctor"


def _wait(record: "RunRecord") -> Iterator[str]:
    """Name the time to ask a service again that asked for a longer wait than there was time or patience for."""
    seconds = next((call.retry_after_s for call in reversed(record.call_log) if call.retry_after_s), 0.0)
    yield (
        f"run it again in {describe_delay(seconds)}; what was answered is not paid twice: "
        f"{run_call(record, cache='reuse')}"
    )
    yield f"or let it wait: {run_call(record, cache='reuse', patience_s=ceil(seconds))}"


def last_searches(record: "RunRecord") -> list[Search]:
    """The searches that no drawing followed: those that the run ended with."""
    last_round = max((attempt.round for attempt in record.attempts), default=-1)
    return [search for search in record.searches if search.round > last_round]


def _ways_out(record: "RunRecord") -> list[str]:
    ways = [way for cause in record.causes for way in _WAYS[cause](record)]
    return list(dict.fromkeys(ways))[:MOST] or [_add(record)]


def _filtered(record: "RunRecord") -> Iterator[str]:
    by = {one.by for search in last_searches(record) for one in search.left_out if one.passing}
    by = by or {one.by for search in last_searches(record) for one in search.left_out}
    filters = {"licences": None, "tags": None, "filter": ""}  # an empty filter leaves out the one that is set, too
    without = {name: value for name, value in filters.items() if name in by} or filters
    yield f"run it without {' or '.join(f'`{name}`' for name in without)}: {run_call(record, **without)}"


def _excluded(record: "RunRecord") -> Iterator[str]:
    left_out = (one for search in last_searches(record) for one in search.left_out if one.by == "excluded")
    allowed = next((sha for one in left_out for sha in one.passing if sha in record.excluded_images), None)
    if allowed:
        yield f"allow one that is never to be used: {_continue_with(record, allowed)}"


def _below(record: "RunRecord") -> Iterator[str]:
    config = record.setup.config if record.setup else None
    if config and isinstance(config.threshold, float):
        limit = cosine(config.threshold)
        yield f"ask for less than {limit}: {run_call(record, threshold='auto')}"
    yield _add(record)
    if nearest := _nearest(record, "below_threshold"):
        how = f"use the closest all the same ({_name(nearest)}, {cosine(nearest.similarity)})"
        yield f"{how}: {_continue_with(record, nearest.image.sha256[:12])}"


def _used(record: "RunRecord") -> Iterator[str]:
    yield _add(record)
    yield f"try another generator: {run_call(record, generator=SPEC)}"


def _declined(record: "RunRecord") -> Iterator[str]:
    if nearest := _nearest(record, "rejected_by_hand"):
        message = f"draw with one that you did not choose ({_name(nearest)})"
        yield f"{message}: {_continue_with(record, nearest.image.sha256[:12])}"
    yield _add(record)


def _unfit(record: "RunRecord") -> Iterator[str]:
    if nearest := _nearest(record, "rejected_by_reranker"):
        message = f"use one that the reranker left out ({_name(nearest)})"
        yield f"{message}: {_continue_with(record, nearest.image.sha256[:12])}"
    yield _add(record)


def _missing(record: "RunRecord") -> Iterator[str]:
    yield f"index the folder again whose files moved: {_index(PATH, _named(record))}"


def _room(record: "RunRecord") -> Iterator[str]:
    yield "send fewer images of your own, or allow more with `max_references`, where the generator takes more"


def _none_taken(record: "RunRecord") -> Iterator[str]:
    yield "use a generator that takes reference images: `generator=SPEC` (imagerag doctor says what there is)"


def _no_library(record: "RunRecord") -> Iterator[str]:
    yield f"name a library: {run_call(record, library=NAME)} ({python_call('libraries.list')})"


def _empty(record: "RunRecord") -> Iterator[str]:
    yield f"fill the library: {_index(PATH, _named(record))}"


def _unclear_besides(record: "RunRecord") -> list[str]:
    """The same where more than that is missing."""
    besides = "unclear_feedback" not in record.causes and any(check.unclear for check in _checks(record))
    return [*_unclear(record)] if besides else []


def _unclear(record: "RunRecord") -> Iterator[str]:
    """How to give a feedback that names its thing, to the run before: on this one, the unclear one would stay."""
    checks = _checks(record)
    text = next((check.requirement.text for check in checks if check.unclear), "")
    thing = next((check.requirement.text for check in checks if check.met and check.requirement.kind == "content"), "")
    words, pronouns = _PRONOUN.subn(f"the {_ARTICLE.sub('', thing)}", text, count=1)
    parent = record.parent_run
    if parent is None or parent.step is not None:
        yield "say which thing is meant, by its name"
        return
    feedback = words if pronouns and thing else Placeholder("TEXT")
    yield f"say which thing is meant: {python_call('runs.continue_', parent.run_id, feedback=feedback)}"


_WAYS: "Final[Mapping[Cause, Callable[[RunRecord], Iterator[str]]]]" = {
    "takes_none": _none_taken,
    "no_room": _room,
    "no_library": _no_library,
    "empty_library": _empty,
    "filtered": _filtered,
    "excluded": _excluded,
    "rejected_by_hand": _declined,
    "already_used": _used,
    "rejected_by_reranker": _unfit,
    "missing_file": _missing,
    "below_threshold": _below,
    "unclear_feedback": _unclear,
}


def _lacking(record: "RunRecord") -> list[str]:
    """What the best attempt lacks and an image could show: not what an edit had to keep."""
    checks = _checks(record)
    preserved = {check.requirement.text for check in checks if check.requirement.kind == "kept"}
    return [text for text in record.unresolved if text not in preserved]


def _checks(record: "RunRecord") -> Sequence[RequirementCheck]:
    """The checks of the best attempt."""
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    return best.verdict.checks if best and best.verdict else ()


def _add(record: "RunRecord") -> str:
    lacking = _lacking(record) or [entry.concept.text for entry in record.concepts if entry.resolved_round is None]
    subject = " and of ".join(f"'{text}'" for text in dict.fromkeys(lacking)) or "what is missing"
    if _named(record) == BUILT_IN_LIBRARY:
        return f"index an image of {subject} of your own: {_index(FILE, NAME)}"
    return f"add an image of {subject}: {_index(FILE, _named(record))}"


def _nearest(record: "RunRecord", decision: str) -> Candidate | None:
    sent_images = {reference.image.sha256 for attempt in record.attempts for reference in attempt.references}
    candidates = [
        candidate
        for candidate, _ in furthest(last_searches(record))
        if candidate.decision == decision and candidate.image.sha256 not in sent_images
    ]
    return max(candidates, key=lambda candidate: candidate.similarity, default=None)


def _name(candidate: Candidate) -> str:
    return f"'{candidate.title}'" if candidate.title else candidate.image.sha256[:12]


def _continue_with(record: "RunRecord", image: str) -> str:
    return python_call("runs.continue_", record.run_id, add_images=[image])


def _index(path: Placeholder, library: str) -> str:
    return python_call("libraries.index", path, library=library)


def library_to_add_to(library: str | None) -> str:
    """The library that images can be added to: of several, the first of the user's own; no snapshot, no service."""
    names = [name for name in names_of(library or "") if name and not name.startswith(WEB)] or [NAME]
    return split_name(next((name for name in names if name != BUILT_IN_LIBRARY), names[0]))[0]


def _named(record: "RunRecord") -> str:
    return library_to_add_to(record.setup.library if record.setup else None)
