"""An answer's parts in words, the same for a page and for Markdown: sides, sources, calls, and what it cost."""

from collections.abc import Iterator
from typing import Final

from imagerag.agent.qa.qa_record import AnswerRecord, CitedSource, QACall, RetrievedSource
from imagerag.formatting import labels
from imagerag.formatting.numbers import cosine, counted, dollars, model_calls, seconds

WITH: Final = "with the library"
WITHOUT: Final = "without the library"


def answer_or_reason(record: AnswerRecord) -> str:
    """The answer from the library, or the reason for none."""
    return record.answer or record.reason or "nothing"


def baseline_or_reason(record: AnswerRecord) -> str:
    """The same model's answer without the library, or the reason for none; empty where it was not called."""
    without = record.baseline_answer
    if without is None:
        return ""
    return without.answer or (f"nothing: {without.reason}" if without.reason else "nothing")


def closeness(one: CitedSource | RetrievedSource) -> str:
    """The similarity of a source: to the question's image where that found it, else to its words."""
    near = one.similarity
    if one.image_similarity is not None and (near is None or getattr(one, "by", "image") == "image"):
        near = one.image_similarity
    return "far" if near is None else cosine(near)


def looked_at(record: AnswerRecord) -> str:
    """The number of images considered and accepted."""
    accepted = sum(one.accepted for one in record.retrieved)
    return f"{counted(len(record.retrieved), 'image')} looked at, {accepted} accepted"


def retrieval_text(record: AnswerRecord) -> str:
    """The number of images considered, and the thresholds."""
    parts = [looked_at(record)]
    parts += [f"threshold {cosine(record.threshold)}"] if record.threshold is not None else []
    parts += [f"between images {cosine(record.image_threshold)}"] if record.image_threshold is not None else []
    return ", ".join(parts)


def why(one: RetrievedSource) -> str:
    """The reason why a source was considered, or was not taken."""
    return labels.cited(one.accepted, one.by)


def call_text(call: QACall) -> str:
    """One call: its backend, its inputs and its result."""
    parts = [counted(len(call.question_images), "image of the question's own", "images of the question's own")]
    parts = parts if call.question_images else []
    parts += [f"sources {', '.join(map(str, call.sources))}"] if call.sources else []
    came = "no answer" if not call.completed else "from the journal" if call.cached else seconds(call.elapsed_s)
    side = WITH if call.retrieval else WITHOUT
    return f"{side}: {call.backend}, shown {' and '.join(parts) or 'the question alone'}; {came}"


def facts(record: AnswerRecord) -> Iterator[tuple[str, str]]:
    """Facts about an answer, by name."""
    yield "library", record.library or "none"
    yield "answered by", record.answerer
    yield "searched by", labels.SEARCHED_BY[record.by]
    yield "took", seconds(record.elapsed_s)
    yield "cost", dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)
    yield "calls", model_calls(sum(record.calls.values()), sum(record.cached_calls.values()))
    yield "thread", record.thread_id
