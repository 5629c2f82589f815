"""Indexing: from files to rows of a library.

A file whose path, size, time and inode have not changed is not opened, unless the bytes are to be compared. A file
whose bytes the library knows is not decoded. All other files go through stages that overlap: while one batch is
encoded, the next one is read and decoded, and earlier ones are written. Each write is one commit, and the id of an
image is the hash of its bytes: if indexing is stopped at any instant and run again, it ends with the same rows as
without the stop.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.agent.ports import DescriptionCalls, OcrReader
from imagerag.agent.threads import in_thread
from imagerag.agent.types import DescriptionEstimate
from imagerag.store.disk_space import check_writable
from imagerag.store.library.indexing.caption_encoding import encode_new_captions
from imagerag.store.library.indexing.changed_files import keep_texts
from imagerag.store.library.indexing.descriptions import describe_images, estimate, undescribed
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.known_links import read_links, still_used, write_links
from imagerag.store.library.indexing.ocr import read_words
from imagerag.store.library.indexing.regions import index_regions
from imagerag.store.library.indexing.row_writing import SPARE, Progress, RowWriter
from imagerag.store.library.indexing.scan import Scan, scan
from imagerag.store.library.indexing.stages import Indexing
from imagerag.store.library.indexing.vanished_files import Replacements, find_vanished, take_out
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.removal import removal_warning, removed_ids, settle
from imagerag.store.library.sources.file_selection import ExcludedFiles
from imagerag.store.library.sources.manifest import Manifests
from imagerag.store.room_reserve import keep_reserve

__all__ = ["IMAGE_SUFFIXES", "IndexReport", "Progress", "index"]


async def index(
    paths: Sequence[str | os.PathLike[str]],
    library: Library,
    *,
    manifest: Manifests = None,
    exclude: Sequence[str] = (),
    allow_outside: bool = False,
    links_within: Sequence[Path] | None = None,
    copy: bool = False,
    prune: bool = False,
    checksum: bool = False,
    dry_run: bool = False,
    calibrate: bool = True,
    settled: bool = True,
    followed: bool = False,
    ocr: OcrReader | None = None,
    regions: bool = False,
    describe: DescriptionCalls | None = None,
    progress: Progress | None = None,
    ocr_progress: Progress | None = None,
    caption_progress: Progress | None = None,
    regions_progress: Progress | None = None,
    describe_progress: Progress | None = None,
    estimated: Callable[[DescriptionEstimate], None] | None = None,
    first_look: Callable[[Sequence[bytes]], str | None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> IndexReport:
    """Index the images of files and folders, with metadata from manifests and sidecars.

    Files that are no image, damaged or too large are skipped and listed. A file that is indexed already is not embedded
    again; a moved file keeps its row, a changed one is embedded again and keeps its texts, and images whose files are
    all missing are removed. Afterwards the threshold is calibrated again, unless nothing changed.

    Args:
        paths: files, folders (recursively), archives and tables of images, and patterns of these.
        manifest: one or several manifests, see `read_manifest`; the images that they name are indexed too.
        exclude: patterns (`drafts`, `*.gif`, `raw/*`) of files and folders to leave out.
        allow_outside: a manifest may name files outside of its folder and of `paths`, and a linked sidecar may point
            there.
        links_within: folders that links found below `paths` may lead into; None is anywhere.
        copy: store the bytes in the library; by default it links to the files.
        prune: remove images with missing files even if only a disk may be unmounted, see `vanished_files`.
        checksum: compare the bytes of every file, also of those with the known size, time and inode.
        dry_run: write nothing, and report what would change.
        calibrate: False leaves an existing threshold as it is for now.
        settled: False leaves indexes and threshold to the caller, which makes further changes.
        followed: the paths are watched: changes during indexing are indexed next.
        ocr: reads the words in those of the images that it has not read before.
        regions: encode the regions of those of the images of which they are not; a library that has regions, and one
            that takes in the export of such a library, does so without being told.
        describe: describes those of the images that have no description.
        progress: called after every written batch; `ocr_progress`: after every batch of images that OCR read;
            `caption_progress`: after every batch of captions that were encoded; `regions_progress`: after every batch
            of images whose regions were encoded; `describe_progress`: after every batch of images that were described.
        estimated: called with calls and cost of the descriptions before the first call.
        first_look: called with the first images before they are encoded; returns a warning.
        warn: called with each warning as soon as it is known.

    Raises:
        UsageError: a path or the manifest does not exist.
        BackendError: the encoder failed; earlier commits stay.
        StorageError: the disk is full, or cannot be written; earlier commits stay.
    """
    report, started = IndexReport(dry_run=dry_run, followed=followed), time.perf_counter()
    if "" in paths:  # an unset variable of a shell, which is no working directory
        raise UsageError("a path is empty: name a file or a folder")
    named_paths, home = [Path(path) for path in paths], library.table.home.root
    with report.timed("read"):
        known_files = await library.table.known_files()
        known_links = await asyncio.to_thread(read_links, library.folder)
        if not dry_run:
            await asyncio.to_thread(check_writable, library.folder, SPARE)
            await asyncio.to_thread(keep_reserve, library.table.home)
        scan_result = await asyncio.to_thread(
            lambda: scan(
                named_paths,
                manifest,
                ExcludedFiles(exclude),
                home=home,
                allow_outside=allow_outside,
                prune=prune,
                known_paths=known_files.by_path.keys(),
                known_links=known_links,
                links_within=None if links_within is None else [folder.resolve() for folder in links_within],
            )
        )
        writer = RowWriter(library, scan_result, known_files, report, copy, progress)
        indexing = Indexing(library, scan_result, known_files, report, writer, checksum)
        removed = await asyncio.to_thread(removed_ids, library.folder)
        indexing.removed_before = (
            removed - known_files.ids.keys()
        )  # images in the library were added back since, or restored
        unchanged, fresh = await asyncio.to_thread(indexing.compare)
    report.skipped += scan_result.problems
    report.notes += [*scan_result.listed.notes, *scan_result.beside.notes]
    report.columns |= {name: field for one in scan_result.sources.values() for name, field in one.columns.items()}
    if scan_result.listed.files:
        report.columns |= scan_result.listed.columns
        report.manifest_captions = scan_result.listed.captions
    if first_look:
        first = await asyncio.to_thread(_first_images, scan_result, fresh)
        if warning := await in_thread(first_look, first):
            report.warned(warning, warn)
    await indexing.describe(unchanged)
    await indexing.read_and_write(fresh)
    writer.count_elsewhere()
    report.note_oversized()
    vanished = find_vanished(known_files, scan_result, writer.seen, prune=prune)
    with report.timed("write"):
        if not dry_run:
            await keep_texts(library, vanished, known_files, writer.seen, report)
        replacements = Replacements(writer.replacing, writer.seen, writer.relocated)
        await take_out(library, vanished, report, replacements, prune=prune, paths=paths, warn=warn)
        if not dry_run:
            links = still_used(scan_result.known_links, [*known_files.by_path, *writer.seen])
            if links != known_links:
                await library.table.write(lambda: write_links(library.folder, links))
    report.elapsed = time.perf_counter() - started
    if ocr and not dry_run:
        with report.timed("ocr"):
            await read_words(library, set(filter(None, writer.seen.values())), ocr, report, ocr_progress)
    exports = scan_result.exports
    if not dry_run and (regions or library.metadata.regions or any(one.has_regions for one in exports)):
        with report.timed("regions"):
            await index_regions(library, set(filter(None, writer.seen.values())), report, regions_progress)
    if describe:
        ids = set(filter(None, writer.seen.values()))
        with report.timed("describe"):
            if dry_run:
                there = await undescribed(library, ids)
                estimate(describe, len(there) + report.added + report.changed, report, estimated)
            else:
                await describe_images(library, ids, describe, report, describe_progress, estimated)
    if not dry_run:  # after the descriptions: images without a caption have theirs encoded
        await encode_new_captions(library, report, caption_progress, exports)
    if settled and not dry_run:
        anew = calibrate or library.metadata.threshold is None
        await settle(library, changed=report.rows_changed, calibrate=anew, timed=report.timed)
    if report.removed_before:
        report.warned(removal_warning(library.name, report.removed_before), warn)
    return report


def _first_images(scan: Scan, files: Sequence[Path], count: int = 8) -> list[bytes]:
    first_images = []
    for path in files:
        with suppress(OSError, ValueError):
            if path in scan.members or path.suffix.lower() in IMAGE_SUFFIXES:
                first_images.append(scan.read(path)[1])
        if len(first_images) == count:
            break
    return first_images
