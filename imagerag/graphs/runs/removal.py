"""Removing runs: their steps, their answers, their line on the list, and the images that nobody else refers to.

A run leaves the list first, in one transaction that notes what is still to be deleted. Whatever ends the process
afterwards, the next removal goes on from that note; nothing in between shows half a run.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from imagerag.agent.errors import ImageRAGError, RunStateError
from imagerag.agent.types import Document, Outcome
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.run_sizes import RunSizes, measure, result_files
from imagerag.graphs.runs.run_snapshot import read_snapshot
from imagerag.store.blob_references import footprints
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import is_held, run_lock, under_way
from imagerag.store.integrity_check import blob_files, sqlite_files
from imagerag.store.run_index import RunEntry, RunStatus
from imagerag.store.run_removals import RunRemoval
from imagerag.store.sqlite.connection import shrink
from imagerag.store.unfinished_files import remove_unfinished

_LINK: Final = re.compile(r"[0-9a-f]{16}\.\w+")

AT_ONCE: Final = 16
"""Runs that are removed side by side: their writes share commits."""

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


async def preview(
    dependencies: Dependencies, entries: Sequence[RunEntry], *, sizes: RunSizes | None = None
) -> RunsRemoved:
    """Files that removing runs would delete."""
    measured = sizes or await measure(dependencies)
    ordered = sorted(entries, key=lambda one: one.created)
    freed = measured.freed_by(entry.run_id for entry in ordered)
    runs = [_removed_run(entry, size) for entry, size in zip(ordered, freed, strict=True)]
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
    busy = [entry.run_id for entry in entries if await asyncio.to_thread(is_made, home, entry.run_id)]
    if busy and not pass_over:
        raise RunStateError(under_way(home.lock(busy[0]), busy[0]))
    await asyncio.to_thread(remove_unfinished, home)  # first: on a full disk the rest needs some room
    measured = sizes or await measure(dependencies)
    planned = await preview(dependencies, [entry for entry in entries if entry.run_id not in busy], sizes=measured)
    removed = []
    async with _kept_open(dependencies):
        going, interrupted = {one.run_id for one in planned.runs}, await dependencies.runs.removals.list()
        descendants = await _descendants(dependencies, going) if going or interrupted else {}
        for unfinished in interrupted:
            await _delete(dependencies, unfinished.run_id, descendants.get(unfinished.run_id, ()))
        for at in range(0, len(planned.runs), AT_ONCE):
            part = planned.runs[at : at + AT_ONCE]
            removals = [_remove(dependencies, run.run_id, descendants.get(run.run_id, ()), measured) for run in part]
            for run, problem in zip(part, await asyncio.gather(*removals, return_exceptions=True), strict=True):
                if isinstance(problem, RunStateError) and pass_over:
                    busy.append(run.run_id)
                elif problem is not None:
                    raise problem
                else:
                    removed.append(run)
        await collect(dependencies, await dependencies.runs.removals.list(), grace_s=grace_s)
    for path in sqlite_files(home):
        await asyncio.to_thread(shrink, path)
    remaining = planned.kept + len(planned.runs) - len(removed)
    return RunsRemoved(runs=removed, freed_bytes=sum(one.bytes for one in removed), kept=remaining, in_use=busy)


async def collect(dependencies: Dependencies, removed: Sequence[RunRemoval], *, grace_s: float = GRACE_S) -> int:
    """Delete the images that nothing refers to; gives the bytes that were freed.

    An image of a removed run goes at once, unless somebody has put or touched it since that run ended. Of several runs
    with the same image the last one to end counts, those that were removed earlier too. Any other one stays for
    `grace_s` after it was last put or touched.
    """
    home, removals = dependencies.home, dependencies.runs.removals
    used_shas = {sha for one in (await asyncio.to_thread(footprints, home)).values() for sha in one.blobs}
    until = time.time() - grace_s
    unused = {sha: until for path in blob_files(home) if (sha := path.parent.name + path.name) not in used_shas}
    earlier = await removals.last_uses()
    last_uses = dict(earlier)
    for run in removed:
        last_uses |= {sha: max(run.updated, last_uses.get(sha, run.updated)) for sha in run.blobs}
    unused |= {sha: max(unused[sha], used.timestamp()) for sha, used in last_uses.items() if sha in unused}
    freed = await asyncio.to_thread(dependencies.blobs.remove_unused, unused)
    await asyncio.to_thread(_remove_dead_links, home)
    still_used = {sha: used for sha, used in last_uses.items() if sha in used_shas}
    gone = earlier.keys() - still_used.keys()
    if removed or gone:
        await removals.finish([run.run_id for run in removed], still_used, gone)
    return sum(freed.values())


@asynccontextmanager
async def _kept_open(dependencies: Dependencies) -> AsyncIterator[None]:
    """Keep the files of a home open for the block: SQLite writes back what it has put off whenever one is closed."""
    home = dependencies.home
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(dependencies.runs.kept_open())
        if home.store.exists():
            await opened.enter_async_context(dependencies.journal())
        if home.checkpoints.exists():
            await opened.enter_async_context(dependencies.checkpoints())
        yield


async def _remove(dependencies: Dependencies, run_id: str, descendants: Iterable[str], sizes: RunSizes) -> None:
    with run_lock(dependencies.home.lock(run_id), run_id):
        updated = await _last_written(dependencies, run_id)
        images = await asyncio.to_thread(sizes.images_of, run_id, updated)
        there = [sha for sha in sorted(images) if dependencies.blobs.path(sha).exists()]
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


def is_made(home: DataDir, run_id: str) -> bool:
    """Whether a process works on the run."""
    return is_held(home.lock(run_id))


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


def _removed_run(entry: RunEntry, freed: int) -> RemovedRun:
    return RemovedRun(bytes=freed, **entry.model_dump(include={"run_id", "prompt", "status", "outcome", "created"}))
