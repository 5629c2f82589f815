"""The answers of a chat: the image by its address, the outcome, the checklist, credits, cost and what to do next."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from langchain_core.messages import AIMessage

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import UsedReference, Verdict
from imagerag.chat.choice import Question
from imagerag.chat.markdown import picture, plain
from imagerag.formatting import labels
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import attempt_of, cosine, counted, dollars, model_calls, seconds
from imagerag.formatting.web_credits import found_text, licence_text
from imagerag.graphs.configuration.public_url import image_url
from imagerag.reports.record_text import drawing_notes, judging_notes, mask_words, score_of


def reply(record: RunRecord) -> AIMessage:
    """The message about a run that has ended."""
    return _message(record, f"{record.run_id}-reply", "\n\n".join(_ending(record)))


def question(record: RunRecord, asked: Question) -> AIMessage:
    """The message before a question, of which front ends show the interrupt below it."""
    number = sha256(str([one["id"] for one in asked.offered]).encode()).hexdigest()[:12]
    images = [picture(image_url(str(one["id"])), str(one["number"])) for one in asked.offered]
    text = "\n\n".join([f"**Choose references:** {counted(len(images), 'image')} passed.", " ".join(images)])
    return AIMessage(content=text, id=f"{record.run_id}-question-{number}", additional_kwargs=_facts(record))


def problem(reason: str) -> AIMessage:
    """The message about an answer that cannot be: not every front end shows the text of the question again."""
    return AIMessage(content=f"**Not taken:** {plain(reason)}")


def _message(record: RunRecord, identifier: str, text: str) -> AIMessage:
    content: list[str | dict[Any, Any]] = [{"type": "text", "text": text}]
    if record.image is not None:
        image = record.image
        content.append({"type": "image", "url": image_url(image.sha256), "mime_type": image.media_type})
    return AIMessage(content=content, id=identifier, additional_kwargs=_facts(record))


def _facts(record: RunRecord) -> Mapping[str, Any]:
    """What a program wants to know of a run without reading words."""
    image = record.image.sha256 if record.image else None
    return {"imagerag": {"run_id": record.run_id, "status": record.status, "outcome": record.outcome, "image": image}}


def _ending(record: RunRecord) -> Iterator[str]:
    ended = labels.standing(record.status, record.outcome)
    yield f"**{ended.name.capitalize()}**: {ended.meaning}."
    if record.reason and record.reason != ended.meaning:
        yield plain(as_commands(record.reason), 600)
    yield from (f"Warning: {plain(as_commands(warning))}" for warning in record.warnings)
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    if best is not None:
        name = attempt_of(best.index, len(record.attempts))
        yield picture(image_url(best.image.sha256), name)
        yield f"{name.capitalize()}, {score_of(best.verdict)}"
        yield from filter(None, [_checklist(best.verdict)])
        notes = [*drawing_notes(best), *judging_notes(record), *([mask_words(best.mask)] if best.mask else [])]
        yield from (f"Note: {plain(as_commands(note))}" for note in notes)
    if record.references:
        yield "\n".join(["Images in it:", "", *(f"- {_credit(one)}" for one in record.references)])
    if record.sources:
        sources = (f"- {plain(one.name, 80)} {plain(one.shown_address(300), 300)}" for one in record.sources)
        yield "\n".join([f"{labels.WEB_SOURCES.capitalize()}:", "", *sources])
    yield _cost(record)
    yield "\n".join(["Next:", "", *(f"- {step}" for step in _next(record))])


def _checklist(verdict: Verdict | None) -> str:
    checks = verdict.checks if verdict else ()
    lines = []
    for check in checks:
        kind = labels.KINDS.get(check.requirement.kind, "")
        mark, why = ("✓", "") if check.met else ("✗", f": {plain(check.evidence, 200)}" if check.evidence else "")
        lines.append(f"- {mark} {plain(check.requirement.text, 200)}{f' ({kind})' if kind else ''}{why}")
    return "\n".join(lines)


def _credit(reference: UsedReference) -> str:
    name = f"[{plain(reference.title or reference.concept or 'image', 80)}]({image_url(reference.image.sha256)})"
    if reference.role != "reference":
        return f"{name}, {labels.CHOICES.get(reference.selected_by, '')}, which {labels.INTENTS[reference.role]}"
    similarity = "" if reference.similarity is None else f", similarity {cosine(reference.similarity)}"
    licence = plain(licence_text(reference.licence), 80) or "unknown"
    author = f", by {plain(reference.author, 80)}" if reference.author else ""
    found = f", {plain(found_text(reference.web))}" if reference.web else ""
    return f"{name} for {plain(reference.concept, 80)}{similarity}, licence {licence}{author}{found}"


def _cost(record: RunRecord) -> str:
    calls = model_calls(sum(record.calls.values()), sum(record.cached_calls.values()))
    unknown = f" for {', '.join(map(plain, record.has_unknown_cost))}" if record.has_unknown_cost else ""
    cost = dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)
    return f"Cost: {cost}{unknown} ({calls}, {seconds(record.elapsed_s)}); run `{record.run_id}`"


def _next(record: RunRecord) -> Iterator[str]:
    yield (
        "write what is to be different, and it is drawn again"
        if record.image is not None
        else "write another prompt, and it is drawn anew"
    )
    yield from (plain(as_commands(step), 300) for step in record.next_steps)
