"""Next steps after an answered question, in the terms of the Python API."""

from typing import TYPE_CHECKING

from imagerag.agent.next_steps import library_to_add_to
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.formatting.interface_terms import FILE, python_call

if TYPE_CHECKING:
    from imagerag.agent.qa.qa_record import AnswerRecord


def next_steps(record: "AnswerRecord") -> list[str]:
    """Next steps; the command line shows their calls as commands."""
    again = f"ask on with `thread={record.thread_id}`"
    add = python_call("libraries.index", FILE, library=library_to_add_to(record.library))
    closeness = "let less similar images in with `threshold=off`, or a lower cosine"
    if record.images and record.by != "words" and record.image_threshold is None:
        closeness = "say how like your image they must be: `by=image` `threshold=0.9`"
    return {
        AnswerOutcome.ANSWERED: [again],
        AnswerOutcome.NOT_HELD: [
            f"add images that show it or metadata that says it: {add}",
            closeness,
        ],
        AnswerOutcome.UNREADABLE: ["ask again in other words, or with another model: `answerer=SPEC`"],
        AnswerOutcome.REFUSED: ["change the question: asking the same again does not help"],
        AnswerOutcome.BUDGET_EXHAUSTED: ["allow more with `max_cost_usd`, `max_calls` or `deadline_s`"],
        AnswerOutcome.UNAVAILABLE: ["see what is reachable: imagerag doctor; or take another model: `answerer=SPEC`"],
        AnswerOutcome.FAILED: [],
        AnswerOutcome.CANCELLED: ["ask it again"],
    }[record.outcome]
