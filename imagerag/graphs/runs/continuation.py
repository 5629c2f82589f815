"""Going on from where a run ended: more rounds, other references, another prompt.

The run that ended stays as it was. What goes on is a run of its own that begins with the best image so far and what
was found out about it, so nothing that was paid for is asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph.graph import START
from pydantic import ValidationError

from imagerag.agent import concept_tracker
from imagerag.agent.errors import RunStateError, UsageError
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.ports import Filter, ReferenceLibrary
from imagerag.agent.retrieval.candidate_selection import reference_of
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, ParentRun, RunSpec, Subject, UsedReference
from imagerag.formatting.messages import invalid

SHORTEST_ID: Final = 6
"""Characters of an id that are enough, where they name one image only."""


@dataclass(frozen=True, kw_only=True)
class ContinueOptions:
    """Changes for the new run. Images are named by SHA-256, or by the first six characters or more.

    Attributes:
        more_rounds: redrawings at most, 0 to 20.
        exclude_images: references never to be used again; also by number, as the run's record lists its `references`.
        keep_images: references that go with every drawing; also by number.
        add_images: library images to draw with now, whatever the judge says is missing.
        prompt: what to draw from now on, when it is not the same. It is drawn at once, with the references of the
            image it goes on from.
        max_calls: model calls the new run may make; this and the next three are as they were where nothing is said.
        max_cost_usd: US dollars it may spend.
        assume_cost_usd_per_call: US dollars that a call counts as whose price is not known.
        deadline_s: seconds it may take.
        patience_s: seconds that a call waits at most for a service that says when to ask again.
    """

    more_rounds: int = 2
    exclude_images: Sequence[str | int] = ()
    keep_images: Sequence[str | int] = ()
    add_images: Sequence[str | int] = ()
    prompt: str | None = None
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None
    deadline_s: float | None = None
    patience_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class InitialState:
    """A state that a new run begins with, as if the node `after` had just made it."""

    after: str
    values: Mapping[str, Any] = field(repr=False)


def apply_options(setup: RunSpec, steering: ContinueOptions) -> RunSpec:
    """Setup of the new run."""
    names = ("max_calls", "max_cost_usd", "assume_cost_usd_per_call", "patience_s")
    options = {name: getattr(steering, name) for name in names}
    changes = {name: value for name, value in options.items() if value is not None}
    try:
        config = {**setup.config.model_dump(), "max_rounds": steering.more_rounds, "cache": "record", **changes}
        deadline_s = setup.deadline_s if steering.deadline_s is None else steering.deadline_s
        return RunSpec(**{**setup.model_dump(), "config": config, "deadline_s": deadline_s})
    except ValidationError as error:
        raise UsageError(invalid(error, most=1)) from error


async def continuation(
    record: RunRecord,
    steering: ContinueOptions,
    *,
    subjects: Sequence[Subject],
    limit: int,
    library: ReferenceLibrary | None,
) -> InitialState:
    """The state from which a run goes on.

    Args:
        record: the run that ended.
        subjects: the user's own images in it.
        limit: how many images may go with a prompt.
        library: what it took its references from.

    Raises:
        RunStateError: it has not ended, or there is nothing to do that was not done.
        UsageError: an image that is not known, or more references than may be sent.
    """
    prompt = steering.prompt or record.prompt
    excluded, pinned, references = await _named(record, steering, library)
    if len(subjects) + len(pinned) + len(references) > limit:
        raise UsageError(f"at most {limit} can be sent with the prompt: keep or use fewer")
    lineage = ParentRun(run_id=record.run_id)
    values = {
        "prompt": prompt,
        "parent_run": lineage,
        "excluded_images": excluded,
        "kept_images": pinned,
        "subjects": [*subjects],
    }
    base = _base(record, excluded)
    if base is None or prompt != record.prompt:
        return _anew(values, references or _carried(base, pinned))
    return _onward(values, references, base, record)


def _anew(values: dict[str, Any], references: Sequence[UsedReference]) -> InitialState:
    """Draw what was not drawn before: with references where there are some, else as every run begins."""
    return (
        InitialState(after="select", values=values | _round(references))
        if references
        else InitialState(after=START, values=values)
    )


def _onward(
    values: dict[str, Any], references: Sequence[UsedReference], base: Attempt, record: RunRecord
) -> InitialState:
    """Go on from an image: draw with what was chosen, else find out what it lacks.

    What somebody chose is what they want to see: the image before is left to its own run, and not compared.
    """
    verdict = base.verdict
    if verdict and verdict.aligned and not references:
        raise RunStateError(
            f"run {record.run_id} is aligned already: say what is to be different (another prompt, references to use, "
            "or not to use)"
        )
    values |= _round(references)
    if not references:
        values["attempts"] = [base.model_copy(update={"index": 0, "round": 0})]
    if verdict and verdict.aligned is not None:
        entries = [
            entry.model_copy(update={"first_missing_round": 0, "resolved_round": None}) for entry in record.concepts
        ]
        tracked = concept_tracker.update_missing(entries, verdict.missing, 0) if verdict.missing else entries
        values |= {"requirements": record.requirements, "tracked_concepts": tracked}
    return InitialState(after="select" if references else "generate", values=values)


def _round(references: Sequence[UsedReference]) -> dict[str, Any]:
    return {"chosen": list(references), "concepts": [], "concept_tries": 0, "queries": [], "tracked_concepts": []}


def _carried(base: Attempt | None, pinned: Sequence[UsedReference]) -> list[UsedReference]:
    """The references of the image to go on from: another prompt usually speaks of the same things."""
    pinned_shas = {pin.image.sha256 for pin in pinned}
    references = base.references if base else ()
    return [r for r in references if r.role == "reference" and r.image.sha256 not in pinned_shas]


def _base(record: RunRecord, excluded: Sequence[str]) -> Attempt | None:
    """The image to go on from: the best that was not drawn with a reference that is not wanted any more."""
    if not excluded and record.best_attempt is not None:
        return record.attempts[record.best_attempt]
    unwanted = set(excluded)
    fit = [a for a in record.attempts if not unwanted & {reference.image.sha256 for reference in a.references}]
    return next(iter(best_attempts(fit)), None)


async def _named(
    record: RunRecord, steering: ContinueOptions, library: ReferenceLibrary | None
) -> tuple[list[str], list[UsedReference], list[UsedReference]]:
    """Images never to be used, those that go with every drawing, and those to draw with next."""
    without = [_id_of(name, record) for name in steering.exclude_images]
    keep = [_id_of(name, record) for name in steering.keep_images]
    use = [_id_of(name, record, numbered=False) for name in steering.add_images]
    if both := set(without) & {*keep, *use}:
        raise UsageError(f"both wanted and not wanted: {', '.join(sorted(both))}")
    excluded = [sha for sha in dict.fromkeys([*record.excluded_images, *without]) if sha not in {*keep, *use}]
    pins = {pin.image.sha256: pin for pin in record.kept_images if pin.image.sha256 not in excluded}
    pins |= {pin.image.sha256: pin for pin in await _references(keep, record, library)}
    references = await _references([sha for sha in use if sha not in pins], record, library)
    return excluded, list(pins.values()), references


async def references_named(
    names: Sequence[str | int], record: RunRecord, library: ReferenceLibrary | None
) -> list[UsedReference]:
    """Images, named by id or its beginning, as references.

    Raises:
        UsageError: one that is not known.
    """
    return await _references([_id_of(name, record, numbered=False) for name in names], record, library)


def _id_of(name: str | int, record: RunRecord, *, numbered: bool = True) -> str:
    """The id that a number, an id or its beginning stands for; what the run has not seen is taken for a whole id."""
    text = str(name).strip().lower().removeprefix("image://")
    if text.isdecimal() and len(text) < SHORTEST_ID:
        if numbered and 1 <= int(text) <= len(record.references):
            return record.references[int(text) - 1].image.sha256
        raise UsageError(f"{name!r} is no reference of run {record.run_id}: it lists {len(record.references)}")
    matches = sorted({sha for sha in _seen(record) if sha.startswith(text)}) if len(text) >= SHORTEST_ID else []
    if len(matches) == 1:
        return matches[0]
    if len(text) == 64 and not set(text) - set("0123456789abcdef"):
        return text
    message = "names several images" if matches else "is no id of an image that this run has seen"
    raise UsageError(f"{str(name)[:80]!r} {message}: give all 64 characters of its SHA-256")


def _seen(record: RunRecord) -> dict[str, UsedReference | None]:
    """Every library image the run came across; as a reference, where it was sent as one."""
    candidates: dict[str, UsedReference | None] = {c.image.sha256: None for s in record.searches for c in s.candidates}
    references = [reference for attempt in record.attempts for reference in attempt.references]
    return candidates | {r.image.sha256: r for r in [*references, *record.kept_images] if r.role == "reference"}


async def _references(ids: Sequence[str], record: RunRecord, library: ReferenceLibrary | None) -> list[UsedReference]:
    """Images as references, in their order: as they were sent before, else for what of the prompt they fit best."""
    seen_references = _seen(record)
    unsent = [sha for sha in ids if not seen_references.get(sha)]
    fetched = _of_web(unsent, record)
    if unsent := [sha for sha in unsent if sha not in fetched]:
        fetched |= await _fitting(unsent, record, library)
    missing = [sha for sha in unsent if sha not in fetched]
    if missing:
        name = f"library {library.name!r}" if library else "the run's library: it has none"
        raise UsageError(f"not in {name}: {', '.join(missing)}")
    by_sha = {sha: reference for sha, reference in seen_references.items() if reference} | fetched
    return [by_sha[sha].model_copy(update={"selected_by": "by_hand"}) for sha in dict.fromkeys(ids)]


def _of_web(ids: Sequence[str], record: RunRecord) -> dict[str, UsedReference]:
    """Images that the run found on the web, as references for what it searched them for."""
    return {
        candidate.image.sha256: reference_of(candidate, search.query.concept.text, search.query.text)
        for search in record.searches
        for candidate in search.candidates
        if candidate.web and candidate.image.sha256 in ids
    }


async def _fitting(ids: Sequence[str], record: RunRecord, library: ReferenceLibrary | None) -> dict[str, UsedReference]:
    """Each image as a reference for the unresolved concept it is most similar to; for the prompt when there is none."""
    best: dict[str, UsedReference] = {}
    concepts = record.unresolved or [record.prompt]
    for concept in concepts if library else ():
        assert library is not None, "without a library there is nothing to go through"
        for hit in await library.search(concept, k=len(ids), filter=Filter(only=frozenset(ids))):
            old = best.get(hit.image.sha256)
            if old is None or (old.similarity or -1) < hit.similarity:
                best[hit.image.sha256] = reference_of(hit, concept, hit.caption_or_description)
    return best
