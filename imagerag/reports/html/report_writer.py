"""Getting together what a report is made of, and writing it where it is wanted."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.errors import BlobError, UnknownRunError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.threads import in_thread
from imagerag.files.export import write_file
from imagerag.store.output_dir_lock import exclusive_writer

if TYPE_CHECKING:
    from imagerag.agent.qa.qa_record import AnswerRecord
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.store.run_index import RunEntry


async def report_of(dependencies: "Dependencies", record: RunRecord) -> str:
    """A run's report, as HTML."""
    from imagerag.graphs.runs.history import steps
    from imagerag.reports.html.run_page import report

    images, history = await images_of(dependencies, record), await steps(dependencies, record.run_id)
    parent = await parent_of(dependencies, record)
    return await in_thread(report, record, history, images.__getitem__, parent=parent)


async def parent_of(dependencies: "Dependencies", record: RunRecord) -> RunRecord | None:
    """The run that a run comes from; None for one that comes from none, or from one that is not there any more."""
    from imagerag.graphs.runs.reindexing import find_record

    if record.parent_run is None:
        return None
    try:
        return await find_record(dependencies, record.parent_run.run_id)
    except UnknownRunError:
        return None


async def images_of(dependencies: "Dependencies", record: RunRecord) -> dict[str, bytes]:
    """The run's own images, and the library's as thumbnails: no encoder has to be loaded for those."""
    from imagerag.store.library.thumbnails import thumbnails

    references = [ref for attempt in record.attempts for ref in attempt.references]
    sent_ids = [image.sha256 for ref in references for image in (ref.image, ref.mask) if image]
    sent_ids += [pin.image.sha256 for pin in record.kept_images]
    sent_ids += [record.revision.image.sha256] if record.revision else []
    own = {*(attempt.image.sha256 for attempt in record.attempts), *sent_ids}
    images: dict[str, bytes] = {}
    for sha256 in own:
        with suppress(BlobError):
            images[sha256] = await dependencies.blobs.get(sha256)
    candidate_ids = {candidate.image.sha256 for search in record.searches for candidate in search.candidates}
    if record.setup is not None and record.setup.library:
        lacking = (candidate_ids | own) - images.keys()
        images |= await asyncio.to_thread(thumbnails, dependencies.home, record.setup.library, lacking)
    return images


async def write_report(dependencies: "Dependencies", record: RunRecord, file: Path) -> None:
    """Write a run's report to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    await write_file(file, (await report_of(dependencies, record)).encode())


async def write_answer(dependencies: "Dependencies", record: "AnswerRecord", file: Path) -> None:
    """Write an answer as one document: a page (.html), or Markdown (.md).

    Raises:
        UsageError: the file cannot be written.
    """
    from imagerag.reports.html.answer_page import answer_markdown, answer_page
    from imagerag.reports.record_images import answer_images

    if file.suffix.lower() == ".md":
        await write_file(file, answer_markdown(record).encode())
        return
    images = await answer_images(dependencies, record)
    await write_file(file, (await in_thread(answer_page, record, images.__getitem__)).encode())


async def write_reports(
    dependencies: "Dependencies",
    entries: "Sequence[RunEntry]",
    folder: Path,
    *,
    reword: Callable[[RunRecord], RunRecord] = lambda record: record,
) -> Path:
    """Write a report of each of these runs, and an `index.html` over them that leads to each.

    A run of which nothing was kept is in the index without a report.

    Args:
        reword: makes of a record what is shown of it, its messages in the terms of an interface.

    Returns:
        The index's file.

    Raises:
        UsageError: a file cannot be written, or somebody else writes the folder.
    """
    with exclusive_writer(folder):
        return await _write_all(dependencies, entries, folder, reword)


async def _write_all(
    dependencies: "Dependencies", entries: "Sequence[RunEntry]", folder: Path, reword: Callable[[RunRecord], RunRecord]
) -> Path:
    from imagerag.graphs.runs.reindexing import find_record
    from imagerag.reports.html.index_page import IndexRow, index

    lines: list[IndexRow] = []
    for entry in entries:
        try:
            record = await find_record(dependencies, entry.run_id)
        except UnknownRunError:
            lines.append(IndexRow(entry))
            continue
        await write_report(dependencies, reword(record), folder / f"{entry.run_id}.html")
        thumbnail = None
        if record.image is not None:
            with suppress(BlobError):
                thumbnail = await dependencies.blobs.get(record.image.sha256)
        lines.append(IndexRow(entry, record, f"{entry.run_id}.html", _small(thumbnail)))
    page = folder / "index.html"
    await write_file(page, index(lines).encode())
    return page


def _small(data: bytes | None) -> str | None:
    """An image as the index shows it; kept as text, so that a thousand runs fit in memory."""
    from imagerag.reports.html.image_gallery import reduced

    return reduced(data, 260) if data else None
