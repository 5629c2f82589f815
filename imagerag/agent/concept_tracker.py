"""The history of each concept across rounds. It makes the loop converge: nothing is tried twice for a concept."""

import re
from collections.abc import Collection, Iterable, Sequence

from imagerag.agent.types import Attempt, Concept, TrackedConcept, UsedReference

_ARTICLES = re.compile(r"^(?:a|an|the|some)\s+")


def key(text: str) -> str:
    """A concept's identity: its words without case, punctuation at the ends, spare spaces or a leading article."""
    folded = " ".join(text.casefold().split()).strip(" .,;:!?\"'`*-–—•")
    return _ARTICLES.sub("", folded)


def update_missing(tracked: Sequence[TrackedConcept], missing: Iterable[Concept], round: int) -> list[TrackedConcept]:
    """Enter what is missing after `round`: new concepts are added, those no longer missing are resolved by it."""
    lacking = {key(concept.text): concept for concept in missing}
    tracked_keys = {key(entry.concept.text) for entry in tracked}
    updated = [_after(entry, still=_is_missing(entry, lacking), round=round) for entry in tracked]
    new = [TrackedConcept(concept=c, first_missing_round=round) for k, c in lacking.items() if k not in tracked_keys]
    return [*updated, *new]


def _is_missing(entry: TrackedConcept, lacking: Collection[str]) -> bool:
    """Whether a concept is missing still; one that stands for others, as long as all of these are."""
    stands_for = [key(text) for text in entry.stands_for]
    return key(entry.concept.text) in lacking or (bool(stands_for) and all(text in lacking for text in stands_for))


def _after(entry: TrackedConcept, *, still: bool, round: int) -> TrackedConcept:
    if still:
        return entry.model_copy(update={"resolved_round": None})
    return entry if entry.resolved_round is not None else entry.model_copy(update={"resolved_round": round})


def record_references(
    tracked: Sequence[TrackedConcept], references: Iterable[UsedReference], round: int
) -> list[TrackedConcept]:
    """Enter the references that go to the generator in `round`, each under the concept it stands for, newest last.

    What no verdict named was searched for in place of what is missing, and stands for that.
    """
    entries = {key(entry.concept.text): entry for entry in tracked}
    unnamed = tuple(entry.concept.text for entry in missing(tracked))
    for reference in references:
        k = key(reference.concept)
        entry = entries.get(k) or TrackedConcept(
            concept=Concept(text=reference.concept), first_missing_round=round, stands_for=unnamed
        )
        before = tuple(other for other in entry.references if other.image != reference.image)
        entries[k] = entry.model_copy(update={"references": (*before, reference)})
    return list(entries.values())


def missing(tracked: Sequence[TrackedConcept]) -> list[TrackedConcept]:
    """Concepts that verdicts named and that are still missing."""
    return [entry for entry in tracked if entry.resolved_round is None and not entry.stands_for]


def tried_references(tracked: Sequence[TrackedConcept], concept: Concept, *, in_place: bool = False) -> frozenset[str]:
    """SHA-256 of every reference already sent for a concept, or for something that was searched for in its place.

    Args:
        in_place: it is searched for in place of what is missing: what was sent for that in vain counts, too.
    """
    concept_key = key(concept.text)
    entries = [e for e in tracked if concept_key in {key(text) for text in (e.concept.text, *e.stands_for)}]
    entries += missing(tracked) if in_place else []
    return frozenset(ref.image.sha256 for entry in entries for ref in entry.references)


def resolving_references(tracked: Sequence[TrackedConcept], attempts: Sequence[Attempt] = ()) -> list[UsedReference]:
    """The references that resolved their concepts, each image once: sent again, so that what was won is not lost.

    Args:
        attempts: what was drawn: all references of a concept that the drawing which resolved it was sent are kept.
    """
    sent_in_round = {
        attempt.round: {reference.image.sha256 for reference in attempt.references} for attempt in attempts
    }
    once: dict[str, UsedReference] = {}
    for entry in tracked:
        if entry.resolved_round is not None and entry.references:
            together = [
                reference
                for reference in entry.references
                if reference.image.sha256 in sent_in_round.get(entry.resolved_round, ())
            ]
            for reference in together or entry.references[-1:]:
                once.setdefault(reference.image.sha256, reference)
    return [reference.model_copy(update={"selected_by": "kept"}) for reference in once.values()]
