"""The snapshots of libraries that a run names, pinned by the hashes of their content."""

import asyncio

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.agent.types import RunSpec
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.snapshots import snapshot_content
from imagerag.store.library.names import is_snapshot


async def pin_snapshots(dependencies: Dependencies, setup: RunSpec) -> RunSpec:
    """Add the hashes of the snapshots that a setup names.

    Raises:
        UnknownLibraryError: there is no such snapshot.
        UsageError: one holds something else than when the setup noted its hash.
    """
    found = {}
    for name in names_of(setup.library) if setup.library else ():
        opened = await dependencies.library(name) if is_snapshot(name) else None
        if isinstance(opened, Library):
            found[name] = await asyncio.to_thread(snapshot_content, opened.folder)
            if setup.snapshots.get(name, found[name]) != found[name]:
                raise UsageError(
                    f"{name!r} is not the snapshot that the run was made with: it was removed, and another one "
                    f"took its tag. imagerag replay RUN --library {name} uses the one there is"
                )
    return setup.model_copy(update={"snapshots": found}) if found != setup.snapshots else setup
