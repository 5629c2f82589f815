"""Which runs `prune` removes, by their age, number and disk use."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.records import relist_left
from imagerag.graphs.runs.removal import is_made
from imagerag.graphs.runs.run_sizes import RunSizes, measure
from imagerag.store.run_index import RunEntry


class PruneLimits(BaseModel):
    """Runs that `prune` removes: those that any of the first two limits is for, never one of the newest `keep`.

    Attributes:
        older_than: runs that were begun before this moment.
        max_bytes: the oldest runs, until all that runs take is no more than this.
        keep: the newest runs, which stay; alone, all others go.
        unfinished: take runs that wait or were stopped, too; those being made are never taken.
        favourites: take favourites, too.
    """

    model_config = ConfigDict(frozen=True)
    older_than: datetime | None = None
    max_bytes: int | None = Field(default=None, ge=0)
    keep: int | None = Field(default=None, ge=0)
    unfinished: bool = False
    favourites: bool = False


async def choose_runs(
    dependencies: Dependencies, limits: PruneLimits, *, sizes: RunSizes | None = None
) -> list[RunEntry]:
    """The runs that limits are for, oldest first. Runs that were stopped before their first step count as ended."""
    for one in await dependencies.runs.list(None, status="running"):
        if not is_made(dependencies.home, one.run_id):
            await relist_left(dependencies, one.run_id)
    newest_first = await dependencies.runs.list(None)
    free = newest_first[limits.keep or 0 :]
    able = [one for one in reversed(free) if limits.unfinished or one.status == "ended"]
    able = [one for one in able if limits.favourites or not one.favourite]
    able = [one for one in able if not is_made(dependencies.home, one.run_id)]
    if limits.older_than is None and limits.max_bytes is None:
        return able if limits.keep is not None else []
    old = [one for one in able if limits.older_than is not None and one.created < limits.older_than]
    if limits.max_bytes is None:
        return old
    measured = sizes or await measure(dependencies)
    total_bytes, to_remove = measured.total, list[RunEntry]()
    ordered = [*old, *(one for one in able if one not in old)]
    for one, freed in zip(ordered, measured.freed_by(one.run_id for one in ordered), strict=True):
        if len(to_remove) >= len(old) and total_bytes <= limits.max_bytes:
            break
        total_bytes -= freed
        to_remove.append(one)
    return to_remove
