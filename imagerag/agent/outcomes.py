"""The end of a run: the outcome and its reason, the best attempt, and the outcome for an error."""

from ast import literal_eval
from collections.abc import Sequence
from inspect import isclass

from imagerag.agent import concept_tracker, errors
from imagerag.agent.error_message import message_of
from imagerag.agent.errors import (
    BackendError,
    BudgetExceededError,
    ImageRAGError,
    JudgeReplyError,
    RefusalError,
)
from imagerag.agent.intents import only_unclear_fails
from imagerag.agent.no_reference_reason import no_reference_reason
from imagerag.agent.state import RunState, latest_attempt, next_searches
from imagerag.agent.types import Attempt, Outcome, RunConfig, RunResult, Verdict
from imagerag.formatting.check_labels import REASONS

JUDGING = frozenset({"critique", "extract_concepts", "write_captions"})
"""The nodes that ask the judge."""

JUDGED = frozenset({Outcome.BEST_EFFORT, Outcome.NO_USABLE_REFERENCE})
"""The outcomes in which attempts that scores cannot tell apart are worth comparing: the judge answers, and is not done
with all of them."""


def result_of(
    state: RunState, config: RunConfig, *, room: int, takes: int | None = None, library: str | None = ""
) -> RunResult:
    """The outcome of a run that came to its end by its own logic.

    Args:
        room: how many references the generator takes beside those that are always sent.
        takes: how many images it takes in all.
        library: the name of the library that was searched; None for a run without one.
    """
    attempt = latest_attempt(state)
    if attempt is None:
        return RunResult(outcome=Outcome.FAILED, reason=REASONS["nothing_drawn"])
    verdict = attempt.verdict
    if verdict is None or verdict.aligned is None:
        why = verdict.reason if verdict else "it was not asked"
        return RunResult(outcome=Outcome.JUDGE_UNAVAILABLE, reason=f"the judge gave no verdict: {why}")
    if verdict.aligned:
        return RunResult(outcome=Outcome.ALIGNED, reason=REASONS["aligned"])
    if only_unclear_fails(verdict):
        unclear = "; ".join(check.evidence for check in verdict.checks if check.unclear)
        reason = f"the feedback is unclear: {unclear}"
        return RunResult(outcome=Outcome.NO_USABLE_REFERENCE, reason=reason, causes=("unclear_feedback",))
    lacking = "; ".join(describe_missing(verdict, state)) or "the prompt as a whole"
    if attempt.round >= config.max_rounds:
        reason = REASONS["one_round" if config.max_rounds == 1 else "rounds"].format(
            n=config.max_rounds, lacking=lacking
        )
        return RunResult(outcome=Outcome.BEST_EFFORT, reason=reason)
    none = no_reference_reason(
        next_searches(state),
        config,
        room=room,
        takes=takes,
        library=library,
        sent_images=frozenset(pin.image.sha256 for pin in state.get("kept_images") or []),
    )
    reason = f"no usable reference for {lacking}: {none.reason}"
    return RunResult(outcome=Outcome.NO_USABLE_REFERENCE, reason=reason, causes=none.causes)


def describe_missing(verdict: Verdict | None, state: RunState | None = None) -> list[str]:
    """Text of an attempt's faults: the unmet requirements, or what the judge named."""
    if verdict is None:
        return []
    unmet = [check.requirement.text for check in verdict.checks if not check.met]
    concepts = [concept.text for concept in verdict.missing]
    return unmet or concepts or (_asked_for(state) if state else [])


def _asked_for(state: RunState) -> list[str]:
    """Concepts that the judge named when asked: in this round, and not in place of what found nothing."""
    searched = {concept_tracker.key(search.query.concept.text) for search in next_searches(state)}
    entries = concept_tracker.missing(state.get("tracked_concepts") or [])
    first = [entry.concept.text for entry in entries if concept_tracker.key(entry.concept.text) in searched]
    return first or [concept.text for concept in state.get("concepts") or []]


