"""Describe the images of a library by a model: those that have no description yet, several at a time.

If it is stopped, the next call goes on; responses that were paid for come from the journal.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagerag.agent.errors import (
    AuthError,
    BackendError,
    BlobError,
    BudgetExceededError,
    JudgeReplyError,
    NoImagesError,
    QuotaError,
    RefusalError,
    UsageError,
    WaitTooLongError,
    first_line,
)
from imagerag.agent.ports import DescriptionCalls, ImageDescription, ImagePart
from imagerag.agent.types import DescriptionEstimate
from imagerag.store.library.description_check import DescriptionCheck
from imagerag.store.library.description_columns import bounded
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.row_writing import Progress
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord, present
from imagerag.store.library.write_buffer import WriteBuffer

AT_ONCE: Final = 8
"""Images that are described at the same time."""

ROW_BYTES: Final = 4096
"""Memory of a row with its description, about."""

FAILURES: Final = 3
"""Images in a row that could not be described, after which the service is left alone."""

_OF_ONE: Final = (RefusalError, JudgeReplyError, UsageError, BlobError)
"""Errors that concern one image only."""

_OF_ALL: Final = (AuthError, QuotaError, NoImagesError, WaitTooLongError)
"""Errors that every further call would end with."""


@dataclass
class _Progress:
    """State of one run.

    Attributes:
        at_once: images described at the same time; 1 near the end of a budget, where the calls under way would count at
            the most that they can cost.
        failures: images in a row that could not be described.
        stopped: reason why no further image is described; empty while it goes on.
    """

    waiting: list[str]
    at_once: int = AT_ONCE
    failures: int = 0
    stopped: str = ""


async def undescribed(library: Library, ids: Collection[str]) -> list[str]:
    """The images among `ids` that are in the library and have no description, sorted."""
    columns = await library.table.read(lambda: present(library.table.lance, ("id", "described_by")))
    records = await library.table.records(columns, sorted(ids))
    return sorted(record["id"] for record in records if not record.get("described_by"))


async def describe_images(
    library: Library,
    ids: Collection[str],
    calls: DescriptionCalls,
    report: IndexReport,
    progress: Progress | None = None,
    estimated: Callable[[DescriptionEstimate], None] | None = None,
) -> None:
    """Describe those of the images that have no description, and check the descriptions with the library's encoder.

    An image that the model refuses, or of which no response can be parsed, is listed in the report's notes; it is not
    asked about again in this run. At the end of the budget, or if the service fails for good, the rest is left; the
    reason is in `report.descriptions_stopped`.

    Args:
        progress: called after every batch with images done and images in all.
        estimated: called with the estimate before the first call.

    Raises:
        LibraryDamagedError, StorageError: the library cannot be read or written.
    """
    now = _Progress(await undescribed(library, ids))
    check, total = DescriptionCheck(library), len(now.waiting)
    estimate(calls, total, report, estimated)

    async def write(rows: Mapping[str, ImageRecord]) -> None:
        await library.update_descriptions(list(rows.values()))

    async with WriteBuffer(write, lambda row: ROW_BYTES, library.tidy) as buffer:
        while now.waiting and not now.stopped:
            batch, now.waiting = now.waiting[: now.at_once], now.waiting[now.at_once :]
            rows = {row.id: row for row in await library.rows(batch)}
            results = await asyncio.gather(
                *(_described(library, calls, row) for row in rows.values()), return_exceptions=True
            )
            described = _sorted_out(now, report, list(rows.values()), results, calls.model)
            checked = await check.checked(described)
            await buffer.add({row.id: row for row in checked})
            report.described += len(checked)
            report.low_confidence += sum(row.has_low_confidence for row in checked)
            if progress:
                progress(total - len(now.waiting), total)
    report.descriptions_left = len(now.waiting)
    report.descriptions_stopped = now.stopped
    report.description_calls = calls.requests
    report.description_cost_usd = calls.cost_usd


def estimate(
    calls: DescriptionCalls,
    images: int,
    report: IndexReport,
    estimated: Callable[[DescriptionEstimate], None] | None = None,
) -> None:
    """Note in the report what describing a number of images will cost, and tell the caller."""
    report.describer = calls.model
    if images:
        report.descriptions_expected = calls.estimate(images)
        if estimated:
            estimated(report.descriptions_expected)


async def _described(library: Library, calls: DescriptionCalls, row: ImageRecord) -> ImageDescription:
    data, media_type = await library.encode_for_model(row.id)
    attempt = row.description_details.attempt if row.description_details else 0
    return await calls.describe(row.id, ImagePart(data=data, media_type=media_type), attempt=attempt)


def _sorted_out(
    now: _Progress,
    report: IndexReport,
    rows: Sequence[ImageRecord],
    results: Sequence[ImageDescription | BaseException],
    model: str,
) -> list[ImageRecord]:
    """The rows with descriptions; errors are noted, and images that were not asked about wait again."""
    described, again = [], list[str]()
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, ImageDescription):
            now.failures = 0
            if (one := _with_description(row, result, model)).description:
                described.append(one)
            else:
                report.notes.append((row.source or row.id, "not described: the description is empty"))
        elif isinstance(result, BudgetExceededError):
            again.append(row.id)
            now.stopped = now.stopped or (first_line(result) if now.at_once == 1 else "")
        elif isinstance(result, _OF_ALL):
            again.append(row.id)
            now.stopped = now.stopped or first_line(result)
        elif isinstance(result, _OF_ONE):
            report.notes.append((row.source or row.id, f"not described: {first_line(result)}"))
        elif isinstance(result, BackendError):
            report.notes.append((row.source or row.id, f"not described: {first_line(result)}"))
            now.failures += 1
            if now.failures >= FAILURES:
                now.stopped = now.stopped or first_line(result)
        else:
            raise result
    if again and not now.stopped:
        now.at_once = 1
    now.waiting = [*again, *now.waiting]
    return described


def _with_description(row: ImageRecord, description: ImageDescription, model: str) -> ImageRecord:
    text, details = bounded(description)
    attempt = row.description_details.attempt if row.description_details else 0
    new_details = details.model_copy(update={"attempt": attempt})
    return replace(row, description=text, described_by=description.served_by or model, description_details=new_details)
