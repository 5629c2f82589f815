"""A run as a folder or an archive that stands alone: images with sidecars, references with credits, report, record."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RecordedImage, RunRecord, references_within
from imagerag.agent.types import Attempt, UsedReference
from imagerag.files.export import export_path, exported, is_record, write_file, write_stream
from imagerag.files.sidecar import Credit
from imagerag.files.zip_stream import zip_stream
from imagerag.reports.html.report_writer import report_of
from imagerag.reports.record_images import library_of, run_image

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies

RECORD: Final = "run.json"
CREDITS: Final = "credits.json"


async def write_run_folder(
    dependencies: "Dependencies", record: RunRecord, folder: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write a run into a folder, and give the files.

    Raises:
        UsageError: it cannot be written, holds something that is no saved run, or a file that is not what would be
            written.
    """
    if not overwrite and await asyncio.to_thread(_check_ours, folder):
        async for name, data in run_files(dependencies, record):
            await asyncio.to_thread(_check_same, folder / name, data)
    files = []
    async for name, data in run_files(dependencies, record):
        files.append(folder / name)
        await write_file(files[-1], data)
    return files


async def write_run_zip(
    dependencies: "Dependencies", record: RunRecord, file: Path, *, overwrite: bool = False
) -> Path:
    """Write a run as one ZIP archive, whole or not at all.

    Raises:
        UsageError: it cannot be written, or is there already.
    """
    if file.exists() and not overwrite:
        raise UsageError(f"{file} is there already: name another file, or add `overwrite=True`")
    await write_stream(file, zip_stream(run_files(dependencies, record)))
    return file


async def run_files(dependencies: "Dependencies", record: RunRecord) -> AsyncIterator[tuple[str, bytes]]:
    """The files of a saved run: paths with `/` between their parts, and contents. One at a time is in memory."""
    for attempt in record.attempts:
        for path, data in (await _attempt(dependencies, record, attempt)).items():
            yield path.as_posix(), data
    async for file in _references(dependencies, record):
        yield file
    yield "report.html", (await report_of(dependencies, record)).encode()
    yield RECORD, json.dumps(record.as_json(), indent=2).encode()


def _check_ours(folder: Path) -> bool:
    """Whether a run is in a folder already; an error where it is something else."""
    if folder.exists() and not (folder.is_dir() and (is_record(folder / RECORD) or not any(folder.iterdir()))):
        raise UsageError(f"{folder} holds something else: name another folder, or add `overwrite=True`")
    return folder.exists()


def _check_same(file: Path, data: bytes) -> None:
    if file.exists() and not (file.is_file() and file.read_bytes() == data):
        raise UsageError(f"{file} is there already, and differs: name another folder, or add `overwrite=True`")


async def _attempt(dependencies: "Dependencies", record: RunRecord, attempt: Attempt) -> dict[Path, bytes]:
    """An attempt's image and sidecar as those of a run that ended with it; the best one is marked."""
    best = attempt.index == record.best_attempt
    image = RecordedImage(**attempt.image.model_dump())
    references = references_within(attempt, record.revision)
    update = {"image": image, "best_attempt": attempt.index, "references": references}
    update["sources"] = list(attempt.sources)
    name = Path(f"attempt-{attempt.index + 1}{'-best' if best else ''}")
    return await exported(record.model_copy(update=update), image, dependencies.blobs, export_path(image, name))


async def _references(dependencies: "Dependencies", record: RunRecord) -> AsyncIterator[tuple[str, bytes]]:
    """The images that were drawn with, and whose they are."""
    within = [one for attempt in record.attempts for one in references_within(attempt, record.revision)]
    references = {one.image.sha256: one for one in within}
    if not references:
        return
    library, owners = await library_of(dependencies, record), []
    for sha256, one in references.items():
        name = f"{sha256[:16]}{RESULT_SUFFIXES.get(one.image.media_type, '.png')}"
        data = await run_image(dependencies, library, sha256)
        if data is not None:
            yield f"references/{name}", data
        owners.append(_credit(one, None if data is None else name))
    yield f"references/{CREDITS}", json.dumps(owners, indent=2).encode()


def _credit(one: UsedReference, file: str | None) -> dict[str, Any]:
    """Attribution of a reference; without a file where its bytes are gone."""
    return {"file": file, **Credit.of(one).model_dump(mode="json", exclude={"similarity"})}
