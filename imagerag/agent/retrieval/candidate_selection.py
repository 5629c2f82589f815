"""Selection of references among the images that were found: threshold, duplicates, earlier use, limit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from imagerag.agent import concept_tracker
from imagerag.agent.intents import Likeness, needs_likeness
from imagerag.agent.ports import Filter, Hit
from imagerag.agent.retrieval.reference_limits import ReferenceLimits
from imagerag.agent.types import (
    Candidate,
    Decision,
    ImageRef,
    OmittedByFilter,
    Search,
    Subject,
    TrackedConcept,
    UsedReference,
)

FilterName = Literal["licences", "tags", "filter", "excluded", "filters"]


def candidates_of(
    hits: Sequence[Hit],
    *,
    threshold: float | None,
    near_duplicate: float,
    likeness: Likeness = "auto",
    kind: str = "content",
) -> tuple[Candidate, ...]:
    """Hits as candidates, best first, with what can be said of each search by itself already decided.

    Args:
        hits: one search's results, best first.
        threshold: cosine to reach, where a hit brings none of its own; None lets all pass.
        near_duplicate: cosine between two images from which the less similar one is passed over.
        likeness: whose very look counts.
        kind: of the concept that is looked for.
    """
    decided: list[Candidate] = []
    originals: list[Hit] = []
    for hit in hits:
        decision: Decision | None = None
        if not hit.reaches(threshold):
            decision = "below_threshold"
        elif any(_alike(hit, original) >= near_duplicate for original in originals):
            decision = "near_duplicate"
        else:
            originals.append(hit)
        same = needs_likeness(likeness, kind=kind, tags=hit.tags)
        decided.append(_candidate(hit, decision, same))
    return tuple(decided)


def _limit(hit: Hit, threshold: float | None) -> float | None:
    return threshold if hit.threshold is None else hit.threshold


def _alike(hit: Hit, other: Hit) -> float:
    """The cosine between two images; two encoders have none between them."""
    return float(hit.vector @ other.vector) if hit.library == other.library else -1.0


def _candidate(hit: Hit, decision: Decision | None, likeness: bool) -> Candidate:
    return Candidate(
        image=hit.image,
        similarity=float(hit.similarity),
        decision=decision,
        likeness=likeness,
        title=hit.title,
        caption=hit.caption or hit.caption_or_description,
        source=hit.source,
        author=hit.author,
        licence=hit.licence,
        library=hit.library,
        threshold=hit.threshold,
        found_by=hit.found_by,
        caption_similarity=hit.caption_similarity if hit.caption_threshold is not None else None,
        caption_threshold=hit.caption_threshold,
        region=hit.region,
        web=hit.web,
    )


def relaxed_filters(filter: Filter) -> Iterator[tuple[FilterName, Filter]]:
    """A search's filter without one of its parts, for each part that it has; last without any."""
    parts: dict[FilterName, Filter] = {}
    if filter.licences:
        parts["licences"] = replace(filter, licences=())
    if filter.tags:
        parts["tags"] = replace(filter, tags=())
    if filter.where:
        parts["filter"] = replace(filter, where=None)
    if filter.exclude:
        parts["excluded"] = replace(filter, exclude=frozenset())
    yield from parts.items()
    if len(parts) > 1:
        yield "filters", Filter()


def omitted_by_filter(
    by: FilterName, hits: Sequence[Hit], others: Sequence[Hit], *, threshold: float | None
) -> OmittedByFilter | None:
    """Results of a search without one of its filters (`others`) beside those with it; None without any."""
    hit_shas = {hit.image.sha256 for hit in hits}
    more = [hit for hit in others if hit.image.sha256 not in hit_shas]
    if not more:
        return None
    closest = max(more, key=lambda hit: hit.similarity - (_limit(hit, threshold) or 0.0))
    return OmittedByFilter(
        by=by,
        found=tuple(hit.image.sha256 for hit in more),
        passing=tuple(hit.image.sha256 for hit in more if hit.reaches(threshold)),
        closest=float(closest.similarity),
        threshold=_limit(closest, threshold),
    )


