"""The part of `ImageRAG.runs` that saves and removes runs as a whole."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.client.context import ClientContext
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.removal import RunsRemoved

    Files = Sequence[Path]


class RunStorageAPI:
    """Saving runs to folders, and removing them."""

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
        from imagerag.graphs.runs.reindexing import find_record
        from imagerag.reports.run_folder import write_run_folder

        dependencies = self._context.dependencies
        record = await find_record(dependencies, run) if isinstance(run, str) else run
        return await write_run_folder(dependencies, record, Path(folder), overwrite=overwrite)

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

        dependencies = self._context.dependencies
        entries = {entry.run_id: entry for entry in [await dependencies.runs.get(run) for run in runs]}
        return await (preview if dry_run else remove_runs)(dependencies, list(entries.values()))

    async def prune(
        self,
        *,
        older_than: datetime | None = None,
        keep: int | None = None,
        max_bytes: int | None = None,
        unfinished: bool = False,
        dry_run: bool = False,
    ) -> "RunsRemoved":
        """Delete old runs for good; without a limit, only finish a removal that was stopped.

        Args:
            older_than: runs begun before this moment.
            keep: the newest runs, which stay in any case; alone, all others go.
            max_bytes: the oldest runs, until all that runs take is no more than this.
            unfinished: also runs that wait for a choice or were stopped; those being made always stay.
            dry_run: only say what would go.
        """
        from imagerag.graphs.runs.removal import PruneLimits, choose_runs, measure, preview, remove_runs

        dependencies = self._context.dependencies
        limits = PruneLimits(older_than=older_than, keep=keep, max_bytes=max_bytes, unfinished=unfinished)
        sizes = await measure(dependencies)
        entries = await choose_runs(dependencies, limits, sizes=sizes)
        if dry_run:
            return await preview(dependencies, entries, sizes=sizes)
        return await remove_runs(dependencies, entries, sizes=sizes, pass_over=True)

    save_folder_sync = synchronous(save_folder)
    remove_sync = synchronous(remove)
    prune_sync = synchronous(prune)
