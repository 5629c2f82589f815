"""Reason why a round ended without a reference, derived from the decisions about its candidates.

Images are counted, not searches: one that several searches found counts once, by how far it came.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.types import Candidate, Cause, Decision, OmittedByFilter, RunConfig, Search, WebSearch
from imagerag.formatting.labels import FILTERS
from imagerag.formatting.labels import decision as label_of
from imagerag.formatting.numbers import cosine, counted

FURTHEST: Final[tuple[Decision, ...]] = (
    "taken",
    "offered",
    "rejected_by_hand",
    "already_used",
    "rejected_by_reranker",
    "missing_file",
    "reserve",
    "near_duplicate",
    "below_threshold",
)
"""Decisions by how far a candidate came, the furthest first."""

_REASONS: Final = 3
"""Reasons for not letting images of a service in that are named."""

_CAUSES: Final[Mapping[Decision, Cause]] = {
    "rejected_by_hand": "rejected_by_hand",
    "already_used": "already_used",
    "rejected_by_reranker": "rejected_by_reranker",
    "missing_file": "missing_file",
    "below_threshold": "below_threshold",
}


@dataclass(frozen=True, kw_only=True)
class NoReference:
    """Reason why there was no reference.

    Attributes:
        causes: everything that stood in the way, what is most worth changing first.
        reason: the same as a clause.
    """

    causes: tuple[Cause, ...]
    reason: str


def furthest(searches: Sequence[Search]) -> list[tuple[Candidate, Search]]:
    """Every image that was found, once: where it came furthest, and of equals where it was most similar."""
    best: dict[str, tuple[Candidate, Search]] = {}
    for search in searches:
        for candidate in search.candidates:
            earlier = best.get(candidate.image.sha256)
            if earlier is None or _rank(candidate) < _rank(earlier[0]):
                best[candidate.image.sha256] = (candidate, search)
    return list(best.values())


def _rank(candidate: Candidate) -> tuple[int, float]:
    decided = candidate.decision
    return (FURTHEST.index(decided) if decided in FURTHEST else len(FURTHEST), -candidate.similarity)


def no_reference_reason(
    searches: Sequence[Search],
    config: RunConfig,
    *,
    room: int,
    takes: int | None = None,
    library: str | None = "",
    sent_images: frozenset[str] = frozenset(),
) -> NoReference:
    """Reason why none of a round's candidates can be drawn with.

    Args:
        room: how many references the generator takes beside those that are always sent.
        takes: how many images it takes in all, where that is known.
        library: its name; None for a run without one.
        sent_images: images that go with every drawing, so that no search looks for them.
    """
    if takes == 0:
        return NoReference(causes=("takes_none",), reason="the generator takes no reference images")
    if not room:
        return NoReference(
            causes=("no_room",), reason="the generator takes no more images beside those that are always sent"
        )
    if library is None:
        return NoReference(causes=("no_library",), reason="the run has no library to search")
    candidates, web = furthest(searches), _web_words(searches)
    left_out = _left_out(searches, sent_images)
    if not candidates and not left_out:
        library_name = f"library {library!r}" if library else "the library"
        return NoReference(causes=("empty_library",), reason="; ".join([f"{library_name} holds no images", *web]))
    causes: list[Cause] = []
    clauses: list[str] = []
    if left_out:
        clauses += _filtered(left_out, config, candidates)
        if any(one.passing for one in left_out) or not candidates:
            causes.append("excluded" if left_out[0].by == "excluded" else "filtered")
        if not any(one.passing for one in left_out):
            causes.append("below_threshold")
    clauses += dict.fromkeys(search.no_match for search in searches if search.no_match)
    if candidates:
        clauses.insert(0, f"of {counted(len(candidates), 'image')} found, {_counts(candidates)}")
    decisions = {candidate.decision for candidate, _ in candidates}
    causes += [cause for decided, cause in _CAUSES.items() if decided in decisions and cause not in causes]
    return NoReference(causes=tuple(causes), reason="; ".join([*clauses, *web]))


def _web_words(searches: Sequence[Search]) -> list[str]:
    """What kept each service from adding a candidate: it failed, or what it found was not let in, or it has nothing."""
    by_library: dict[str, list[WebSearch]] = {}
    for one in (one for search in searches for one in search.web):
        by_library.setdefault(one.library, []).append(one)
    return [words for name, ones in by_library.items() if (words := _service_words(name, ones))]


def _service_words(name: str, searches: Sequence[WebSearch]) -> str:
    if error := next((one.error for one in searches if one.error), ""):
        return f"{name} failed: {error}"
    if any(one.fetched for one in searches):
        return ""  # its images are among those that were found
    if not (rejected := {(each.title, each.address): each.reason for one in searches for each in one.rejected}):
        return f"{name} found nothing"
    reasons = ", ".join(list(dict.fromkeys(rejected.values()))[:_REASONS])
    return f"{name} found {counted(len(rejected), 'image')}, none let in ({reasons})"


def _counts(candidates: Sequence[tuple[Candidate, Search]]) -> str:
    tally = Counter(candidate.decision for candidate, _ in candidates)
    order: list[Decision | None] = [*FURTHEST, None]
    return ", ".join(_count(tally[decided], decided, candidates) for decided in order if tally[decided])


def _count(number: int, decided: Decision | None, candidates: Sequence[tuple[Candidate, Search]]) -> str:
    message = f"{number} {label_of(decided).meaning}"
    if decided != "below_threshold":
        return message
    nearest, search = max((pair for pair in candidates if pair[0].decision == decided), key=_margin)
    threshold = search.threshold_of(nearest)
    limit = "" if threshold is None else f" {cosine(threshold)}"
    return f"{message}{limit} (closest {cosine(nearest.similarity)})"


def _margin(pair: tuple[Candidate, Search]) -> float:
    candidate, search = pair
    return candidate.similarity - (search.threshold_of(candidate) or 0.0)


def _left_out(searches: Sequence[Search], sent_images: frozenset[str]) -> list[OmittedByFilter]:
    """Images that each filter kept out of all searches, those that would have passed first."""
    merged: dict[str, OmittedByFilter] = {}
    for one in (one for search in searches for one in search.left_out):
        earlier = merged.get(one.by, one)
        closest = max(earlier, one, key=lambda each: each.closest - (each.threshold or 0.0))
        images = dict.fromkeys(sha for sha in (*earlier.found, *one.found) if sha not in sent_images)
        if not images:
            continue
        merged[one.by] = OmittedByFilter(
            by=one.by,
            found=tuple(images),
            passing=tuple(dict.fromkeys(sha for sha in (*earlier.passing, *one.passing) if sha not in sent_images)),
            closest=closest.closest,
            threshold=closest.threshold,
        )
    return sorted(merged.values(), key=lambda one: -len(one.passing))


def _filtered(
    left_out: Sequence[OmittedByFilter], config: RunConfig, candidates: Sequence[tuple[Candidate, Search]]
) -> list[str]:
    """Images that the filters kept out. None of them passed: then they are not all that stood in the way.

    Empty where a search without filters came no closer: the own libraries alone are searched so, not the web.
    """
    passing = [one for one in left_out if one.passing]
    if passing:
        return [
            " and ".join(
                f"{filter_words(one, config)} {_verb(one)} out {len(one.passing)} that would pass" for one in passing
            )
        ]
    one = left_out[0]
    if any(candidate.similarity >= one.closest for candidate, _ in candidates):
        return []
    limit = "" if one.threshold is None else f" the threshold {cosine(one.threshold)}"
    begin = "" if candidates else f"{filter_words(one, config)} {_verb(one)} nothing; "
    without = "them" if one.by == "filters" else "it"
    return [f"{begin}without {without} nothing reaches{limit} either (closest {cosine(one.closest)})"]


def _verb(one: OmittedByFilter) -> str:
    return "leave" if one.by == "filters" else "leaves"


def filter_words(one: OmittedByFilter, config: RunConfig) -> str:
    """A filter with what it asks for."""
    value = {
        "licences": ", ".join(config.licences),
        "tags": ", ".join(config.tags),
        "filter": str(config.filter or ""),
    }.get(one.by, "")
    return FILTERS[one.by] + (f" ({value})" if value else "")
