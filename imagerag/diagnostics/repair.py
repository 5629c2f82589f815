"""`doctor --repair`: damaged files are rebuilt where possible and set aside otherwise. Nothing is deleted."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.graphs.runs.reindexing import ensure_indexed, missing_from_index, reindex
from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.integrity_check import MENDED, IntegrityProblem, integrity_problems
from imagerag.store.library.database import open_table
from imagerag.store.library.maintenance.index_verification import rebuild_indexes
from imagerag.store.library.maintenance.kept_images import KeptImages
from imagerag.store.library.maintenance.repair import repair_library
from imagerag.store.library.maintenance.verification import verify_table
from imagerag.store.set_aside import set_aside
from imagerag.store.sqlite.salvage import Salvaged, salvage
from imagerag.store.storage_errors import storage_errors

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies

LOST: Final = {
    "runs.sqlite": "runs made until now can no longer be shown or resumed; their images are still there",
    "store.sqlite": "runs that are resumed or replayed ask for answers again that were in it",
    "questions.sqlite": "conversations cannot be followed up",
    "usage.sqlite": "what servers have spent today is counted from zero",
}
"""Loss with each SQLite file that cannot be read at all."""

LOST_IN_PART: Final = {
    "runs.sqlite": "of runs whose steps are lost, the last one that is kept counts",
    "store.sqlite": "runs that are resumed or replayed ask for lost answers again",
    "questions.sqlite": "conversations go on from what is kept",
}
"""Loss with those of its rows that cannot be read."""


async def repair(dependencies: "Dependencies") -> list[str]:
    """Mend a home, and say what was done, a line for each thing.

    Files that are healthy, and those that only the machine or a newer version keeps from being read, are left alone.

    Raises:
        StorageError: the home cannot be written.
    """
    home = dependencies.home
    damaged = [one for one in await asyncio.to_thread(lambda: list(integrity_problems(home))) if one.damaged]
    messages = [await _mended(dependencies, one) for one in damaged]
    await ensure_indexed(dependencies)
    if missing := await asyncio.to_thread(missing_from_index, dependencies):
        listed, unreadable = await reindex(dependencies, missing)
        messages.append(f"{home.run_list}: {listed} runs put on the list again, from their checkpoints")
        messages += [f"{home.checkpoints}: the steps of run {run_id} cannot be read" for run_id in unreadable]
    return messages


async def _mended(dependencies: "Dependencies", one: IntegrityProblem) -> str:
    home, path = dependencies.home, Path(one.path)
    if one.kind == "library-images":
        return await _images_mended(dependencies, path)
    if one.kind == "index":
        return await asyncio.to_thread(_indexed_anew, home, path)
    if one.kind == "image" and (data := await asyncio.to_thread(_copy_of, home, path.parent.name + path.name)):
        aside = await asyncio.to_thread(set_aside, home, path)
        with storage_errors(path, "cannot write"):
            await asyncio.to_thread(write_atomically, path, data)
        return f"{path}: written anew from a copy; the damaged one is in {aside}"
    aside = await asyncio.to_thread(set_aside, home, path)
    if one.kind == "library":
        again = python_call("libraries.index", PATH, library=path.stem)
        return f"{path}: set aside as {aside}; index its images again: {again}"
    saved = await asyncio.to_thread(salvage, aside, path) if one.kind == "sqlite" else Salvaged()
    if saved.saved:
        return f"{path}: made anew: {saved}; the damaged one is in {aside}; {LOST_IN_PART[path.name]}"
    loss = LOST.get(path.name, "")
    return f"{path}: set aside as {aside}{f'; {loss}' if loss else ''}"


async def _images_mended(dependencies: "Dependencies", folder: Path) -> str:
    """Mend images of a library as `library verify --repair` does, without the files that it is linked to."""
    library = await dependencies.open_library(folder.stem)
    problems = await library.table.read(lambda: verify_table(library.table, files=False).problems)
    parts = [one for one in problems if one.kind in MENDED]
    unrepaired = [one for one in await repair_library(dependencies.home, library, parts) if not one.repaired]
    verify = python_call("libraries.verify", folder.stem)
    again = f"; {len(unrepaired)} are left: {verify} names them" if unrepaired else ""
    return f"{folder}: {len(parts) - len(unrepaired)} of {len(parts)} damaged images were mended{again}"


def _indexed_anew(home: DataDir, folder: Path) -> str:
    table = open_table(home, folder.stem)
    with storage_errors(folder, "cannot write"):
        rebuild_indexes(table)
    return f"{folder}: its search indexes were built anew; the images were in order"


def _copy_of(home: DataDir, digest: str) -> bytes | None:
    """The bytes of an image from somewhere else in the home: a result that was saved, a blob, or a library."""
    if home.images.is_dir():
        for file in home.images.rglob("*"):
            if file.is_file() and sha256(data := file.read_bytes()).hexdigest() == digest:
                return data
    return KeptImages(home, [digest]).read(digest)
