"""Outcomes of questions."""

from imagerag.agent.error_message import message_of
from imagerag.agent.errors import (
    BackendError,
    BudgetExceededError,
    ImageRAGError,
    RefusalError,
)
from imagerag.agent.qa.image_retrieval import no_similar_images
from imagerag.agent.qa.state import QAState
from imagerag.agent.qa.types import AnswerOutcome, QAResult, short
from imagerag.formatting.numbers import cosine, counted


def result_of(state: QAState) -> QAResult:
    """The result of a question without an error: answered, or why the library does not hold the answer."""
    reply, finding = state["reply"], state["finding"]
    if reply is not None:
        in_library = reply.in_library
        why = "" if in_library else "the library's images and metadata do not hold the answer"
        return QAResult(outcome=AnswerOutcome.ANSWERED if in_library else AnswerOutcome.NOT_HELD, reason=why)
    if finding is not None and finding.clear and not finding.matched and finding.condition:
        of = "the only image" if finding.rows == 1 else counted(finding.rows, "image")
        those = f" ({'; '.join(finding.notes)})" if finding.notes else ""
        why = f"The library holds nothing like that: of {of} none has {finding.condition}.{those}"
    elif similarities := [one.image_similarity for one in state["sources"] if one.image_similarity is not None]:
        detail = no_similar_images(max(similarities), state.get("image_threshold"))
        why = f"The library holds nothing similar enough to answer from ({detail})."
    elif state["sources"]:
        near = max((source.similarity for source in state["sources"] if source.similarity is not None), default=None)
        limit = state["threshold"]
        detail = f" (the closest has {cosine(near)}, {cosine(limit)} is needed)" if near is not None and limit else ""
        why = f"The library holds nothing similar enough to answer from{detail}."
        if finding is not None and finding.unknown:
            words = ", ".join(f"“{short(word, 40)}”" for word in finding.unknown[:8])
            why = f"{why[:-1]}, and nothing in its metadata says {words}."
    else:
        why = "The library holds nothing to answer from: it is empty, or the filters leave nothing."
    return QAResult(outcome=AnswerOutcome.NOT_HELD, reason=why)


def result_from_error(error: BaseException, node: str) -> QAResult:
    """The result of a question whose node `node` failed with `error`, retries spent."""
    message = message_of(error)
    kinds: tuple[tuple[type[BaseException], AnswerOutcome], ...] = (
        (RefusalError, AnswerOutcome.REFUSED),
        (BudgetExceededError, AnswerOutcome.BUDGET_EXHAUSTED),
        (BackendError, AnswerOutcome.UNAVAILABLE),
    )
    outcome = next((outcome for kind, outcome in kinds if isinstance(error, kind)), AnswerOutcome.FAILED)
    if outcome is AnswerOutcome.FAILED:
        detail = message if isinstance(error, ImageRAGError) else f"{type(error).__name__}: {message}"
        return QAResult(outcome=outcome, reason=f"{node} failed: {detail}", error=type(error).__name__)
    final = outcome in (AnswerOutcome.REFUSED, AnswerOutcome.BUDGET_EXHAUSTED)
    return QAResult(outcome=outcome, reason=message, error=None if final else type(error).__name__)
