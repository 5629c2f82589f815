"""Text for the steps of a run's history, as the report and `imagerag show` list them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.outcomes import describe_missing
from imagerag.agent.retrieval.escalation import ask_params
from imagerag.agent.types import Attempt, ModelCall, RunSpec, Search
from imagerag.formatting import labels
from imagerag.formatting.numbers import counted, temperature, threshold_words
from imagerag.reports.record_text import attempt_title, passed, score_of, taken_text

if TYPE_CHECKING:
    from imagerag.graphs.runs.history import Change, Step

    Changes = Mapping[str, Change]


def varied_parameter(calls: Sequence[ModelCall]) -> str:
    """The parameter that a retry varied: the temperature, or seed and wording."""
    parts = []
    for call in calls:
        varied = call.variation
        if varied.varied_parameter == "temperature" and varied.temperature is not None:
            parts.append(temperature(varied.temperature))
        elif varied.varied_parameter == "seed_and_wording":
            parts.append(f"seed {varied.seed}" if varied.seed is not None else f"wording {varied.prompt_variant + 1}")
    return ", ".join(dict.fromkeys(parts))


def try_text(step: "Step") -> int:
    """The number of the try of a step's last call, from 1; 0 for a step without a call."""
    return step.calls[-1].variation.attempt + 1 if step.calls else 0


def step_text(step: "Step") -> str:
    """Text of a step, on one line."""
    if step.status == "failed" and (result := step.changes.get("result")) and result.after:
        return str(result.after.reason)
    if step.status != "done":
        return step.error or labels.STEP_STATUSES[step.status].meaning
    teller = NODE_TEXTS.get(step.node)
    words = (teller(step.changes) if teller else "") or NODE_WITHOUT_CHANGES.get(step.node, "")
    return ": ".join(filter(None, (ask_params(step.calls), words)))


NAMED_NOTHING: Final = "the judge could name nothing"
NOTHING_NEW: Final = "nothing that was not searched with before"

NODE_WITHOUT_CHANGES: Final = {
    "write_captions": NOTHING_NEW,
    "extract_concepts": NAMED_NOTHING,
    "critique": "the judge's answer changed nothing",
    "finish": "the run already had its result",
}


def _attempt_text(changes: "Changes") -> str:
    attempt = _newest(changes)
    return attempt_title(attempt) if attempt else ""


def _score_text(changes: "Changes") -> str:
    attempt = _newest(changes)
    if attempt is None:
        return ""
    missing = describe_missing(attempt.verdict) if attempt.verdict and not attempt.verdict.aligned else []
    return score_of(attempt.verdict) + (f"; missing: {'; '.join(missing)}" if missing else "")


def _newest(changes: "Changes") -> Attempt | None:
    attempts: list[Attempt] = changes["attempts"].after if "attempts" in changes else []
    return attempts[-1] if attempts else None


def _searches_text(changes: "Changes") -> str:
    return "; ".join(_search(search) for search in new_searches(changes))


def _search(search: Search) -> str:
    through = sum(map(passed, search.candidates))
    at = threshold_words(search.thresholds, off="no threshold")
    for_what = labels.sought(search.query.by, search.query.concept.text)
    return f"{for_what}: {counted(len(search.candidates), 'candidate')}, {through} passed ({at})"


def _decided(changes: "Changes") -> str:
    references = changes["chosen"].after if "chosen" in changes else []
    if references:
        return taken_text(references)
    offered = sum(c.decision == "offered" for search in new_searches(changes) for c in search.candidates)
    return f"{offered} to choose from" if offered else "nothing that was found is used"


def new_searches(changes: "Changes") -> list[Search]:
    """The searches that a step added or decided."""
    if "searches" not in changes:
        return []
    earlier = changes["searches"].before or []
    return [search for search in changes["searches"].after or [] if search not in earlier]


NODE_TEXTS: "Final[Mapping[str, Callable[[Changes], str]]]" = {
    "input": lambda changes: "; ".join(filter(None, [_after(changes, "prompt"), *_after(changes, "feedback")])),
    "generate": _attempt_text,
    "regenerate": _attempt_text,
    "critique": _score_text,
    "extract_concepts": lambda changes: "; ".join(concept.text for concept in _after(changes, "concepts")),
    "write_captions": lambda changes: "; ".join(f"“{query.text}”" for query in _after(changes, "queries")),
    "retrieve": _searches_text,
    "shortlist": _decided,
    "select": _decided,
    "finish": lambda changes: changes["result"].after.reason if "result" in changes else "",
    "cancel": lambda changes: changes["result"].after.reason if "result" in changes else "",
    "update": lambda changes: _by_hand(changes) or "nothing: what follows is done again as it was",
}


def _by_hand(changes: "Changes") -> str:
    """The changes of a fork, without lineage and billing."""
    parts = []
    for name in changes:
        before, after = changes[name].before, changes[name].after
        if name == "setup" and before is not None and after is not None:
            old, new = backend_inputs(before), backend_inputs(after)
            parts += [f"{what} {old.get(what)} → {new.get(what)}" for what in new if old.get(what) != new.get(what)]
        elif name == "prompt":
            parts.append(f"prompt “{after}”")
        elif name not in ("started_at", "parent_run", "requirements", "revision"):
            parts.append("references" if name == "chosen" else name)
    return ", ".join(parts)


def _after(changes: "Changes", name: str) -> Any:
    return (changes[name].after or []) if name in changes else []


def score_in(step: "Step") -> str:
    """The score that a step gave, as `2/3`; empty for a step that judged nothing."""
    attempt = _newest(step.changes) if step.node == "critique" else None
    if attempt is None or attempt.verdict is None:
        return ""
    verdict = attempt.verdict
    if verdict.checks:
        return f"{sum(check.met for check in verdict.checks)}/{len(verdict.checks)}"
    return {True: "yes", False: "no"}.get(bool(verdict.aligned), "") if verdict.aligned is not None else "none"


def missing_of(step: "Step") -> str:
    """The requirements that a critique found missing."""
    attempt = _newest(step.changes) if step.node == "critique" else None
    verdict = attempt.verdict if attempt else None
    return "; ".join(describe_missing(verdict)) if verdict and not verdict.aligned else ""


def passed_of(step: "Step") -> str:
    """The passed and all candidates of a search, as `1 of 8`."""
    if step.node != "retrieve":
        return ""
    candidates = [c for search in new_searches(step.changes) for c in search.candidates]
    return f"{sum(map(passed, candidates))} of {len(candidates)}"


def backend_inputs(setup: RunSpec) -> dict[str, Any]:
    """A setup and its config by their names."""
    values = setup.canonical().model_dump(mode="json")
    return {**values.pop("config"), **values}
