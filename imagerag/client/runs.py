"""`ImageRAG.runs`: the runs that were made, and new runs that resume, continue or replay them."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from imagerag.agent.threads import in_thread
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import PositiveNumber
from imagerag.client.run_estimates import RunEstimatesAPI
from imagerag.client.run_list import RunFilters, RunListAPI
from imagerag.client.run_steering import RunSteeringAPI
from imagerag.client.run_storage import RunStorageAPI
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.agent.images.difference import ImageDifference
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.history import Step
    from imagerag.reports.run_diff.models import RunDiff
    from imagerag.store.run_index import RunEntry

    Entries = list[RunEntry]
    Steps = list[Step]
    """Named here because inside the class `list` is the method."""


@check_arguments
class RunsAPI(RunListAPI, RunEstimatesAPI, RunStorageAPI, RunSteeringAPI):
    """The runs of a data directory. A run is named by its id, or by the start of it."""

    async def list(
        self,
        limit: PositiveNumber | None = 20,
        *,
        outcome: str | None = None,
        text: str | None = None,
        **filters: Unpack[RunFilters],
    ) -> "Entries":
        """List runs, newest first.

        Args:
            limit: at most so many; None for all.
            outcome: only those that ended so.
            text: only those whose prompt contains it.
            filters: `status`, `library`, `since`, `until`, `min_cost`, `max_cost`, `favourite`, `parent_run`, `after`,
                as `store.run_index.RunIndex.list` takes them.
        """
        index = await self._index()
        entries = await index.list(limit, outcome=outcome, text=text, **filters)
        if await self._correct_left(entries):
            return await index.list(limit, outcome=outcome, text=text, **filters)
        return entries

    async def get(self, run_id: str) -> "RunRecord":
        """Read the record of a run, finished or not.

        Raises:
            UnknownRunError: no such run.
        """
        from imagerag.graphs.runs.reindexing import find_record

        return await find_record(self._context.dependencies, run_id)

    async def steps(self, run: "RunRecord | str") -> "Steps":
        """List the steps of a run: node, state update, calls, time."""
        from imagerag.graphs.runs.history import steps

        entry = run if not isinstance(run, str) else await self._context.dependencies.runs.get(run)
        return await steps(self._context.dependencies, entry.run_id)

    async def save(self, record: "RunRecord", path: str | Path, *, overwrite: bool = False) -> "RunRecord":
        """Write a run's image to a file, and beside it `NAME.json`: the run, and whose images are in it.

        Args:
            record: a run; without an image nothing is written.
            path: the file. What was saved there before is written anew.
            overwrite: write over other files too.

        Returns:
            The record, its image's path now that file.

        Raises:
            UsageError: the file cannot be written, no image has its suffix, or it is somebody else's.
        """
        from imagerag.files.export import export

        return await export(record, self._context.dependencies.blobs, Path(path), overwrite=overwrite)

    async def image_bytes(self, sha256: str) -> bytes:
        """Read an image of a run, verified against its hash."""
        return await self._context.dependencies.blobs.get(sha256)

    async def images(self, record: "RunRecord") -> dict[str, bytes]:
        """Read every image that a run names, by SHA-256: attempts, masks, candidates; not those lost."""
        from imagerag.reports.record_images import run_images

        return await run_images(self._context.dependencies, record)

    async def image_difference(self, a: "str | bytes", b: "str | bytes") -> "ImageDifference":
        """Compare two images, for instance two attempts, laid on each other.

        Args:
            a: an image of a run, by SHA-256, or the bytes of any image. The other one is scaled to its size.
            b: the other one.

        Returns:
            `share`, of the pixels those that differ visibly, in [0, 1], and `image`, a PNG that shows them.

        Raises:
            BlobError: no run has this image.
            UsageError: it cannot be read.
        """
        from imagerag.agent.images.difference import image_difference

        blobs = self._context.dependencies.blobs
        first, second = [one if isinstance(one, bytes) else await blobs.get(one) for one in (a, b)]
        return await in_thread(image_difference, first, second)

    async def report(self, run: "RunRecord | str") -> str:
        """One self-contained HTML page about a whole run."""
        from imagerag.reports.html.report_writer import report_of

        return await report_of(self._context.dependencies, await self._record(run))

    async def diff(self, a: "RunRecord | str", b: "RunRecord | str") -> "RunDiff":
        """Compare two runs, the first divergence first: a run and its replay, or any two.

        Returns:
            `same`, `first` (where they part), `divergences`, `setup` and `result`; `as_json()` is `imagerag.diff/1`.

        Raises:
            UnknownRunError: no such run.
        """
        from imagerag.reports.html.diff_writer import compare

        return await compare(self._context.dependencies, await self._record(a), await self._record(b))

    async def contact_sheet(self, record: "RunRecord") -> bytes:
        """One image (PNG) about a whole run; for a run that waits for a selection, its candidates, numbered."""
        from imagerag.reports.contact_sheet.choices_sheet import choices_sheet
        from imagerag.reports.contact_sheet.layout import png
        from imagerag.reports.contact_sheet.run_sheet import contact_sheet

        images_by_id = await self.images(record)
        draw, document = (choices_sheet, record.question) if record.question else (contact_sheet, record.as_json())
        return await in_thread(lambda: png(draw(document, images_by_id.__getitem__)))

    async def _record(self, run: "RunRecord | str") -> "RunRecord":
        return await self.get(run) if isinstance(run, str) else run

    list_sync = synchronous(list)  # noqa: A003
    get_sync = synchronous(get)
    steps_sync = synchronous(steps)
    save_sync = synchronous(save)
    image_bytes_sync = synchronous(image_bytes)
    image_difference_sync = synchronous(image_difference)
    images_sync = synchronous(images)
    report_sync = synchronous(report)
    diff_sync = synchronous(diff)
    contact_sheet_sync = synchronous(contact_sheet)