def best_attempts(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts no other beats, oldest first: one, unless there are no scores to tell them apart.

    An aligned attempt beats any other. Otherwise the highest score wins, and of equal scores the oldest: a redrawing
    that meets no more of the prompt has no claim to take its place. Attempts that were never judged come last. Only
    bare noes, which have no score, are left to be compared; of those with the very same image only the oldest is kept.

    A redrawing can have points that the others have not: whether it shows the very thing that was sent for it. Scores
    are then of the points that all have; the others tell apart who is equal in these.
    """
    if not attempts:
        return []
    common = _common_points(attempts)
    ranks = [_rank(attempt, common) for attempt in attempts]
    top = max(ranks)
    different = {a.image.sha256: a for a, rank in zip(reversed(attempts), reversed(ranks), strict=True) if rank == top}
    best = sorted(different.values(), key=lambda attempt: attempt.index)
    bare = top[0] == 1 and all(attempt.verdict and attempt.verdict.score is None for attempt in best)
    return best if bare else best[:1]


def _common_points(attempts: Sequence[Attempt]) -> frozenset[str] | None:
    """The points that all judged attempts were judged on; None where all have the same, or there are none."""
    judged = [one for one in attempts if one.verdict and one.verdict.aligned is not None]
    points = [frozenset(_points(attempt)) for attempt in judged]
    common = frozenset.intersection(*points) if points else frozenset()
    return common if common and any(own != common for own in points) else None


def _points(attempt: Attempt) -> dict[str, bool]:
    """The requirements of an attempt, each with whether it is met; likeness to a library's image goes by that image."""
    met: dict[str, bool] = {}
    for check in attempt.verdict.checks if attempt.verdict else ():
        number, key = check.requirement.image or 0, check.requirement.text
        reference = attempt.references[number - 1] if 0 < number <= len(attempt.references) else None
        if reference is not None and reference.role == "reference":
            key = f"{check.requirement.kind} {reference.image.sha256}"
        met[key] = check.met
    return met


def _rank(attempt: Attempt, common: frozenset[str] | None) -> tuple[int, float, float]:
    verdict = attempt.verdict
    if verdict is None or verdict.aligned is None:
        return (0, 0.0, 0.0)
    if verdict.aligned:
        return (2, 1.0, 1.0)
    if common is None:
        return (1, verdict.score or 0.0, 1.0)
    points = _points(attempt)
    shared = [met for key, met in points.items() if key in common]
    own = [met for key, met in points.items() if key not in common]
    return (1, sum(shared) / len(shared), sum(own) / len(own) if own else 1.0)


def result_from_error(error: BaseException, node: str) -> RunResult:
    """The run's outcome after `node` failed with `error` and no retry is left."""
    message = message_of(error)
    if isinstance(error, RefusalError):
        return RunResult(outcome=Outcome.REFUSED, reason=message)
    if isinstance(error, BudgetExceededError):
        return RunResult(outcome=Outcome.BUDGET_EXHAUSTED, reason=message)
    # What `Calls` puts into an error; a search that fails without having asked a model is no judge's failure.
    last = next((call.role for call in reversed(error.__dict__.get("calls", []))), "")
    from_model = node in JUDGING or last == "rerank" or last.startswith("judge.")
    if isinstance(error, JudgeReplyError | BackendError) and from_model:
        return RunResult(outcome=Outcome.JUDGE_UNAVAILABLE, reason=message, error=type(error).__name__)
    text = message if isinstance(error, ImageRAGError) else f"{type(error).__name__}: {message}"
    return RunResult(outcome=Outcome.FAILED, reason=f"{node} failed: {text}", error=type(error).__name__)


def restore_exception(error: BaseException | str) -> BaseException:
    """The error that a node raised. A run that was killed before `give_up` kept only its repr, all LangGraph stores."""
    if isinstance(error, BaseException):
        return error
    name, _, arguments = error.partition("(")
    kind = getattr(errors, name, None)
    try:
        message = literal_eval(f"({arguments}")
        if isclass(kind) and issubclass(kind, ImageRAGError) and isinstance(message, str):
            return kind(message)
    except (ValueError, SyntaxError, TypeError):
        pass  # no error of ours, or one that is made of more than its message
    return RuntimeError(error)
