"""The four questions a reader comes with, answered from the record alone."""

from collections import Counter
from collections.abc import Sequence

from imagerag.agent.no_reference_reason import furthest
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Candidate, Outcome, Search
from imagerag.formatting.labels import DECISIONS
from imagerag.formatting.numbers import attempt, cosine, counted, dollars, model_calls, seconds
from imagerag.reports.html.markup import Child, Html, join, tag
from imagerag.reports.step_text import outcome_of, score_of

UNUSED = frozenset(DECISIONS) - {"taken", "offered", ""}


def answers(record: RunRecord) -> Html:
    """Why it is or is not aligned, what was looked for, what was found and not used and why, what it cost."""
    pairs: list[tuple[str, Child]] = [
        (_question(record), _why(record)),
        ("What was looked for?", _sought(record)),
        ("What was found and used?", _used(record)),
        ("What was found and not used, and why?", _unused(record)),
        ("What did it cost?", _cost(record)),
    ]
    return tag("dl", [join(tag("dt", asked), tag("dd", said)) for asked, said in pairs], class_="answers")


def _question(record: RunRecord) -> str:
    if record.outcome is None:
        return "Is it aligned?"
    return "Why is it aligned?" if record.outcome is Outcome.ALIGNED else "Why is it not aligned?"


def _why(record: RunRecord) -> Child:
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    if record.outcome is Outcome.ALIGNED and best is not None:
        number = len(best.verdict.checks) if best.verdict else 0
        all_ = f"all {number} requirements" if number > 1 else "everything the prompt asks for"
        return f"The judge found {all_} in {attempt(best.index)}."
    said = record.reason or {
        "interrupted": "Nobody knows yet: the run waits for you to choose its references.",
        "running": "Nobody knows yet: the run has not finished.",
    }.get(record.status, "")
    parts: list[Child] = [said[:1].upper() + said[1:]]
    if best is not None:
        stop = "" if said.endswith((".", "!", "?")) else "."
        parts.append(f"{stop} Best is {attempt(best.index)}: {score_of(best.verdict)}.")
    if record.unresolved:
        parts.append(tag("ul", [tag("li", text) for text in record.unresolved], class_="lacking"))
    return [join(part) for part in parts]


def _sought(record: RunRecord) -> Child:
    if not record.searches:
        return "Nothing: " + (
            "no round needed it." if record.outcome is Outcome.ALIGNED else "it did not come to that."
        )
    rows = dict.fromkeys((_sought_text(search), search.query.by) for search in record.searches)
    return tag("ul", [tag("li", text) for text, _ in rows])


def _sought_text(search: Search) -> str:
    return "the prompt as a whole" if search.query.by == "prompt" else search.query.concept.text


def _used(record: RunRecord) -> Child:
    sent = {ref.image.sha256: ref for attempt in record.attempts for ref in attempt.references}
    if not sent:
        return "No reference was sent."
    rows = []
    for ref in sent.values():
        credit = ", ".join(filter(None, (ref.author, ref.licence)))
        at = "" if ref.similarity is None else f" at {cosine(ref.similarity)}"
        stands = f", for {ref.concept}" if ref.concept and ref.role == "reference" else ""
        name = ref.title or ("your own picture" if ref.role != "reference" else ref.image.sha256[:12])
        rows.append(tag("li", f"{name}{at}{stands}", tag("span", f" · {credit}", class_="mute") if credit else None))
    return tag("ul", rows)


def _unused(record: RunRecord) -> Child:
    # Each picture once, by how far it came: one that three searches passed over is one picture that is not used.
    candidates = [pair for pair in furthest(record.searches) if pair[0].decision in UNUSED]
    if not candidates:
        return "Nothing was turned down." if record.searches else "Nothing was searched."
    tally = Counter(str(candidate.decision) for candidate, _ in candidates)
    rows = []
    for decided, number in tally.most_common():
        nearest, search = max(
            (pair for pair in candidates if pair[0].decision == decided), key=lambda pair: pair[0].similarity
        )
        rows.append(
            tag(
                "li",
                f"{counted(number, 'picture')} {DECISIONS[decided].meaning}",
                tag("span", _nearest(nearest, search), class_="mute"),
            )
        )
    return tag("ul", rows)


def _nearest(candidate: Candidate, search: Search) -> str:
    name = candidate.title or candidate.image.sha256[:12]
    wanted = search.threshold_of(candidate)
    limit = "" if wanted is None else f", threshold {cosine(wanted)}"
    return f" · nearest: {name} at {cosine(candidate.similarity)}{limit}"


def _cost(record: RunRecord) -> Child:
    roles = ", ".join(f"{number} × {role}" for role, number in record.calls.items())
    unpriced = f" No price is known for {_listed(record.unpriced)}." if record.unpriced else ""
    made = sum(record.calls.values())
    calls = model_calls(made, sum(record.reused.values()))
    cost = dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd).capitalize()
    told = f"{cost}, {seconds(record.elapsed_s)}, {calls}"
    return f"{told}{f': {roles}' if roles else ''}.{unpriced}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]


def badge(record: RunRecord) -> Html:
    """How a run stands, to be seen at once."""
    word, tone = outcome_of(record)
    return tag("span", word, class_=f"badge {tone}")
