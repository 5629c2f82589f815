"""The Python front door to what runs left: their records, pictures and steps, as reports and sheets."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import BlobError, DamagedFileError, ImageRAGError, UnknownRunError
from imagerag.agent.threads import in_thread
from imagerag.client.qa import Asking

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.history import Step
    from imagerag.graphs.runs.runner import Runner
    from imagerag.reports.run_diff.models import RunDiff
    from imagerag.store.run_index import RunEntry


class Runs(Asking):
    """What can be known of runs that were made."""

    @cached_property
    def runner(self) -> "Runner":
        """What runs the graph; for those who need more than this class offers."""
        from imagerag.graphs.runs.runner import Runner

        return Runner(wiring=self.wiring)

    async def runs(
        self, limit: int | None = 20, *, outcome: str | None = None, text: str | None = None, **filters: Any
    ) -> "list[RunEntry]":
        """The runs made so far, newest first.

        Args:
            limit: at most so many; None for all.
            outcome: only those that ended so.
            text: only those whose prompt contains it.
            filters: `status`, `library`, `since`, `until`, `min_cost`, `max_cost`, as `store.runs.RunList.list` takes
                them.
        """
        from imagerag.store.data_dir import DataDir
        from imagerag.store.run_index import RunIndex

        # Not by way of `wiring`: that loads the graph, and listing is to be quick.
        home = DataDir.find(self.settings.home)
        listed = RunIndex(home.run_list)
        if home.checkpoints.exists() and listed.is_lost():
            await self._ensure_listed()
        return await listed.list(limit, outcome=outcome, text=text, **filters)

    async def record(self, run_id: str) -> "RunRecord":
        """The record of a run, wherever it stands. The start of its id is enough."""
        await self._ensure_listed()
        try:
            entry = await self.wiring.runs.get(run_id)
        except DamagedFileError:
            with suppress(UnknownRunError):  # a whole id needs no list
                return await self.runner.record(run_id)
            raise
        try:
            return await self.runner.record(entry.run_id)
        except UnknownRunError as error:
            raise UnknownRunError(
                f"run {entry.run_id} is on the list, but {self.wiring.home.checkpoints} has no step of it: it was "
                "stopped before its first one, or that file is not the one it was (imagerag doctor checks it)"
            ) from error

    async def _ensure_listed(self) -> None:
        from imagerag.graphs.runs.reindexing import ensure_indexed

        await ensure_indexed(self.wiring)

    async def save(self, record: "RunRecord", path: str | Path, *, overwrite: bool = False) -> "RunRecord":
        """Write a run's picture to a file, and beside it `NAME.json`: the run, and whose pictures are in it.

        Args:
            record: a run; without an image nothing is written.
            path: the file. What was saved there before is written anew.
            overwrite: write over other files too.

        Returns:
            The record, its image's path now that file.

        Raises:
            UsageError: the file cannot be written, no picture has its suffix, or it is somebody else's.
        """
        from imagerag.files.export import export

        return await export(record, self.wiring.blobs, Path(path), overwrite=overwrite)

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image of a run, verified against their hash."""
        return await self.wiring.blobs.get(sha256)

    async def pictures(self, record: "RunRecord") -> dict[str, bytes]:
        """The bytes of every picture a run speaks of, by SHA-256: attempts, masks, candidates; not those lost."""
        library = None
        if record.searches and record.setup and record.setup.library:
            with suppress(ImageRAGError):  # removed since, or its encoder gone: the run's own pictures are still there
                library = await self.wiring.library(record.setup.library)
        found: dict[str, bytes] = {}
        offered = [candidate.image for search in record.searches for candidate in search.candidates]
        used = [reference for attempt in record.attempts for reference in attempt.references]
        sent = [image for reference in used for image in (reference.image, reference.mask) if image]
        for image in [*(attempt.image for attempt in record.attempts), *sent, *offered]:
            with suppress(BlobError):
                found[image.sha256] = await self.image_bytes(image.sha256)
            if image.sha256 not in found and library is not None:
                with suppress(BlobError):
                    found[image.sha256] = await library.image_bytes(image.sha256)
        return found

    async def steps(self, run: "RunRecord | str") -> "list[Step]":
        """What a run did, step by step: node, what it changed, calls, time."""
        from imagerag.graphs.runs.history import steps

        entry = run if not isinstance(run, str) else await self.wiring.runs.get(run)
        return await steps(self.wiring, entry.run_id)

    async def report(self, run: "RunRecord | str") -> str:
        """One self-contained HTML page that tells a whole run; `run` is its record, its id, or the start of that."""
        from imagerag.reports.html.builder import report_of

        return await report_of(self, await self.record(run) if isinstance(run, str) else run)

    async def diff(self, a: "RunRecord | str", b: "RunRecord | str") -> "RunDiff":
        """How two runs differ, the first divergence first: a run and its replay, or any two.

        Args:
            a: a run's record, its id, or the start of that; `b` likewise.

        Returns:
            `same`, `first` (where they part), `divergences`, `setup` and `result`; `as_json()` is `imagerag.diff/1`.

        Raises:
            UnknownRunError: no such run.
        """
        from imagerag.reports.html.diff_builder import compare

        return await compare(self, *[await self.record(run) if isinstance(run, str) else run for run in (a, b)])

    async def contact_sheet(self, record: "RunRecord") -> bytes:
        """One picture (PNG) that tells a whole run; of a run that waits for a choice, what it offers, numbered."""
        from imagerag.reports.contact_sheet.choices_sheet import choices_sheet
        from imagerag.reports.contact_sheet.layout import png
        from imagerag.reports.contact_sheet.run_sheet import contact_sheet

        pictures = await self.pictures(record)
        draw, document = (choices_sheet, record.question) if record.question else (contact_sheet, record.as_json())
        return await in_thread(lambda: png(draw(document, pictures.__getitem__)))
