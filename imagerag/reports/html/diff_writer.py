"""Getting together what two runs are compared by, and writing the page."""

from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.run_record import RunRecord
from imagerag.agent.threads import in_thread
from imagerag.files.export import write_file
from imagerag.reports.html.report_writer import images_of
from imagerag.reports.run_diff.models import RunDiff

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies


async def compare(dependencies: "Dependencies", a: RunRecord, b: RunRecord) -> RunDiff:
    """Compare two runs by their records and steps."""
    from imagerag.graphs.runs.history import steps
    from imagerag.reports.run_diff.diff import diff

    histories = [await steps(dependencies, record.run_id) for record in (a, b)]
    return diff(a, b, *histories)


async def page_of(dependencies: "Dependencies", diff: RunDiff, a: RunRecord, b: RunRecord) -> str:
    """The comparison as one self-contained HTML page."""
    from imagerag.reports.html.diff_page import page

    images = {**await images_of(dependencies, a), **await images_of(dependencies, b)}
    return await in_thread(page, diff, a, b, images.__getitem__)


async def write_page(dependencies: "Dependencies", diff: RunDiff, a: RunRecord, b: RunRecord, file: Path) -> None:
    """Write the page to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    await write_file(file, (await page_of(dependencies, diff, a, b)).encode())
