"""The part of `ImageRAG.runs` that says how a run stands, and what it can still cost."""

import asyncio
from typing import TYPE_CHECKING

from imagerag.client.run_storage import RunStorageAPI
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate


class RunStateAPI(RunStorageAPI):
    """How runs stand."""

    async def is_under_way(self, run_id: str) -> bool:
        """Whether a process is making the run right now. One that is not, and has not ended, was stopped in the middle
        or waits for a selection: `resume` goes on with it. On Windows it cannot be known, and is True.

        Args:
            run_id: the whole id.
        """
        from imagerag.store.data_dir import DataDir
        from imagerag.store.file_lock import is_locked

        home = DataDir.find(self._context.settings.home)
        return await asyncio.to_thread(is_locked, home.lock(run_id))

    async def estimate_resume(self, run_id: str) -> "Estimate":
        """Upper bounds of what `resume` of a run still calls and costs; nothing is asked and nothing is spent.

        Args:
            run_id: a run that waits for a selection, or was stopped.

        Raises:
            UnknownRunError: no such run, or it was stopped before its first step.
            RunStateError: it has ended.
        """
        from imagerag.graphs.resume_estimate import estimate_resume

        return await estimate_resume(self._context.dependencies, run_id)

    is_under_way_sync = synchronous(is_under_way)
    estimate_resume_sync = synchronous(estimate_resume)
