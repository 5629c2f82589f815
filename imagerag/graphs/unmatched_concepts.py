"""What runs searched a library for, and of which no image passed: what is worth adding to it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.types import FrozenModel, Similarity
from imagerag.graphs.runs.records import read_record

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.store.run_index import RunEntry


class UnmatchedConcept(FrozenModel):
    """A concept that runs searched a library for, and of which no image passed.

    Attributes:
        concept: in the judge's words.
        caption: what was searched with last.
        runs: how many runs.
        last_run, last: id and time of the latest of them.
        closest: the highest similarity that an image had; None where nothing was found at all.
        threshold: the cosine that it had to reach; None where the threshold was off.
    """

    concept: str
    caption: str
    runs: int
    last_run: str
    last: datetime
    closest: Similarity | None = None
    threshold: float | None = None


async def unmatched_concepts(dependencies: "Dependencies", entries: Iterable["RunEntry"]) -> list[UnmatchedConcept]:
    """What these runs did not find, the most frequent first. Runs whose records cannot be read are passed over.

    Args:
        entries: of the list of runs, newest first.
    """
    found: dict[str, UnmatchedConcept] = {}
    for entry in entries:
        try:
            record = await read_record(dependencies, entry.run_id)
        except ImageRAGError:
            continue
        for one in unmatched_of(record, entry.created):
            latest = found.get(one.concept.casefold())
            found[one.concept.casefold()] = latest.model_copy(update={"runs": latest.runs + 1}) if latest else one
    return sorted(found.values(), key=lambda one: (-one.runs, -one.last.timestamp(), one.concept))


def unmatched_of(record: "RunRecord", at: datetime) -> Sequence[UnmatchedConcept]:
    """The concepts of one run for which none of its searches found an image that passed."""
    matched = {one.query.concept.text for one in record.searches if any(each.passed for each in one.candidates)}
    last: dict[str, UnmatchedConcept] = {}
    for search in record.searches:
        concept = search.query.concept.text
        if concept in matched or search.query.by == "prompt":
            continue
        closest = max(search.candidates, key=lambda one: one.similarity, default=None)
        last[concept] = UnmatchedConcept(
            concept=concept,
            caption=search.query.text,
            runs=1,
            last_run=record.run_id,
            last=at,
            closest=closest.similarity if closest else None,
            threshold=search.threshold_of(closest) if closest else search.threshold,
        )
    return [*last.values()]
