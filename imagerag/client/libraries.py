"""The Python front door to libraries: indexing, searching, opening, removing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.client.similarity import measure_similarities
from imagerag.files.inputs import Image, naming, read_image
from imagerag.graphs.settings import Settings, resolve

if TYPE_CHECKING:
    from imagerag.agent.ports import Embedder
    from imagerag.client.search_results import Hits
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.store.library.ingest import IndexReport
    from imagerag.store.library.library import Library


class Libraries:
    """What can be done with libraries; the part of `ImageRAG` that needs no generator and no judge."""

    def __init__(
        self,
        *,
        preset: str | None = None,
        generator: str | None = None,
        judge: str | None = None,
        answerer: str | None = None,
        embedder: str | None = None,
        library: str | None = None,
        reranker: str | None = None,
        home: str | Path | None = None,
    ) -> None:
        self.settings: Settings = resolve(
            preset=preset,
            generator=generator,
            judge=judge,
            answerer=answerer,
            embedder=embedder,
            library=library,
            reranker=reranker,
            home=str(home) if home is not None else None,
        )

    @cached_property
    def wiring(self) -> "Dependencies":
        """What runs are made of: backends, libraries, images, the list of runs."""
        from imagerag.graphs.dependencies import Dependencies
        from imagerag.store.data_dir import DataDir

        wiring = Dependencies(DataDir.find(self.settings.home))
        wiring.name(*self.settings.named)
        return wiring

    async def index(
        self,
        *paths: str | Path,
        library: str | None = None,
        embedder: str | None = None,
        manifest: str | Path | None = None,
        exclude: Sequence[str] = (),
        allow_outside: bool = False,
        progress: Callable[[int, int], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> "IndexReport":
        """Put the images of files and folders into a library, which is made when there is none of that name.

        Args:
            paths: files, and folders with everything below them.
            library: which one, when not the one this object was made with.
            embedder: spec of the encoder for a new library; one that exists knows its own.
            manifest: CSV, JSON lines or JSON that says more of the images (caption, tags, licence, …).
            exclude: patterns (`drafts`, `*.gif`, `raw/*`) of files and folders to be left out.
            allow_outside: the manifest may name files outside of its folder and of `paths`, and a sidecar that is a
                link may lead there.
            progress: called after every batch with files done and files in all.
            warn: called with each of the report's `warnings` as soon as it is known, some before anything is encoded.

        Returns:
            How many were added, updated, unchanged, how many have a caption, what was skipped and why, and what is
            likely to be wrong with the library (`warnings`). A library that would be new and empty is not made.

        Raises:
            UsageError: a path or the manifest does not exist, or a new library would stay empty.
            EmbeddingMismatchError: the library exists and was made with another encoder than `embedder`.
        """
        from imagerag.graphs.library_warnings import library_warnings
        from imagerag.graphs.mismatch_warnings import encoder_warning
        from imagerag.store.library.creation import creating_library
        from imagerag.store.library.ingest import index

        if (library or self.settings.library) == BUILT_IN_LIBRARY:
            raise UsageError(f"{BUILT_IN_LIBRARY!r} is the built-in catalogue, redrawn when it has to be: name another")
        async with creating_library(self.wiring.home, self.library_name(library)) as fresh:
            opened = await self.open_library(library, embedder=embedder, create=True)
            unasked = embedder is None and self.settings.origins.get("embedder", "").startswith("preset")
            first = encoder_warning if fresh and unasked and opened.passport.spec == "sketch" else None
            report = await index(
                paths,
                opened,
                manifest=manifest,
                exclude=exclude,
                allow_outside=allow_outside,
                progress=progress,
                first_look=first,
                warn=warn,
            )
            if fresh and not await opened.count():
                raise UsageError(_nothing_in(paths, opened.name, report))
        for warning in library_warnings(opened.name, opened.passport):
            report.warned(warning, warn)
        return report

    async def search(
        self,
        query: str | None = None,
        *,
        image: Image | None = None,
        library: str | None = None,
        k: int = 8,
        where: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        licences: Sequence[str] = (),
        hybrid: bool = False,
    ) -> "Hits":
        """The `k` library images most similar to a text or to an image, best first, whatever the threshold.

        It is a list of `Hit`, and shows its pictures in a notebook.

        The sketch world's encoder is asked in its own words where it understands a query's ("something round and red"
        is searched as "a red circle"): `open_library().queries(text)` says which.

        Args:
            query: a text; or give `image`.
            library: which one, when not the one this object was made with; several with commas between them are
                searched as one, and each hit then brings its library's `threshold`.
            where: metadata a hit must have; tags and licences likewise.
            hybrid: rank by the words of captions and titles too.

        Raises:
            UsageError: neither a text nor an image, or both; or `hybrid` with an image.
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.agent.ports import Filter
        from imagerag.agent.retrieval.search_queries import search_query
        from imagerag.client.search_results import Hits

        if (query is None) == (image is None):
            raise UsageError("search with a text or with an image, one of them")
        if image is not None and hybrid:
            raise UsageError("a hybrid search needs words: an image has none")
        opened = await self.wiring.library(self.library_name(library))
        wanted = Filter(where=dict(where or {}), tags=tuple(tags), licences=tuple(licences))
        if image is not None:
            data = await asyncio.to_thread(read_image, image)
            with naming(image):
                found = await opened.search_by_image(data, k=k, filter=wanted)
        else:
            found = await search_query(opened, query or "", k=k, filter=wanted, hybrid=hybrid)
        return Hits(found, library=opened.name, home=self.wiring.home)

    async def similarity(
        self, image: Image, text: str, *, library: str | None = None, embedder: str | None = None
    ) -> float:
        """The cosine between a picture and a text in [-1, 1], to a library's encoder or to another.

        Args:
            library: whose encoder, when not that of the one this object was made with.
            embedder: an encoder, instead of a library's.

        Raises:
            UsageError: no picture that can be read, an empty text, or one that is longer than the encoder reads.
            UnknownLibraryError: there is no such library.
        """
        if embedder is None:
            encoder = (await self.open_library(library)).embedder
        else:
            self.wiring.name(embedder)
            encoder = self.wiring.embedder(embedder)
        return (await measure_similarities(encoder, image, [text]))[0]

    async def open_library(
        self, name: str | None = None, *, embedder: str | None = None, create: bool = False
    ) -> "Library":
        """Open a library, with the encoder it was made with unless another is named.

        Args:
            name: which one, when not the one this object was made with.
            embedder: insist on this encoder.
            create: make an empty one when there is none.

        Raises:
            UnknownLibraryError: there is none of that name, and none was to be made.
            EmbeddingMismatchError: it was made with another encoder than `embedder`.
        """
        from imagerag.store.library.library import Library

        name, wiring = self.library_name(name), self.wiring
        wiring.name(embedder)
        try:
            opened = await wiring.open_library(name)
        except UnknownLibraryError:
            if not create:
                raise
            encoder = wiring.embedder(embedder or self.settings.embedder)
            await asyncio.to_thread(_note_encoder, encoder)
            return await Library.create_or_open(wiring.home, name, encoder)
        if embedder is None or embedder == opened.passport.spec:
            return opened
        return await Library.open(wiring.home, name, wiring.embedder(embedder))

    def library_name(self, library: str | None = None) -> str:
        """The library that is meant.

        Raises:
            UsageError: none is named, here or where this object was made.
        """
        if name := library or self.settings.library:
            return name
        raise UsageError("say which library: --library NAME")

    async def libraries(self) -> list[str]:
        """The names of the libraries there are, sorted."""
        from imagerag.store.library.library import list_libraries

        return await asyncio.to_thread(list_libraries, self.wiring.home)

    async def remove_library(self, name: str) -> None:
        """Delete a library with everything in it; the files it was indexed from stay.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library.library import remove

        await asyncio.to_thread(remove, self.wiring.home, name)


def _note_encoder(encoder: "Embedder") -> None:
    """Remember that this user made a library with this encoder, so that the library may name it."""
    from imagerag.graphs.trust_policy import is_plain
    from imagerag.store.trust_store import note_named

    spec = encoder.identity.spec
    if not is_plain(spec, services=False):
        note_named(spec)


def _nothing_in(paths: Sequence[str | Path], name: str, report: "IndexReport") -> str:
    """Why a new library would be empty."""
    where = ", ".join(str(path) for path in paths) or "the manifest"
    why = "".join(f"; {Path(path).name}: {reason}" for path, reason in report.skipped[:3])
    return f"no picture in {where}: the library {name!r} was not made{why or '; nothing is there'}"
