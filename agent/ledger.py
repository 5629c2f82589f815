"""The ledger: what happened to each concept across rounds. It is what makes the loop converge."""

import re
from collections.abc import Iterable, Sequence

from imagerag.agent.types import Concept, LedgerEntry, UsedReference

_ARTICLES = re.compile(r"^(?:a|an|the|some)\s+")


def key(text: str) -> str:
    """A concept's identity: its words without case, punctuation at the ends, spare spaces or a leading article."""
    folded = " ".join(text.casefold().split()).strip(" .,;:!?\"'`*-–—•")
    return _ARTICLES.sub("", folded)


def observe(ledger: Sequence[LedgerEntry], missing: Iterable[Concept], round: int) -> list[LedgerEntry]:
    """Enter what is missing after `round`: new concepts are added, those no longer missing are resolved by it."""
    lacking = {key(concept.text): concept for concept in missing}
    seen = {key(entry.concept.text) for entry in ledger}
    kept = [_after(entry, still=key(entry.concept.text) in lacking, round=round) for entry in ledger]
    new = [LedgerEntry(concept=c, first_missing=round) for k, c in lacking.items() if k not in seen]
    return [*kept, *new]


def _after(entry: LedgerEntry, *, still: bool, round: int) -> LedgerEntry:
    if still:
        return entry.model_copy(update={"resolved": None})
    return entry if entry.resolved is not None else entry.model_copy(update={"resolved": round})


def send(ledger: Sequence[LedgerEntry], sent: Iterable[UsedReference], round: int) -> list[LedgerEntry]:
    """Enter the references that go to the generator in `round`, each under the concept it stands for, newest last."""
    entries = {key(entry.concept.text): entry for entry in ledger}
    for reference in sent:
        k = key(reference.concept)
        entry = entries.get(k) or LedgerEntry(concept=Concept(text=reference.concept), first_missing=round)
        before = tuple(used for used in entry.used if used.image != reference.image)
        entries[k] = entry.model_copy(update={"used": (*before, reference)})
    return list(entries.values())


def used_for(ledger: Sequence[LedgerEntry], concept: Concept) -> frozenset[str]:
    """SHA-256 of every reference already sent for a concept."""
    wanted = key(concept.text)
    return frozenset(ref.image.sha256 for e in ledger if key(e.concept.text) == wanted for ref in e.used)


def helpful(ledger: Sequence[LedgerEntry]) -> list[UsedReference]:
    """The references that resolved their concepts, each picture once: sent again, so that what was won is not lost."""
    once: dict[str, UsedReference] = {}
    for entry in ledger:
        if entry.resolved is not None and entry.used:
            once.setdefault(entry.used[-1].image.sha256, entry.used[-1])
    return [reference.model_copy(update={"choice": "kept"}) for reference in once.values()]