def select_candidates(
    searches: Sequence[Search], tracked: Sequence[TrackedConcept], *, rooms: ReferenceLimits, by_hand: bool
) -> tuple[list[Search], list[UsedReference]]:
    """Decide every open candidate of a round's searches.

    One reference per caption, in the order the concepts were named; then, while there is room, a second one for each,
    and so on. A search with the prompt itself stands for everything that is missing.

    Args:
        searches: this round's, undecided candidates having `decision=None`.
        by_hand: offer all that pass to a human instead of taking the best; without room there is nothing to offer.

    Returns:
        The searches, decided, and the references taken (none when they are offered instead).
    """
    tried = [concept_tracker.tried_references(tracked, s.query.concept, in_place=s.query.ask > 0) for s in searches]
    selected: dict[str, tuple[int, Candidate]] = {}
    for turn in range(0 if by_hand else rooms.turns(searches)):
        for n, search in enumerate(searches):
            if not rooms.has_room(search, count=len(selected), turn=turn):
                continue
            free = (c for c in search.candidates if c.decision is None and c.image.sha256 not in tried[n])
            if candidate := next((c for c in free if c.image.sha256 not in selected), None):
                selected[candidate.image.sha256] = n, candidate
    offers = by_hand and rooms.room > 0
    decided: list[Search] = []
    for n, search in enumerate(searches):
        candidates = tuple(_decided(c, n, tried[n], selected, offers=offers) for c in search.candidates)
        decided.append(search.model_copy(update={"candidates": candidates}))
    references = [reference_of(c, searches[n].query.concept.text, searches[n].query.text) for n, c in selected.values()]
    return decided, references


def without_missing(searches: Sequence[Search], missing: Mapping[str, str]) -> list[Search]:
    """The searches with the candidates passed over whose files are missing.

    Args:
        missing: SHA-256 → what became of its file, which each search that found it notes.
    """
    updated: list[Search] = []
    for search in searches:
        missing_shas = {c.image.sha256 for c in search.candidates if c.decision is None and c.image.sha256 in missing}
        candidates = tuple(
            c.model_copy(update={"decision": "missing_file"})
            if c.image.sha256 in missing_shas and c.decision is None
            else c
            for c in search.candidates
        )
        note = "; ".join(filter(None, [search.note, *(missing[sha256] for sha256 in sorted(missing_shas))]))
        updated.append(search.model_copy(update={"candidates": candidates, "note": note}))
    return updated


def _decided(
    candidate: Candidate, place: int, tried: frozenset[str], selected: dict[str, tuple[int, Candidate]], *, offers: bool
) -> Candidate:
    sha, decision = candidate.image.sha256, candidate.decision
    if decision is None and sha in tried:
        decision = "already_used"
    elif decision is None and sha in selected:
        decision = "taken" if selected[sha][0] == place else "near_duplicate"
    elif decision is None:
        decision = "offered" if offers else "reserve"
    return candidate.model_copy(update={"decision": decision})


def reference_of(hit: Hit | Candidate, concept: str, caption: str, *, by_hand: bool = False) -> UsedReference:
    """Make a candidate a reference for `concept`."""
    return UsedReference(
        image=hit.image,
        likeness=hit.likeness if isinstance(hit, Candidate) else needs_likeness("auto", kind="", tags=hit.tags),
        selected_by="by_hand" if by_hand else "retrieved",
        concept=concept,
        caption=caption,
        similarity=hit.similarity,
        title=hit.title,
        source=hit.source,
        author=hit.author,
        licence=hit.licence,
        region=hit.region,
        web=hit.web,
    )


def edited_from(source: Hit | UsedReference, image: ImageRef) -> Subject:
    """A library's image as the one that is edited; whose it is stays with it.

    Args:
        image: the same, kept among the run's own.
    """
    concept = source.concept if isinstance(source, UsedReference) else ""
    return Subject(
        image=image,
        intent="edit",
        name=concept if source.web else source.title or concept,  # a model is told the name: no stranger's words
        title=source.title or image.sha256[:12],
        source=source.source,
        author=source.author,
        licence=source.licence,
        web=source.web,
    )


def select_by_user(searches: Sequence[Search], selection: Sequence[str]) -> tuple[list[Search], list[UsedReference]]:
    """Carry out a human's choice among what was offered: `selection` are SHA-256 ids, kept in the order given."""
    offered = {
        candidate.image.sha256: reference_of(candidate, search.query.concept.text, search.query.text, by_hand=True)
        for search in reversed(searches)
        for candidate in search.candidates
        if candidate.decision == "offered"
    }
    selected = [sha for sha in dict.fromkeys(selection) if sha in offered]
    decided = [
        search.model_copy(update={"candidates": tuple(_settle(c, selected) for c in search.candidates)})
        for search in searches
    ]
    return decided, [offered[sha] for sha in selected]


def _settle(candidate: Candidate, selected: Sequence[str]) -> Candidate:
    if candidate.decision != "offered":
        return candidate
    decision: Decision = "taken" if candidate.image.sha256 in selected else "rejected_by_hand"
    return candidate.model_copy(update={"decision": decision})
