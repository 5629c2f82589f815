"""A run as a folder that stands alone: images with sidecars, references with credits, report, record."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RecordedImage, RunRecord
from imagerag.agent.types import Attempt, UsedReference
from imagerag.files.export import export_path, exported, is_record, write_file
from imagerag.files.sidecar import Credit
from imagerag.reports.html.report_writer import report_of
from imagerag.reports.record_images import run_images

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
    if not overwrite:
        await asyncio.to_thread(_check_ours, folder)
    files: dict[Path, bytes] = {}
    for attempt in record.attempts:
        files |= await _attempt(dependencies, record, attempt, folder)
    files |= await _references(dependencies, record, folder)
    files[folder / "report.html"] = (await report_of(dependencies, record)).encode()
    files[folder / RECORD] = json.dumps(record.as_json(), indent=2).encode()
    if not overwrite:
        await asyncio.to_thread(_check_same, files)
    for file, data in files.items():
        await write_file(file, data)
    return list(files)


def _check_ours(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and (is_record(folder / RECORD) or not any(folder.iterdir()))):
        raise UsageError(f"{folder} holds something else: name another folder, or add `overwrite=True`")


def _check_same(files: Mapping[Path, bytes]) -> None:
    for file, data in files.items():
        if file.exists() and not (file.is_file() and file.read_bytes() == data):
            raise UsageError(f"{file} is there already, and differs: name another folder, or add `overwrite=True`")


async def _attempt(
    dependencies: "Dependencies", record: RunRecord, attempt: Attempt, folder: Path
) -> dict[Path, bytes]:
    """An attempt's image and sidecar as those of a run that ended with it; the best one is marked."""
    best = attempt.index == record.best_attempt
    image = RecordedImage(**attempt.image.model_dump())
    update = {"image": image, "best_attempt": attempt.index, "references": list(attempt.references)}
    update["sources"] = list(attempt.sources)
    name = folder / f"attempt-{attempt.index + 1}{'-best' if best else ''}"
    return await exported(record.model_copy(update=update), image, dependencies.blobs, export_path(image, name))


async def _references(dependencies: "Dependencies", record: RunRecord, folder: Path) -> dict[Path, bytes]:
    """The images that were drawn with, and whose they are."""
    references = {one.image.sha256: one for attempt in record.attempts for one in attempt.references}
    if not references:
        return {}
    images = await run_images(dependencies, record)
    files, owners = dict[Path, bytes](), []
    for sha256, one in references.items():
        file = folder / "references" / f"{sha256[:16]}{RESULT_SUFFIXES.get(one.image.media_type, '.png')}"
        if sha256 in images:
            files[file] = images[sha256]
        owners.append(_credit(one, file.name if sha256 in images else None))
    return {**files, folder / "references" / CREDITS: json.dumps(owners, indent=2).encode()}


def _credit(one: UsedReference, file: str | None) -> dict[str, Any]:
    """Attribution of a reference; without a file where its bytes are gone."""
    return {"file": file, **Credit.of(one).model_dump(mode="json", exclude={"similarity"})}
