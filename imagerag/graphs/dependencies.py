"""The objects behind a run: backends by their specs, libraries by their names, stores of one home directory."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from imagerag.agent.calls.journal import Journal
from imagerag.agent.errors import EmbeddingMismatchError, ImageRAGError, UnknownLibraryError, UntrustedError
from imagerag.agent.port_validation import check_role, encoder_spec
from imagerag.agent.ports import Describer, Embedder, ImageGenerator, Judge, OcrReader, ReferenceLibrary, Reranker
from imagerag.agent.qa.ports import Answerer
from imagerag.agent.qa.types import STATE_TYPES
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.types import BUILT_IN_LIBRARY, RunSpec
from imagerag.graphs.built_in_library import build_sketch_library
from imagerag.graphs.combined_libraries import CombinedLibraries, unknown_library
from imagerag.graphs.configuration.trust_policy import PROVIDER_MARK, check_encoder
from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.store.journal import SharedJournal, StoreJournal, open_journal
from imagerag.store.library.database import remove
from imagerag.store.library.library import Library
from imagerag.store.run_index import RunIndex
from imagerag.store.sqlite.checkpoint_types import open_checkpointer
from imagerag.store.sqlite.pool import PerLoopResource
from imagerag.tools.automatic import AutoRole, expanded
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.registry import (
    make_answerer,
    make_describer,
    make_embedder,
    make_generator,
    make_judge,
    make_library,
    make_reranker,
)

if TYPE_CHECKING:
    from imagerag.agent.nodes import Nodes
    from imagerag.graphs.extensions import Extension
    from imagerag.graphs.generation import Workflow
    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver

_PINNED = ("open_clip:", "transformers:")
"""Encoders whose spec in a library has the commit or the whole path, where the user wrote neither."""

Made = TypeVar("Made")
Use = Literal["generator", "judge", "embedder", "answerer", "describer", "reranker", "library"]


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The ports of one run."""

    generator: ImageGenerator
    judge: Judge
    library: ReferenceLibrary | None
    reranker: Reranker | None = None


