"""`ImageRAG.libraries`: index files, once or whenever they change."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.threads import in_thread
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import Dollars, PositiveNumber, TextList
from imagerag.client.caption_embedder import caption_embedder as named_encoder
from imagerag.client.caption_embedder import use_caption_embedder
from imagerag.client.library_checks import LibraryChecks
from imagerag.client.synchronous import synchronous
from imagerag.store.text_files import listed

if TYPE_CHECKING:
    from imagerag.agent.ports import Describer, OcrReader
    from imagerag.agent.types import DescriptionEstimate
    from imagerag.graphs.description_options import DescribeOptions
    from imagerag.store.library.indexing.index_report import IndexReport


@check_arguments
class LibraryIndexing(LibraryChecks):
    """Indexing of files and folders."""

    async def index(
        self,
        *paths: str | Path,
        library: str | None = None,
        embedder: str | None = None,
        manifest: str | Path | Sequence[str | Path] | None = None,
        exclude: TextList = (),
        allow_outside: bool = False,
        links_within: Sequence[Path] | None = None,
        copy: bool = False,
        prune: bool = False,
        checksum: bool = False,
        dry_run: bool = False,
        ocr: "bool | OcrReader" = False,
        caption_embedder: str | None = None,
        describe: "str | Describer | None" = None,
        max_calls: PositiveNumber | None = None,
        max_cost_usd: Dollars | None = None,
        assume_cost_usd_per_call: Dollars | None = None,
        regions: bool = False,
        calibrate: bool = True,
        check: bool = True,
        followed: bool = False,
        progress: Callable[[int, int], None] | None = None,
        ocr_progress: Callable[[int, int], None] | None = None,
        caption_progress: Callable[[int, int], None] | None = None,
        describe_progress: Callable[[int, int], None] | None = None,
        estimated: "Callable[[DescriptionEstimate], None] | None" = None,
        regions_progress: Callable[[int, int], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> "IndexReport":
        """Put the images of files and folders into a library, which is made when there is none of that name.

        The library is linked to the files, and follows the folders: files that did not change are not opened, moved
        ones keep their row, changed ones are encoded anew, and images whose files are all gone are taken out.

        Args:
            paths: files, and folders with everything below them.
            library: which one, when not the one this object was made with.
            embedder: spec of the encoder for a new library; one that exists knows its own.
            manifest: one or several of CSV, JSON lines, JSON or Parquet that say more of the images (caption, tags,
                licence, …); of what several say of one image, the last one counts, field by field.
            exclude: patterns (`drafts`, `*.gif`, `raw/*`) of files and folders to be left out.
            allow_outside: the manifest may name files outside of its folder and of `paths`, and a sidecar that is a
                link may lead there.
            links_within: folders that links found below `paths` may lead into; by default they may lead anywhere.
            copy: keep the bytes of the images in the library, too.
            prune: take out images whose files are gone even where a disk may only be missing: more than half of what
                was indexed there, files in folders that are empty now, and files outside of `paths`.
            checksum: read every file and compare its bytes, also where its size, time and inode are the known ones.
            dry_run: write nothing, and say what would be done.
            ocr: read the words in the images too, by the extra `ocr` or by a reader of your own: `search(hybrid=True)`
                and filters then find them. No image is read twice.
            caption_embedder: encode the captions too, with the encoder of this spec, for `search(by="captions")`: "own"
                is the library's own encoder, "none" deletes the vectors of captions. Later calls encode new and changed
                captions without being told again.
            describe: a vision-language model (`openai:MODEL`, `auto`, several as a fallback) that describes
                each image without a description, or a describer of your own. The library notes a spec with its budget,
                and later calls describe new images without being told; "none" ends that. Descriptions are apart from
                captions, checked with the library's encoder, and marked with the model.
            max_calls, max_cost_usd: calls and US dollars at most for the descriptions of this call; the next call goes
                on. No call is made whose price is not known, unless it is said with `assume_cost_usd_per_call`.
            regions: encode the regions of each image, too, so that a thing among others is found as well as one alone;
                a `Hit` then names its `region`. The library remembers it for the images that come later.
            calibrate: False measures no new threshold after a change, as long as there is one; `calibrate` does.
            check: False leaves out the short check (`check`) after the first indexing that brings captions: 156 texts
                and 32 views of images are encoded for it, at most, and 600 texts more where captions are encoded.
            followed: the paths are watched (`watch`), so nobody is asked to index again what changes meanwhile.
            progress: called after every batch with files done and files in all; `ocr_progress`, with images that OCR
                read and has to read; `caption_progress`, with captions that are encoded and are to be;
                `describe_progress`, with images that are described and are to be; `regions_progress`, with images whose
                regions are encoded.
            estimated: called with calls and cost of the descriptions before the first call of a model.
            warn: called with each of the report's `warnings` as soon as it is known, some before anything is encoded.

        Returns:
            How many were added, updated, unchanged, moved, changed and removed, how many have a caption, what was
            skipped and why, and what is likely to be wrong with the library (`warnings`). A library that would be new
            and empty is not made.

        Raises:
            UsageError: a path or the manifest does not exist, or a new library would stay empty.
            EmbeddingMismatchError: the library exists and was made with another encoder than `embedder`.
            MissingExtraError: `ocr` or the encoder of captions, without its extra; nothing is indexed.
            SpecError: there is no such encoder of captions, or no such describer; nothing is indexed.
        """
        from imagerag.graphs.description_options import DescribeOptions
        from imagerag.graphs.library_warnings import library_warnings
        from imagerag.graphs.mismatch_warnings import encoder_warning
        from imagerag.store.library.indexing.creation import creating_library
        from imagerag.store.library.indexing.ingest import index

        self.check_changeable(library)
        exclude = listed(exclude)
        reader = await in_thread(self._context.dependencies.ocr_reader) if ocr is True else ocr or None
        of_captions = await named_encoder(self._context.dependencies, caption_embedder)
        describing = DescribeOptions(describe=describe, max_calls=max_calls, max_cost_usd=max_cost_usd,
                                     assume_cost_usd_per_call=assume_cost_usd_per_call)  # fmt: skip
        await in_thread(describing.check, self._context.dependencies)
        if dry_run:
            return await self._planned(paths, library, embedder, describing, manifest=manifest, exclude=exclude,
                                       allow_outside=allow_outside, links_within=links_within, prune=prune,
                                       checksum=checksum, progress=progress, warn=warn,
                                       estimated=estimated)  # fmt: skip
        async with creating_library(self._context.dependencies.home, self.name(library)) as fresh:
            opened = await self.open(library, embedder=embedder, create=True)
            unasked = embedder is None and self._context.settings.origins.get("embedder", "").startswith("preset")
            await use_caption_embedder(opened, caption_embedder, of_captions)
            first = encoder_warning if fresh and unasked and opened.metadata.spec == "sketch" else None
            before = opened.metadata.threshold
            calls, untrusted = await describing.calls(self._context.dependencies, opened)
            report = await index(
                paths,
                opened,
                manifest=manifest,
                exclude=exclude,
                allow_outside=allow_outside,
                links_within=links_within,
                copy=copy,
                prune=prune,
                checksum=checksum,
                ocr=reader,
                describe=calls,
                regions=regions,
                calibrate=calibrate,
                followed=followed,
                progress=progress,
                ocr_progress=ocr_progress,
                caption_progress=caption_progress,
                describe_progress=describe_progress,
                estimated=estimated,
                regions_progress=regions_progress,
                first_look=first,
                warn=warn,
            )
            if fresh and not await opened.count():
                raise UsageError(_nothing_in(paths, opened.name, report))
        if check:
            await self._check_first_captions(opened, before, report, warn)
        for warning in filter(None, (untrusted, *library_warnings(opened.name, opened.metadata))):
            report.warned(warning, warn)
        return report

    async def _planned(
        self,
        paths: Sequence[str | Path],
        library: str | None,
        embedder: str | None,
        describing: "DescribeOptions",
        **options: Any,
    ) -> "IndexReport":
        """Report of a dry run of `index`; a library that is not there is an empty one somewhere else for so long."""
        from imagerag.store.data_dir import DataDir
        from imagerag.store.library.indexing.ingest import index
        from imagerag.store.library.library import Library

        with TemporaryDirectory() as folder:
            try:
                opened = await self.open(library, embedder=embedder)
            except UnknownLibraryError:
                encoder = self._context.dependencies.embedder(embedder or self._context.settings.embedder)
                opened = await Library.create_or_open(DataDir(Path(folder)), self.name(library), encoder)
            calls, untrusted = await describing.calls(self._context.dependencies, opened, dry_run=True)
            report = await index(paths, opened, dry_run=True, describe=calls, **options)
            if untrusted:
                report.warned(untrusted, options["warn"])
            return report

    async def watch(
        self, *paths: str | Path, library: str | None = None, exclude: TextList = (), **options: Any
    ) -> "AsyncIterator[IndexReport]":
        """Index paths, and again whenever something below them or a manifest changes, until the iteration is ended.

        A path that is gone, as with a disk that is not mounted, is told by `warn` and followed again when it is back.
        The threshold is measured anew when nothing changed for a while, not after every change; one that is out of date
        when the iteration ends is measured by whatever changes the library next.

        Args:
            options: as `index`; `checksum` counts for the first time.

        Raises:
            UsageError: as `index`.
            UnknownLibraryError: the library was removed meanwhile; it is not made again.
        """
        from imagerag.store.library.indexing.folder_watch import CalibrationDelay, changes, missing
        from imagerag.store.library.library_metadata import read_library_metadata

        manifest = options.get("manifest") or ()
        manifests = [manifest] if isinstance(manifest, str | Path) else manifest
        followed = [Path(path) for path in (*paths, *manifests)]
        watched = changes(followed, listed(exclude), home=self._context.dependencies.home.root)
        # What changes while files are indexed is not missed: the next look begins before.
        coming, delay = asyncio.ensure_future(anext(watched)), CalibrationDelay()
        try:
            report = await self.index(*paths, library=library, exclude=exclude, followed=True, **options)
            yield report
            options.pop("checksum", None)  # from now on changes are told
            while True:
                await asyncio.wait([coming], timeout=delay.remaining())
                if not coming.done():
                    delay.end()
                    opened = await self.open(library)
                    if await opened.count() and await opened.is_stale():
                        await opened.calibrate(anew=False)
                    continue
                changed = await coming
                coming = asyncio.ensure_future(anext(watched))
                if not changed:
                    if warn := options.get("warn"):
                        names = ", ".join(map(str, missing(followed))) or "a path"
                        warn(f"{names} is gone; nothing is taken out, and it is followed again when it is back")
                    continue
                try:
                    await in_thread(read_library_metadata, self._context.dependencies.home, self.name(library))
                    report = await self.index(
                        *paths, library=library, exclude=exclude, calibrate=False, followed=True, **options
                    )
                except UsageError:
                    if missing(followed):  # since the change was told; the next one says so
                        continue
                    raise
                if report.did_something:
                    delay.begin()
                yield report
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    index_sync = synchronous(index)


def _nothing_in(paths: Sequence[str | Path], name: str, report: "IndexReport") -> str:
    """The reason why a new library would be empty."""
    where = ", ".join(str(path) for path in paths) or "the manifest"
    why = "".join(f"; {Path(path).name}: {reason}" for path, reason in report.skipped[:3])
    return f"no image in {where}: the library {name!r} was not made{why or '; nothing is there'}"
