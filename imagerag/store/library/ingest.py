"""Indexing: from files to rows of a library, batch by batch.

Every batch is committed before the next is read, and an image is known by the hash of its bytes: stopped at any
instant and run again, indexing ends with exactly the rows it would have had.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.agent.ports import PreparingEmbedder
from imagerag.agent.threads import in_thread
from imagerag.store.disk_space import check_space, check_writable
from imagerag.store.images.image_info import ImageInfo, image_info
from imagerag.store.library.embedded import read_embedded
from imagerag.store.library.file_selection import ExcludedFiles
from imagerag.store.library.image_metadata import ImageMetadata, clean
from imagerag.store.library.library import Library
from imagerag.store.library.manifest import Manifest, read_manifest
from imagerag.store.library.raw_pairs import RAW_FILE, paired_raws
from imagerag.store.library.schema import ImageRecord, NewImage
from imagerag.store.library.sidecars import Sidecars

BATCH = 32
_READ = 8  # of a batch at the same time: each has a decoded picture

SPARE = 2**20
"""Bytes that are left free beside what is written: for manifests and indexes."""


@dataclass
class IndexReport:
    """What indexing did.

    Attributes:
        added: images that were not in the library.
        updated: images whose description changed; their vectors were kept.
        unchanged: images that were there already, just so.
        duplicates: files with the same bytes as another one of this run.
        skipped: (path, reason) of every file or manifest row that could not be used.
        captions: images of this run of which a manifest or a sidecar said what they show.
        notes: (path, what is wrong) of sidecars that were left out; their images were not.
        columns: what each column of the manifest was read as: one of our fields, or "metadata".
        manifest_captions: how many captions came with the manifest; None without one.
        warnings: what is likely to be wrong with the library as it is now, and what to type.
        seconds: wall time by stage: read, embed, write, calibrate.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    captions: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    manifest_captions: int | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def warned(self, warning: str, warn: "Callable[[str], None] | None") -> None:
        """Keep a warning, and tell it at once."""
        self.warnings.append(warning)
        if warn:
            warn(warning)

    @property
    def seen(self) -> int:
        """Files looked at, good and bad, and manifest rows without a file."""
        return self.added + self.updated + self.unchanged + self.duplicates + len(self.skipped)

    @property
    def images_per_s(self) -> float:
        """Files a second, calibration left out; 0 when nothing was timed."""
        spent = sum(self.seconds.get(stage, 0.0) for stage in ("read", "embed", "write"))
        return (self.seen / spent) if spent else 0.0

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class _Plan:
    """The files to look at, and what is said of them elsewhere.

    Attributes:
        raws: camera RAWs that are left out, by the developed file beside them.
    """

    files: Sequence[Path]
    listed: Manifest
    raws: Mapping[Path, Path]


@dataclass(frozen=True)
class _Seen:
    """A file that was read, decoded and described.

    Attributes:
        said: by a manifest or sidecars.
        embedded: by the file itself.
        prepared: for an encoder that takes decoded images; None for others.
    """

    path: Path
    data: bytes
    look: ImageInfo
    said: ImageMetadata
    embedded: ImageMetadata
    prepared: Any = None
    problems: tuple[str, ...] = ()

    def describe(self, row: ImageRecord) -> ImageRecord:
        """The row with what people said, and what the file says where nobody did."""
        return self.embedded.filling(self.said.applied_to(row))


Progress = Callable[[int, int], None]
"""Called after every batch with files done and files in all."""