@dataclass(frozen=True)
class Dependencies:
    """Makes and keeps what the runs of one process share: each model is loaded once.

    Attributes:
        home: where everything is kept.
    """

    home: DataDir
    _made: dict[tuple[str, str], object] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _opened: dict[str, Library] = field(default_factory=dict, repr=False)
    _combined: CombinedLibraries = field(default_factory=CombinedLibraries, repr=False)
    _extensions: "list[Extension]" = field(default_factory=list, repr=False)
    _named: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def blobs(self) -> FileBlobStore:
        """Image bytes."""
        return FileBlobStore(self.home.blobs)

    @cached_property
    def runs(self) -> RunIndex:
        """The list of runs."""
        return RunIndex(self.home.run_list)

    @cached_property
    def prices(self) -> Prices:
        """Prices of models: the packaged table, and this home's `prices.toml`.

        Raises:
            UsageError: that file is no table of prices.
        """
        return Prices.load(self.home.root)

    def use(self, role: Use, name: str, part: object) -> None:
        """Register an object under a spec, or a library under a name, for the runs of this process.

        An embedder is also found by its `identity.spec`, which is what the libraries made with it note.

        Raises:
            SpecError: it lacks something that its role asks for; the message names all of it.
        """
        check_role(role, name, part)
        with self._lock:
            self._made[role, name] = part
            self._named.add(name)
            if role == "embedder":
                self._made.setdefault((role, encoder_spec(name, part)), part)
                self._named.add(encoder_spec(name, part))

    def name(self, *specs: str | None) -> None:
        """Note specs that the user named himself: in this process, data may name them too (see `trust_policy.py`)."""
        with self._lock:
            self._named.update(filter(None, specs))

    @property
    def user_named_specs(self) -> frozenset[str]:
        """The specs that the user named himself."""
        with self._lock:
            return frozenset(self._named)

    @property
    def own_libraries(self) -> tuple[str, ...]:
        """The names of the libraries that were put in by `use`."""
        with self._lock:
            return tuple(name for role, name in self._made if role == "library")

    @property
    def extension(self) -> "Extension":
        """Extension of the graphs; runs that begin from now on use it."""
        if not self._extensions:
            from imagerag.graphs.extensions import Extension  # the graph loads slowly, and few commands need it

            self._extensions.append(Extension())
        return self._extensions[-1]

    def extend(self, extension: "Extension") -> None:
        """Make graphs in another way from now on, in this process."""
        self._extensions[:] = [extension]

    def workflow(self, parts: Backends | None = None, journal: Journal | None = None) -> "Workflow":
        """The uncompiled graph of these parts; without any, one to look at and to read runs with."""
        nodes = self.extension.nodes.for_diagram() if parts is None else self.nodes(parts, journal)
        return self.extension.workflow(nodes)

    def nodes(self, parts: Backends, journal: Journal | None = None) -> "Nodes":
        """The nodes of a graph of these parts."""
        return self.extension.nodes(**vars(parts), blobs=self.blobs, journal=journal)

    def checkpoints(self) -> AbstractAsyncContextManager["BatchedSqliteSaver"]:
        """The checkpoints, open for one start or resume, and shared with the others of this event loop."""
        return self._checkpoints.use()

    def journal(self) -> AbstractAsyncContextManager[StoreJournal]:
        """The journal, open for one start or resume, and shared with the others of this event loop."""
        return self._journal.use()

    @cached_property
    def answers(self) -> SharedJournal:
        """The journal for those that outlive an event loop, as compiled graphs do."""
        return SharedJournal(self._journal)

    @cached_property
    def _checkpoints(self) -> "PerLoopResource[BatchedSqliteSaver]":
        return PerLoopResource(partial(open_checkpointer, self.home.checkpoints, STATE_TYPES))

    @cached_property
    def _journal(self) -> PerLoopResource[StoreJournal]:
        return PerLoopResource(partial(open_journal, self.home.store))

    def generator(self, spec: str) -> ImageGenerator:
        """The generator of that spec.

        Raises:
            SpecError: nothing of that name.
        """
        return self._once("generator", spec, partial(make_generator, prices=self.prices, own=self._own("generator")))

    def judge(self, spec: str) -> Judge:
        """The judge of that spec.

        Raises:
            SpecError: nothing of that name.
        """
        return self._once(
            "judge", self._expanded("judge", spec), partial(make_judge, prices=self.prices, own=self._own("judge"))
        )

    def answerer(self, spec: str) -> Answerer:
        """The answerer of that spec.

        Raises:
            SpecError: nothing of that name.
        """
        return self._once(
            "answerer",
            self._expanded("answerer", spec),
            partial(make_answerer, prices=self.prices, own=self._own("answerer")),
        )

    def describer(self, spec: str) -> Describer:
        """The describer of that spec.

        Raises:
            SpecError: nothing of that name.
        """
        return self._once(
            "describer",
            self._expanded("describer", spec),
            partial(make_describer, prices=self.prices, own=self._own("describer")),
        )

    def reranker(self, spec: str, judge: str) -> Reranker:
        """The reranker of that spec, for runs whose judge is `judge`.

        Raises:
            SpecError: nothing of that name.
        """
        with self._lock:
            own = self._made.get(("reranker", spec))
        if own is not None:
            return cast(Reranker, own)

        def make(_: str) -> Reranker:
            return make_reranker(spec, judge=self.judge(judge), prices=self.prices)

        return self._once("reranker", f"{spec} of {judge}", make)

    def embedder(self, spec: str) -> Embedder:
        """The encoder of that spec; its weights are loaded when it is first used.

        Raises:
            SpecError: nothing of that name.
        """
        return self._once("embedder", spec, make_embedder)

    def ocr_reader(self) -> OcrReader:
        """The reader of the words in images.

        Raises:
            MissingExtraError: the extra `ocr` is not installed.
        """
        from imagerag.tools.ocr.rapidocr_reader import RapidOcrReader

        return RapidOcrReader()

    async def library(self, name: str) -> ReferenceLibrary:
        """The library of that name, as runs use it: one put there by `use`, or one that is kept here.

        Args:
            name: several with commas between them are searched as one; one with a colon is an installed package's.

        Raises:
            UsageError: several that cannot be.
            UnknownLibraryError, EmbeddingMismatchError: as `open_library`.
        """
        names = names_of(name)
        own = [await self._library(one) for one in names if not one.startswith(WEB)]
        web = [one for one in names if one.startswith(WEB)]
        return await asyncio.to_thread(self._combined.library, own, web, self) if web or len(own) > 1 else own[0]

    async def _library(self, name: str) -> ReferenceLibrary:
        with self._lock:
            own = self._made.get(("library", name))
        if own is not None:
            return cast(ReferenceLibrary, own)
        if PROVIDER_MARK in name:
            return await asyncio.to_thread(self._once, "library", name, partial(make_library, home=self.home.root))
        try:
            opened = await self.open_library(name)
        except UnknownLibraryError as error:
            raise unknown_library(name, error) from error
        with self._lock:
            # The same object for the same library: graphs are kept by the parts they are bound to.
            known = self._opened.get(name)
            if known is None or (known.metadata, known.folder) != (opened.metadata, opened.folder):
                self._opened[name] = known = opened
            return known

    async def open_library(self, name: str) -> Library:
        """Open a library with the encoder it was made with.

        Raises:
            UnknownLibraryError: there is none of that name; the message lists those there are.
            UntrustedError: it names an encoder that only the user may name.
            EmbeddingMismatchError: its encoder's weights are no longer the same.
        """
        opening = Library.open_with(self.home, name, self.encoder_of(name))
        if name != BUILT_IN_LIBRARY:
            return await opening
        try:
            opened = await opening
            if opened.metadata.threshold is not None:
                return opened
        except UnknownLibraryError:
            pass
        except EmbeddingMismatchError:
            # A newer imagerag brings a newer sketch CLIP; the catalogue is drawn anew, nobody's images are in there.
            await asyncio.to_thread(remove, self.home, name)
        return await build_sketch_library(self.home, self.embedder("sketch"))

    def encoder_of(self, library: str) -> Callable[[str], Embedder]:
        """Returns the encoder of a spec that a library names.

        Raises (when it is called):
            UntrustedError: only the user may name it.
        """
        return partial(self._trusted_encoder, library)

    def _trusted_encoder(self, library: str, spec: str) -> Embedder:
        """The encoder that a library names, where it may: the user's own way to write it counts as the same."""
        user_named = self.user_named_specs
        try:
            check_encoder(library, spec, user_named)
        except UntrustedError:
            if not any(self._names_encoder(one, spec) for one in user_named if one.startswith(_PINNED)):
                raise
        return self.embedder(spec)

    def _names_encoder(self, user_spec: str, spec: str) -> bool:
        """Whether a spec that the user named, perhaps for another role, is of that encoder."""
        try:
            return self.embedder(user_spec).identity.spec == spec
        except ImageRAGError:
            return False

    async def parts(self, setup: RunSpec) -> Backends:
        """The ports that a setup names."""
        library = await self.library(setup.library) if setup.library else None
        return Backends(
            generator=self.generator(setup.generator),
            judge=self.judge(setup.judge),
            library=library,
            reranker=self.reranker(setup.reranker, setup.judge) if setup.reranker else None,
        )

    def _expanded(self, role: AutoRole, spec: str) -> str:
        """The spec with `auto` replaced, unless the user registered an object under it."""
        return spec if (role, spec) in self._made else expanded(role, spec, self.prices)

    def _own(self, role: str) -> dict[str, object]:
        """The objects of a role by their specs: those put in by `use` can stand in a fallback chain, too."""
        with self._lock:
            return {spec: part for (of, spec), part in self._made.items() if of == role}

    def _once(self, role: str, spec: str, make: Callable[[str], Made]) -> Made:
        with self._lock:
            if (role, spec) not in self._made:
                self._made[role, spec] = make(spec)
            return cast(Made, self._made[role, spec])
