"""The snapshots of libraries that a run, a question or an evaluation names, pinned by the hashes of their content."""

import asyncio
from collections.abc import Mapping
from functools import partial

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.agent.types import RunSpec, SnapshotPins
from imagerag.formatting.interface_terms import NAME, Placeholder, python_call
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.snapshots import snapshot_content
from imagerag.store.library.names import is_snapshot


async def snapshot_hashes(dependencies: Dependencies, library: str | None) -> dict[str, str]:
    """Of each snapshot among the libraries of a name, the hash of what it holds.

    Raises:
        UnknownLibraryError: there is no such snapshot.
    """
    hashes = {}
    for name in names_of(library) if library else ():
        opened = await dependencies.library(name) if is_snapshot(name) else None
        if isinstance(opened, Library):
            hashes[name] = await asyncio.to_thread(snapshot_content, opened.folder)
    return hashes


def check_hashes(hashes: Mapping[str, str], noted: Mapping[str, str], subject: str, instead: str) -> None:
    """Compare snapshots with what was noted of them.

    Args:
        subject: what was made with those that were noted.
        instead: what to type to use the ones there are; `{name}` is the snapshot's.

    Raises:
        UsageError: one holds something else.
    """
    for name, content in hashes.items():
        if noted.get(name, content) != content:
            raise UsageError(
                f"{name!r} is not the snapshot that {subject} with: it was removed, and another one took its tag. "
                + instead.format(name=name)
            )


async def pin_snapshots(dependencies: Dependencies, setup: RunSpec, run_id: str | None = None) -> RunSpec:
    """Add the hashes of the snapshots that a setup names.

    Args:
        run_id: the run that it is of; its libraries have to be there, and messages name what to do without them.

    Raises:
        UnknownLibraryError: there is no such snapshot, or a library of the run is gone.
        UsageError: one holds something else than when the setup noted its hash.
    """
    again = partial(python_call, "runs.replay", run_id or "RUN", Placeholder("STEP"))
    try:
        hashes = await snapshot_hashes(dependencies, setup.library)
        if run_id and setup.library:
            await dependencies.library(setup.library)
    except UnknownLibraryError as error:
        if run_id is None:
            raise
        instead = again(library=NAME)
        raise UnknownLibraryError(f"{error}. Or do the run again with another library: {instead}") from error
    instead = "Do the run again with the one there is: " + again(library=Placeholder("{name!r}"))
    check_hashes(hashes, setup.snapshots, "the run was made", instead)
    return setup.model_copy(update={"snapshots": hashes}) if hashes != setup.snapshots else setup


async def thread_pins(
    dependencies: Dependencies, thread: str, library: str | None, *, ended_too: bool = False
) -> dict[str, str]:
    """`snapshot_hashes`, compared with those of what a thread has not ended yet.

    Args:
        ended_too: compare them with those of what has ended, which a question follows up.

    Raises:
        UnknownLibraryError: there is no such snapshot.
        UsageError: one holds something else now.
    """
    if hashes := await snapshot_hashes(dependencies, library):
        async with dependencies.checkpoints() as saver:
            newest = await saver.aget_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ""}})
        values = newest.checkpoint["channel_values"] if newest else {}
        if ended_too or not values.get("result"):
            noted: SnapshotPins | None = values.get("snapshots")
            check_hashes(hashes, noted.hashes if noted else {}, "the thread was begun", "Begin a new thread")
    return hashes
