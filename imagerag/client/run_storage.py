"""The part of `ImageRAG.runs` that saves, marks and removes runs as a whole."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import Bytes, NaturalNumber
from imagerag.client.context import ClientContext
from imagerag.client.synchronous import synchronous, synchronous_list

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.removal import RunsRemoved
    from imagerag.store.run_index import RunEntry

    Files = Sequence[Path]
    Entries = list[RunEntry]


@check_arguments
class RunStorageAPI:
    """Saving runs to folders and archives, marking them, and removing them."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    async def save_folder(self, run: "RunRecord | str", folder: str | Path, *, overwrite: bool = False) -> "Files":
        """Write a run as a folder that stands alone: images with sidecars, references with credits, report, record.

        Args:
            run: the run.
            folder: where; it is made. The same run may be there already.
            overwrite: write into a folder that holds something else, and over files that differ.

        Returns:
            The files.

        Raises:
            UnknownRunError: no such run.
            UsageError: it cannot be written, or holds something else, or files that differ.
        """
        from imagerag.reports.run_folder import write_run_folder

        record = await self._record(run)
        return await write_run_folder(self._context.dependencies, record, Path(folder), overwrite=overwrite)

    async def save_zip(self, run: "RunRecord | str", file: str | Path, *, overwrite: bool = False) -> Path:
        """Write a run as one ZIP archive, of the same files as `save_folder`.

        Args:
            run: the run.
            file: the archive.
            overwrite: write over a file that is there.

        Raises:
            UnknownRunError: no such run.
            UsageError: it cannot be written, or is there already.
        """
        from imagerag.reports.run_folder import write_run_zip

        record = await self._record(run)
        return await write_run_zip(self._context.dependencies, record, Path(file), overwrite=overwrite)

    async def stream_zip(self, run: "RunRecord | str") -> AsyncGenerator[bytes]:
        """The archive of `save_zip`, chunk by chunk. One file of the run is in memory at a time.

        Raises:
            UnknownRunError: no such run.
        """
        from imagerag.files.zip_stream import zip_stream
        from imagerag.reports.run_folder import run_files

        files = run_files(self._context.dependencies, await self._record(run))
        async with aclosing(zip_stream(files)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def mark(self, *runs: str, favourite: bool = True) -> "Entries":
        """Make runs favourites, which `list(favourite=True)` lists and `prune` leaves, or no favourites any more.

        Args:
            runs: ids, or starts of them.

        Returns:
            Their entries, in the order of `runs`.

        Raises:
            UnknownRunError: no such run; nothing was marked.
        """
        from imagerag.graphs.runs.reindexing import ensure_indexed

        await ensure_indexed(self._context.dependencies)
        index = self._context.dependencies.runs
        entries = {entry.run_id: entry for entry in [await index.get(run) for run in runs]}
        for run_id in entries:
            await asyncio.to_thread(index.favourites.add if favourite else index.favourites.discard, run_id)
        return [entry.model_copy(update={"favourite": favourite}) for entry in entries.values()]

    async def remove(self, *runs: str, dry_run: bool = False) -> "RunsRemoved":
        """Delete runs for good: steps, answers, result files in the home, images that no other run refers to.

        Args:
            runs: ids, or starts of them.
            dry_run: only say what would go.

        Raises:
            UnknownRunError: no such run; nothing was removed.
            RunStateError: one is being made right now; nothing was removed.
        """
        from imagerag.graphs.runs.removal import preview, remove_runs
        from imagerag.store.room_reserve import room_for_removal

        dependencies = self._context.dependencies
        with nullcontext() if dry_run else room_for_removal(dependencies.home):
            entries = {entry.run_id: entry for entry in [await dependencies.runs.get(run) for run in runs]}
            return await (preview if dry_run else remove_runs)(dependencies, list(entries.values()))

    async def prune(
        self,
        *,
        older_than: datetime | None = None,
        keep: NaturalNumber | None = None,
        max_bytes: Bytes | None = None,
        unfinished: bool = False,
        favourites: bool = False,
        dry_run: bool = False,
    ) -> "RunsRemoved":
        """Delete old runs for good; without a limit, only finish a removal that was stopped.

        Args:
            older_than: runs begun before this moment.
            keep: the newest runs, which stay in any case; alone, all others go.
            max_bytes: the oldest runs, until all that runs take is no more than this.
            unfinished: also runs that wait for a choice or were stopped; those being made always stay.
            favourites: also favourites.
            dry_run: only say what would go.
        """
        from imagerag.graphs.runs.pruning import PruneLimits, choose_runs
        from imagerag.graphs.runs.removal import preview, remove_runs
        from imagerag.graphs.runs.run_sizes import measure
        from imagerag.store.room_reserve import room_for_removal

        dependencies = self._context.dependencies
        limits = PruneLimits(
            older_than=older_than, keep=keep, max_bytes=max_bytes, unfinished=unfinished, favourites=favourites
        )
        with nullcontext() if dry_run else room_for_removal(dependencies.home):
            sizes = await measure(dependencies)
            entries = await choose_runs(dependencies, limits, sizes=sizes)
            if dry_run:
                return await preview(dependencies, entries, sizes=sizes)
            return await remove_runs(dependencies, entries, sizes=sizes, pass_over=True)

    async def _record(self, run: "RunRecord | str") -> "RunRecord":
        from imagerag.graphs.runs.reindexing import find_record

        return await find_record(self._context.dependencies, run) if isinstance(run, str) else run

    mark_sync = synchronous(mark)
    save_folder_sync = synchronous(save_folder)
    save_zip_sync = synchronous(save_zip)
    stream_zip_sync = synchronous_list(stream_zip)
    remove_sync = synchronous(remove)
    prune_sync = synchronous(prune)