async def index(
    paths: Sequence[str | os.PathLike[str]],
    library: Library,
    *,
    manifest: str | os.PathLike[str] | None = None,
    exclude: Sequence[str] = (),
    allow_outside: bool = False,
    progress: Progress | None = None,
    first_look: Callable[[Sequence[bytes]], str | None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> IndexReport:
    """Put the images of files and folders into a library, with what a manifest or sidecars say of them.

    Files that are no image, damaged or gigantic are skipped and listed. A file that is there already is not embedded
    again. Afterwards the threshold is calibrated anew, unless nothing changed.

    Args:
        paths: files, and folders with everything below them.
        manifest: a JSON-lines or CSV file, see `read_manifest`; the images it names are indexed too.
        exclude: patterns (`drafts`, `*.gif`, `raw/*`) of files and folders to be left out.
        allow_outside: the manifest may name files outside of its folder and of `paths`, and a sidecar that is a link
            may lead there.
        progress: called after every batch.
        first_look: called with the first pictures before they are encoded; what it says is a warning.
        warn: called with each warning as soon as it is known.

    Raises:
        UsageError: a path or the manifest does not exist.
        BackendError: the encoder failed; what was committed until then stays.
        StorageError: the disk is full, or cannot be written; what was committed until then stays.
    """
    report = IndexReport()
    await asyncio.to_thread(check_writable, library.folder, SPARE)
    with report._timed("read"):
        given = [Path(path) for path in paths]
        plan = await asyncio.to_thread(_plan, given, manifest, ExcludedFiles(exclude), allow_outside)
    files, listed = plan.files, plan.listed
    report.skipped += listed.problems
    if manifest is not None:
        report.columns, report.manifest_captions = dict(listed.columns), listed.captions
    sidecars = Sidecars(given, allow_outside)
    done: set[str] = set()
    if first_look:
        first = await asyncio.to_thread(_first_pictures, files)
        if warning := await in_thread(first_look, first):
            report.warned(warning, warn)
    for start in range(0, len(files), BATCH):
        await _index_batch(files[start : start + BATCH], plan, sidecars, library, done, report)
        if progress:
            progress(min(start + BATCH, len(files)), len(files))
    await _finish(library, report)
    return report


async def _finish(library: Library, report: IndexReport) -> None:
    """Indexes, threshold and room on the disk, where rows changed now, or before in a run that was stopped."""
    if not await library.count():
        return
    stale = await library.is_stale()
    if stale or report.added or report.updated or await library.is_bloated():
        with report._timed("write"):
            await library.optimize()
    if stale:
        with report._timed("calibrate"):
            await library.calibrate(anew=False)


async def _index_batch(
    files: Sequence[Path], plan: _Plan, sidecars: Sidecars, library: Library, done: set[str], report: IndexReport
) -> None:
    room = asyncio.Semaphore(_READ)
    encoder = library.embedder if isinstance(library.embedder, PreparingEmbedder) else None

    async def one(path: Path) -> _Seen | str:
        async with room:
            return await in_thread(_read, path, plan, sidecars, encoder)

    with report._timed("read"):
        read = await asyncio.gather(*(one(path) for path in files))
    fresh: dict[str, _Seen] = {}
    for path, seen in zip(files, read, strict=True):
        if isinstance(seen, str):
            report.skipped.append((clean(str(path)), seen))
        elif (sha256 := seen.look.image.sha256) in done:
            report.duplicates += 1
        else:
            done.add(sha256)
            fresh[sha256] = seen
            report.captions += bool(seen.said.caption or seen.embedded.caption)
        if isinstance(seen, _Seen):
            report.notes += [(clean(str(path)), problem) for problem in seen.problems]
    with report._timed("read"):
        known = {row.id: row for row in await library.rows(list(fresh))}
    new = [seen for sha256, seen in fresh.items() if sha256 not in known]
    await _add(new, library, report)
    changed = [row for sha256, old in known.items() if (row := fresh[sha256].describe(old)) != old]
    with report._timed("write"):
        await library.update(changed)
    report.updated += len(changed)
    report.unchanged += len(known) - len(changed)


async def _add(new: Sequence[_Seen], library: Library, report: IndexReport) -> None:
    if not new:
        return
    import numpy as np

    with report._timed("embed"):
        vectors = await _embedded(new, library)
    images = []
    for seen, found in zip(new, vectors, strict=True):
        if isinstance(found, str):
            report.skipped.append((clean(str(seen.path)), found))
            continue
        vector = np.asarray(found, dtype=np.float32)
        if not abs(float(np.linalg.norm(vector)) - 1) < 1e-2:
            report.skipped.append((clean(str(seen.path)), "the encoder gave no usable vector for it"))
        else:
            images.append(NewImage(row=_new_row(seen), data=seen.data, thumbnail=seen.look.thumbnail, vector=vector))
    check_space(library.folder, SPARE + 2 * sum(len(image.data or b"") + len(image.thumbnail) for image in images))
    with report._timed("write"):
        await library.upsert(images)
    report.added += len(images)


async def _embedded(new: Sequence[_Seen], library: Library) -> Sequence[Any]:
    """The vector of each image, or why it has none: one that an encoder refuses does not take the others along."""
    encoder = library.embedder
    try:
        if isinstance(encoder, PreparingEmbedder):
            return list(await encoder.embed_prepared([seen.prepared for seen in new]))
        return list(await encoder.embed_images([seen.data for seen in new]))
    except UsageError as error:
        if len(new) == 1:
            return [str(error)]
    return [found for seen in new for found in await _embedded([seen], library)]


def _new_row(seen: _Seen) -> ImageRecord:
    row = seen.describe(ImageRecord(image=seen.look.image, source=clean(str(seen.path))))
    return row if row.title else replace(row, title=clean(seen.path.stem))


def _read(path: Path, plan: _Plan, sidecars: Sidecars, encoder: PreparingEmbedder | None) -> _Seen | str:
    """The file, or why it cannot be used."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            return "not a regular file, or a folder that may not be read"
        if status.st_size > MAX_BYTES:
            return f"the file has {status.st_size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read"
        data = path.read_bytes()
        beside = sidecars.of(path)
        said = plan.listed.entries.get(path, ImageMetadata()).or_else(beside.description)
        look = image_info(data, side=encoder.image_side if encoder else None)
        prepared = encoder.prepare(look.picture) if encoder and look.picture is not None else None
        embedded = read_embedded(data)
        if raw := plan.raws.get(path):
            embedded = replace(embedded, metadata={**(embedded.metadata or {}), RAW_FILE: clean(str(raw))})
        return _Seen(path, data, replace(look, picture=None), said, embedded, prepared, beside.problems)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except UsageError as error:
        return str(error)
    except Exception as error:  # nothing about one file ends the reading of the others
        return f"cannot be read: {type(error).__name__}: {error}"


def _first_pictures(files: Sequence[Path], count: int = 8) -> list[bytes]:
    pictures = []
    for path in files:
        with suppress(OSError):
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.stat().st_size <= MAX_BYTES:
                pictures.append(path.read_bytes())
        if len(pictures) == count:
            break
    return pictures


def _plan(
    paths: Sequence[Path], manifest: str | os.PathLike[str] | None, excluded: ExcludedFiles, allow_outside: bool
) -> _Plan:
    """Every file to look at, absolute, each once and always in the same order, and what is said of them."""
    for path in paths:
        try:
            there = path.exists()
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if not there:
            raise UsageError(f"there is no file or folder {path}")
    roots = [path for path in paths if path.is_dir()]
    listed = Manifest()
    files: dict[Path, None] = {}
    if manifest is not None:
        file = Path(manifest)
        listed = read_manifest(file, roots, given=paths, allow_outside=allow_outside)
        files.update(dict.fromkeys(path for path in sorted(listed.entries) if not excluded.file(path, roots)))
    walked: set[tuple[int, int]] = set()
    for path in paths:
        found = _walk(path, walked, excluded.below(path)) if path.is_dir() else [path]
        files.update(dict.fromkeys(Path(os.path.abspath(each)) for each in found))
    if manifest is not None:
        files.pop(Path(os.path.abspath(manifest)), None)
    sidecars = Sidecars().beside(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
    named = {*listed.entries, *(Path(os.path.abspath(path)) for path in paths)}
    raws = {raw: developed for raw, developed in paired_raws(files).items() if raw not in named}
    kept = [path for path in files if path in listed.entries or not (path in sidecars or path in raws)]
    return _Plan(kept, listed, {developed: raw for raw, developed in raws.items()})


def _walk(folder: Path, walked: set[tuple[int, int]], excluded: Callable[[Path], bool]) -> Iterator[Path]:
    """Files below a folder, sorted by name, without those that are excluded. Links are followed, but no folder is
    walked twice."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not _is_folder(path):
            yield path
            continue
        try:
            status = path.stat()
            entries = sorted(path.iterdir()) if (status.st_dev, status.st_ino) not in walked else []
        except OSError:
            yield path  # to be listed as what could not be read
            continue
        walked.add((status.st_dev, status.st_ino))
        waiting += reversed([entry for entry in entries if not excluded(entry)])


def _is_folder(path: Path) -> bool:
    """Whether it is one; of what may not be looked at, reading it will say why."""
    try:
        return path.is_dir()
    except OSError:
        return False
