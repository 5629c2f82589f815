"""Removing runs: their steps, their answers, their line on the list, and the images that nobody else refers to.

A run leaves the list first, in one transaction that notes what is still to be deleted. Whatever ends the process
afterwards, the next removal goes on from that note; nothing in between shows half a run.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from imagerag.agent.errors import ImageRAGError, RunStateError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.types import Document, Outcome
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.records import relist_left
from imagerag.graphs.runs.run_snapshot import read_snapshot
from imagerag.store.blob_references import RunFootprint, footprints
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import is_locked, run_lock, under_way
from imagerag.store.integrity_check import blob_files, sqlite_files
from imagerag.store.run_index import RunEntry, RunStatus
from imagerag.store.run_removals import RunRemoval
from imagerag.store.sqlite.connection import shrink

_LINK: Final = re.compile(r"[0-9a-f]{16}\.\w+")

GRACE_S: Final = 24 * 3600.0
"""An image that nothing refers to stays so long: a request that is about to be made may have put it there."""


class RemovedRun(BaseModel):
    """A run that was removed, or would be.

    Attributes:
        bytes: what it takes that no kept run needs: checkpoints, journal, images, result files.
    """

    model_config = ConfigDict(extra="forbid")
    run_id: str
    prompt: str
    status: RunStatus
    outcome: Outcome | None
    created: AwareDatetime
    bytes: int


class RunsRemoved(Document):
    """Result of `runs remove` and `runs prune`, `imagerag.runs-removed/1`.

    Attributes:
        dry_run: nothing was removed; this is what would be.
        runs: oldest first.
        freed_bytes: what all of them take together, images that several of them share counted once.
        kept: how many runs stay.
        in_use: runs that were passed over, because they are being made.
    """

    schema_name: Literal["imagerag.runs-removed/1"] = Field(default="imagerag.runs-removed/1", alias="schema")
    dry_run: bool = False
    runs: list[RemovedRun] = Field(default_factory=list)
    freed_bytes: int = 0
    kept: int = 0
    in_use: list[str] = Field(default_factory=list)


class RunSizes:
    """Disk use of runs, from one scan of a home.

    Args:
        home: the home; every file of it that can name an image is read.
    """

    def __init__(self, home: DataDir) -> None:
        self._home = home
        self._found = footprints(home)
        self._sizes = {path.parent.name + path.name: path.stat().st_size for path in blob_files(home)}

    @property
    def total(self) -> int:
        """The bytes of all runs, and of the images that they refer to."""
        runs = {run_id: one for run_id, one in self._found.items() if run_id}
        images = set().union(*(one.blobs for one in runs.values())) & self._sizes.keys()
        return sum(one.checkpoints + one.journal for one in runs.values()) + sum(map(self._sizes.__getitem__, images))

    def freed_by(self, run_ids: Iterable[str]) -> Iterator[int]:
        """The bytes that go with each of these runs, when they go in this order."""
        users = Counter(sha for one in self._found.values() for sha in one.blobs if sha in self._sizes)
        for run_id in run_ids:
            one = self._found.get(run_id, RunFootprint())
            images = one.blobs & self._sizes.keys()
            users.subtract(images)
            freed = sum(self._sizes[sha] for sha in images if not users[sha])
            files = sum(path.stat().st_size for path in result_files(self._home, run_id))
            yield one.checkpoints + one.journal + freed + files


async def measure(dependencies: Dependencies) -> RunSizes:
    """Disk use of runs. This is slow: measure once for all that is done with the same runs."""
    return await asyncio.to_thread(RunSizes, dependencies.home)


async def preview(
    dependencies: Dependencies, entries: Sequence[RunEntry], *, sizes: RunSizes | None = None
) -> RunsRemoved:
    """Files that removing runs would delete."""
    measured = sizes or await measure(dependencies)
    ordered = sorted(entries, key=lambda one: one.created)
    freed = measured.freed_by(entry.run_id for entry in ordered)
    runs = [_removed(entry, size) for entry, size in zip(ordered, freed, strict=True)]
    remaining = len(await dependencies.runs.list(None)) - len(runs)
    return RunsRemoved(dry_run=True, runs=runs, freed_bytes=sum(one.bytes for one in runs), kept=remaining)


async def remove_runs(
    dependencies: Dependencies,
    entries: Sequence[RunEntry],
    *,
    pass_over: bool = False,
    grace_s: float = GRACE_S,
    sizes: RunSizes | None = None,
) -> RunsRemoved:
    """Remove runs, and finish removals that were begun before.

    Args:
        pass_over: leave runs that are being made, instead of refusing.
        grace_s: how long an image that nothing refers to stays, unless it is known to be of a removed run alone.
        sizes: as they were measured to choose these runs.

    Raises:
        RunStateError: one of them is being made right now; nothing was removed.
    """
    home = dependencies.home
    busy = [entry.run_id for entry in entries if await asyncio.to_thread(_is_made, home, entry.run_id)]
    if busy and not pass_over:
        raise RunStateError(under_way(home.lock(busy[0]), busy[0]))
    planned = await preview(dependencies, [entry for entry in entries if entry.run_id not in busy], sizes=sizes)
    removed = []
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(dependencies.runs.kept_open())
        going, interrupted = {one.run_id for one in planned.runs}, await dependencies.runs.removals.list()
        descendants = await _descendants(dependencies, going) if going or interrupted else {}
        for unfinished in interrupted:
            await _delete(dependencies, unfinished.run_id, descendants.get(unfinished.run_id, ()))
        for one in planned.runs:
            try:
                await _remove(dependencies, one.run_id, descendants.get(one.run_id, ()))
            except RunStateError:
                busy.append(one.run_id)
                if not pass_over:
                    raise
            else:
                removed.append(one)
        await collect(dependencies, await dependencies.runs.removals.list(), grace_s=grace_s)
    for path in sqlite_files(home):
        await asyncio.to_thread(shrink, path)
    remaining = planned.kept + len(planned.runs) - len(removed)
    return RunsRemoved(runs=removed, freed_bytes=sum(one.bytes for one in removed), kept=remaining, in_use=busy)


async def collect(dependencies: Dependencies, removed: Sequence[RunRemoval], *, grace_s: float = GRACE_S) -> int:
    """Delete the images that nothing refers to; gives the bytes that were freed.

    An image of a removed run goes at once, unless somebody has put or touched it since that run ended. Any other one
    stays for `grace_s` after it was last put or touched.
    """
    home = dependencies.home
    used_shas = {sha for one in (await asyncio.to_thread(footprints, home)).values() for sha in one.blobs}
    until = time.time() - grace_s
    unused = {sha: until for path in blob_files(home) if (sha := path.parent.name + path.name) not in used_shas}
    for run in removed:
        ended = run.updated.timestamp()
        unused |= {sha: max(unused[sha], ended) for sha in run.blobs if sha in unused}
    freed = await asyncio.to_thread(dependencies.blobs.remove_unused, unused)
    await asyncio.to_thread(_remove_dead_links, home)
    if removed:
        await dependencies.runs.removals.finish([run.run_id for run in removed])
    return sum(freed.values())


def result_files(home: DataDir, run_id: str) -> list[Path]:
    """The files of a run's result for which no other place was given."""
    names = [f"{run_id}{suffix}{more}" for suffix in RESULT_SUFFIXES.values() for more in ("", ".json")]
    return [path for name in [*names, f"{run_id}-choices.png"] if (path := home.images / name).is_file()]


