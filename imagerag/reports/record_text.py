"""Text for the parts of a run's record: outcome, attempts, verdicts, candidates and masks."""

from collections.abc import Sequence

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Candidate, MaskCheck, Search, UsedReference, Verdict
from imagerag.formatting import labels
from imagerag.formatting.numbers import attempt as attempt_name
from imagerag.formatting.numbers import cosine, counted, percent
from imagerag.formatting.text import image_name
from imagerag.formatting.texts import ENGLISH_TEXTS, Texts


def outcome_of(record: RunRecord) -> tuple[str, str]:
    """The label of a run's outcome or status, and its tone."""
    stands = labels.standing(record.status, record.outcome)
    return stands.name, stands.tone


def decision_of(candidate: Candidate, threshold: float | None, t: Texts = ENGLISH_TEXTS) -> tuple[str, str]:
    """The decision about a candidate, and its reason."""
    word, why = t.label("DECISIONS", candidate.decision)[:2]
    if candidate.decision == "below_threshold" and threshold is not None:
        why = t("search.below", distance=cosine(threshold - candidate.similarity)) + caption_text(candidate, t)
    return word, why


def passed(candidate: Candidate) -> bool:
    """Whether a candidate reached the threshold; one about which nothing else was decided yet did."""
    return candidate.decision != "below_threshold"


def score_of(verdict: Verdict | None, t: Texts = ENGLISH_TEXTS) -> str:
    """`2 of 3 met`, or what there is instead of a score."""
    if verdict is None:
        return t("attempt.not_judged")
    if verdict.status == "judged" and verdict.checks:
        return t("attempt.met", met=sum(check.met for check in verdict.checks), all=len(verdict.checks))
    if verdict.status != "judged" or verdict.aligned is None:
        return t("attempt.no_verdict")
    return t("attempt.aligned") if verdict.aligned else t("attempt.not_aligned")


def score_words(verdict: Verdict | None) -> str:
    """`2 of 3 met`, or what there is instead of a score."""
    score = score_of(verdict)
    return f"the judge gave {score}" if verdict and verdict.status == "abstained" else score


def attempt_title(attempt: Attempt) -> str:
    """The number of an attempt, and its origin."""
    if attempt.origin == "handed_in":
        return f"{attempt_name(attempt.index)}, the image that was handed in"
    if not attempt.references:
        return f"{attempt_name(attempt.index)}, drawn from the prompt alone"
    return f"{attempt_name(attempt.index)}, drawn with {counted(len(attempt.references), 'reference')}"


def taken_text(references: Sequence[Candidate | UsedReference]) -> str:
    """The references that were taken, each with its similarity."""
    names = (f"{image_name(one.title, one.image.sha256)} ({cosine(one.similarity or 0)})" for one in references)
    return f"took {', '.join(names)}"


def similarity_text(candidate: Candidate, search: Search) -> str:
    """A candidate's similarity, and the threshold it was compared with."""
    threshold = search.threshold_of(candidate)
    limit = "" if threshold is None else f", threshold {cosine(threshold)}"
    return f"{cosine(candidate.similarity)}{limit}{caption_text(candidate)}"


def caption_text(candidate: Candidate, t: Texts = ENGLISH_TEXTS) -> str:
    """The similarity of a candidate's caption, where it may decide, and its threshold."""
    if candidate.caption_threshold is None:
        return ""
    reached = t("search.not_near") if candidate.caption_similarity is None else cosine(candidate.caption_similarity)
    return t("search.caption", reached=reached, threshold=cosine(candidate.caption_threshold))


def drawing_notes(attempt: Attempt, t: Texts = ENGLISH_TEXTS) -> list[str]:
    """The size that was asked for, where the image has another one, what a fallback left out, and who did not draw."""
    size, image = attempt.size, attempt.image
    other = size is not None and (size.width, size.height) != (image.width, image.height)
    sizes = t("attempt.other_size", width=image.width, height=image.height, size=size)
    return [*([sizes] if other else []), *attempt.fallback_errors]


def judging_notes(record: RunRecord) -> list[str]:
    """The backends that answered in place of the first judge of a fallback, each with why, once."""
    if record.setup is None or "," not in record.setup.judge:
        return []
    notes: dict[str, str] = {}
    for call in record.call_log:
        if call.role.startswith("judge.") and call.completed and call.note:
            notes.setdefault(call.backend, f"judged by {call.backend}; {call.note}")
    return list(notes.values())


def mask_words(check: MaskCheck, t: Texts = ENGLISH_TEXTS) -> str:
    """Whether a mask was held, and what the generator had changed outside of it."""
    changed = percent(check.changed_outside)
    if not check.held:
        return t("attempt.mask_not_held", reason=check.reason, changed=changed)
    return t("attempt.mask_put_back" if check.changed_outside else "attempt.mask_held", changed=changed)
