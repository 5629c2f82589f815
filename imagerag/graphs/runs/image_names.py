"""Images of a run by the names that people give them: a number, an id or its beginning; and those as references."""

from collections.abc import Sequence
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter, ReferenceLibrary
from imagerag.agent.retrieval.candidate_selection import reference_of
from imagerag.agent.retrieval.search_queries import search_words
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import UsedReference

SHORTEST_ID: Final = 6
"""Characters of an id that are enough, where they name one image only."""


async def references_named(
    names: Sequence[str | int], record: RunRecord, library: ReferenceLibrary | None
) -> list[UsedReference]:
    """Images, named by id or its beginning, as references.

    Raises:
        UsageError: one that is not known.
    """
    check_names(names, "references")
    return await references_of([id_of(name, record, numbered=False) for name in names], record, library)


def check_names(names: Sequence[str | int] | None, parameter: str) -> None:
    """Check that images are named in a list: the letters of a text would be taken for names.

    Raises:
        UsageError: they are not.
    """
    if names is not None and not isinstance(names, list | tuple):
        raise UsageError(f"{parameter} is a list of images, also of one: [{names!r:.80}]")


def id_of(name: str | int, record: RunRecord, *, numbered: bool = True) -> str:
    """The id that a number, an id or its beginning stands for; what the run has not seen is taken for a whole id."""
    text = str(name).strip().lower().removeprefix("image://")
    if text.isdecimal() and len(text) < SHORTEST_ID:
        if numbered and 1 <= int(text) <= len(record.references):
            return _reference(int(text), record).image.sha256
        raise UsageError(f"{name!r} is no reference of run {record.run_id}: it lists {len(record.references)}")
    matches = (
        sorted({sha for sha in _library_images(record) if sha.startswith(text)}) if len(text) >= SHORTEST_ID else []
    )
    if len(matches) == 1:
        return matches[0]
    if len(text) == 64 and not set(text) - set("0123456789abcdef"):
        return text
    message = "names several images" if matches else "is no id of an image that this run has seen"
    raise UsageError(f"{str(name)[:80]!r} {message}: give all 64 characters of its SHA-256")


def _reference(number: int, record: RunRecord) -> UsedReference:
    """A reference by its number; the image that is changed, and the user's own, are in the list as well."""
    if (named := record.references[number - 1]).role == "reference":
        return named
    own = "the image that is changed" if named.role == "edit" else "an image of yours"
    numbers = [str(n) for n, one in enumerate(record.references, 1) if one.role == "reference"]
    others = f"its references have the numbers {', '.join(numbers)}" if numbers else "it has no reference"
    raise UsageError(f"{number} of run {record.run_id} is {own}, which always goes with the prompt; {others}")


def _library_images(record: RunRecord) -> dict[str, UsedReference | None]:
    """Every library image the run came across; as a reference, where it was sent as one."""
    candidates: dict[str, UsedReference | None] = {c.image.sha256: None for s in record.searches for c in s.candidates}
    references = [reference for attempt in record.attempts for reference in attempt.references]
    return candidates | {
        r.image.sha256: r for r in [*references, *record.references, *record.kept_images] if r.role == "reference"
    }


async def references_of(ids: Sequence[str], record: RunRecord, library: ReferenceLibrary | None) -> list[UsedReference]:
    """Images as references, in their order: as they were sent before, else for what of the prompt they fit best."""
    seen_references = _library_images(record)
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
        for hit in await search_words(library, concept, k=len(ids), filter=Filter(only=frozenset(ids))):
            old = best.get(hit.image.sha256)
            if old is None or (old.similarity or -1) < hit.similarity:
                best[hit.image.sha256] = reference_of(hit, concept, hit.caption_or_description)
    return best