async def _remove(dependencies: Dependencies, run_id: str, descendants: Iterable[str]) -> None:
    with run_lock(dependencies.home.lock(run_id), run_id):
        own = (await asyncio.to_thread(footprints, dependencies.home, run_id)).get(run_id, RunFootprint())
        there = [sha for sha in sorted(own.blobs) if dependencies.blobs.path(sha).exists()]
        updated = await _last_written(dependencies, run_id)
        await dependencies.runs.removals.begin(RunRemoval(run_id=run_id, updated=updated, blobs=tuple(there)))
        await _delete(dependencies, run_id, descendants)


async def _last_written(dependencies: Dependencies, run_id: str) -> datetime:
    """Time of a run's last write: the list knows it of those that ended, the newest step of those that were stopped."""
    listed = (await dependencies.runs.get(run_id)).updated
    if not dependencies.home.checkpoints.exists():
        return listed
    async with dependencies.checkpoints() as saver:
        newest = await saver.aget_tuple({"configurable": {"thread_id": run_id}})
    return max(listed, datetime.fromisoformat(newest.checkpoint["ts"])) if newest else listed


async def _delete(dependencies: Dependencies, run_id: str, descendants: Iterable[str]) -> None:
    """Delete what is left of a run that is on the list no more; what is gone already is passed over."""
    home = dependencies.home
    if home.store.exists():
        async with dependencies.journal() as journal:
            await journal.hand_over(run_id, descendants)
            await journal.remove(run_id)
    if home.checkpoints.exists():
        async with dependencies.checkpoints() as saver:
            await saver.adelete_thread(run_id)
    await asyncio.to_thread(_unlink, result_files(home, run_id))
    await asyncio.to_thread(dependencies.runs.favourites.discard, run_id)


async def _descendants(dependencies: Dependencies, going: set[str]) -> Mapping[str, list[str]]:
    """The runs that do others again and stay, by the run that they look for answers of."""
    descendants: dict[str, list[str]] = {}
    for entry in await dependencies.runs.list(None):
        if entry.parent_run is None or entry.run_id in going:
            continue
        try:
            values: Mapping[str, Any] = (await read_snapshot(dependencies, entry.run_id)).values
        except ImageRAGError:  # a run whose steps cannot be read does nothing again
            continue
        setup, parent = values.get("setup"), values.get("parent_run")
        if parent is not None and not (setup is not None and setup.config.cache == "record"):
            for earlier in parent.done_again:
                descendants.setdefault(earlier, []).append(entry.run_id)
    return descendants


def _is_made(home: DataDir, run_id: str) -> bool:
    return home.lock(run_id).exists() and is_locked(home.lock(run_id))


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_dead_links(home: DataDir) -> None:
    """Delete the links whose blob is gone: a hard link keeps its bytes on the disk."""
    links = [link for folder in (home.image_links, home.earlier_image_links) for link in folder.glob("*.*")]
    # Listed later: a link follows its blob.
    existing = {(path.parent.name + path.name)[:16] for path in blob_files(home)}
    _unlink(link for link in links if _LINK.fullmatch(link.name) and link.stem not in existing)
    with suppress(OSError):  # there is none, or it still holds something
        home.earlier_image_links.rmdir()


def _removed(entry: RunEntry, freed: int) -> RemovedRun:
    return RemovedRun(bytes=freed, **entry.model_dump(include={"run_id", "prompt", "status", "outcome", "created"}))


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
        if not _is_made(dependencies.home, one.run_id):
            await relist_left(dependencies, one.run_id)
    newest_first = await dependencies.runs.list(None)
    free = newest_first[limits.keep or 0 :]
    able = [one for one in reversed(free) if limits.unfinished or one.status == "ended"]
    able = [one for one in able if limits.favourites or not one.favourite]
    able = [one for one in able if not _is_made(dependencies.home, one.run_id)]
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
