"""A run as a folder that stands alone: images with sidecars, references with credits, report, record."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RecordedImage, RunRecord
from imagerag.agent.types import Attempt, UsedReference
from imagerag.files.export import export, is_record, write_file
from imagerag.files.sidecar import Credit, sidecar_path
from imagerag.reports.html.report_writer import write_report
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
        UsageError: it cannot be written, or holds something that is no saved run.
    """
    if not overwrite:
        await asyncio.to_thread(_check_ours, folder)
    files = [await _attempt(dependencies, record, attempt, folder) for attempt in record.attempts]
    files += [sidecar_path(file) for file in files]
    files += await _references(dependencies, record, folder)
    await write_report(dependencies, record, folder / "report.html")
    await write_file(folder / RECORD, json.dumps(record.as_json(), indent=2).encode())
    return [*files, folder / "report.html", folder / RECORD]


def _check_ours(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and (is_record(folder / RECORD) or not any(folder.iterdir()))):
        raise UsageError(f"{folder} holds something else: name another folder, or add --overwrite")


async def _attempt(dependencies: "Dependencies", record: RunRecord, attempt: Attempt, folder: Path) -> Path:
    """Write an attempt's image and sidecar as those of a run that ended with it; the best one is marked."""
    best = attempt.index == record.best_attempt
    image = RecordedImage(**attempt.image.model_dump())
    update = {"image": image, "best_attempt": attempt.index, "references": list(attempt.references)}
    name = folder / f"attempt-{attempt.index + 1}{'-best' if best else ''}"
    written = await export(record.model_copy(update=update), dependencies.blobs, name)
    assert written.image is not None, "an attempt has an image"
    return Path(str(written.image.path))


async def _references(dependencies: "Dependencies", record: RunRecord, folder: Path) -> list[Path]:
    """Write the images that were drawn with, and whose they are."""
    used = {one.image.sha256: one for attempt in record.attempts for one in attempt.references}
    if not used:
        return []
    images = await run_images(dependencies, record)
    files, owners = [], []
    for sha256, one in used.items():
        file = folder / "references" / f"{sha256[:16]}{RESULT_SUFFIXES.get(one.image.media_type, '.png')}"
        if sha256 in images:
            await write_file(file, images[sha256])
            files.append(file)
        owners.append(_credit(one, file.name if sha256 in images else None))
    await write_file(folder / "references" / CREDITS, json.dumps(owners, indent=2).encode())
    return [*files, folder / "references" / CREDITS]


def _credit(one: UsedReference, file: str | None) -> dict[str, Any]:
    """Whose a reference is; without a file where its bytes are gone."""
    return {"file": file, **Credit.of(one).model_dump(mode="json", exclude={"similarity"})}
