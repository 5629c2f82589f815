"""Dependencies of evaluations: those of the product, made deterministic, so that a rerun gives the same bytes.

The last bits of an encoder's vectors depend on the other texts of the batch. A run is not affected, but two evaluations
would differ. Here every text is encoded alone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from imagerag.agent.errors import SpecError
from imagerag.agent.ports import Embedder, EmbedderIdentity, Judge, ReferenceLibrary
from imagerag.agent.ports.embedder import embed_images, embed_texts
from imagerag.evals.library_parts import open_part
from imagerag.evals.suites.case import LibraryRecipe
from imagerag.evals.suites.sketch_libraries import build_library
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.journal import StoreJournal, open_journal
from imagerag.store.library.library import Library
from imagerag.store.run_index import RunEntry, RunIndex
from imagerag.tools.embedders.full_spec import full_spec
from imagerag.tools.registry import make_judge, new_embedder
from imagerag.tools.spec import BackendSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.graphs.runs.runner import Runner

    Vectors = NDArray[np.float32]

KEPT: Final = 20_000
"""Texts that stay encoded: about 10 MB at 128 dimensions."""


class DeterministicEmbedder:
    """An embedder whose vectors depend on the text (or the images of one call) alone."""

    def __init__(self, inner: Embedder, *, keep: int = KEPT) -> None:
        self._inner, self._keep = inner, keep
        self._alone = asyncio.Lock()
        self._texts: OrderedDict[str, Vectors] = OrderedDict()

    @property
    def identity(self) -> EmbedderIdentity:
        """The identity of the wrapped encoder."""
        return self._inner.identity

    @property
    def context_length(self) -> int:
        """Number of tokens that the encoder reads."""
        return self._inner.context_length

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, start and end markers included."""
        return self._inner.count_tokens(text)

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1; each text by itself."""
        import numpy as np

        rows = [await self._text(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.identity.dimension), np.float32)

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """float32 [len(images), dimension], rows of norm 1. Calls are never merged into larger batches, so the vectors
        are deterministic already.
        """
        return await embed_images(self._inner, images)

    async def _text(self, text: str) -> "Vectors":
        vector = self._texts.get(text)
        if vector is None:
            async with self._alone:
                vector = self._texts[text] = (await embed_texts(self._inner, [text]))[0]
        self._texts.move_to_end(text)
        while len(self._texts) > self._keep:
            self._texts.popitem(last=False)
        return vector


ENCODER_JUDGES: Final = ("sketch", "clip")
"""Judges that compare texts and images through an encoder."""


def _encoder_of(judge: BackendSpec) -> str:
    """The spec of the encoder that such a judge uses."""
    if judge.provider == "sketch":
        return "sketch"
    return full_spec(judge.model) if judge.model else "open_clip"


class NullRunIndex(RunIndex):
    """A run index that stores nothing: an evaluation's runs are not listed among the user's own."""

    def kept_open(self) -> AbstractAsyncContextManager[None]:
        """Open nothing."""
        return nullcontext()

    def is_lost(self) -> bool:
        """Always false: there is no file."""
        return False

    async def upsert(self, run_id: str, *, prompt: str, **_: Any) -> RunEntry:
        """Store nothing."""
        return RunEntry(run_id=run_id, prompt=prompt)


@dataclass(frozen=True)
class EvalDependencies(Dependencies):
    """Dependencies whose home is the evaluation's own folder; libraries come from the suite, else from the user's home.

    Runs need no durable checkpoints here: a killed run starts again, with its responses from the journal, at no cost.

    Attributes:
        recipes: the libraries that the suite makes for itself.
        users: the user's own home, which holds all other libraries.
    """

    recipes: Mapping[str, LibraryRecipe] = field(default_factory=dict)
    users: Dependencies | None = None
    _journals: list[StoreJournal] = field(default_factory=list, repr=False)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @cached_property
    def runs(self) -> RunIndex:
        """The run index that stores nothing."""
        return NullRunIndex(self.home.run_list)

    @cached_property
    def runner(self) -> "Runner":
        """The runner of all runs, with its compiled graphs."""
        from imagerag.graphs.runs.runner import Runner

        return Runner(dependencies=self, durability="exit")

    def embedder(self, spec: str) -> Embedder:
        """The deterministic encoder of that spec."""
        return self._once("embedder", spec, lambda one: DeterministicEmbedder(new_embedder(one)))

    def judge(self, spec: str) -> Judge:
        """The judge of that spec; a judge with an encoder gets a deterministic one."""
        return self._once("judge", spec, self._make_judge)

    def _make_judge(self, spec: str) -> Judge:
        specs = BackendSpec.parse_all(spec)
        if len(specs) > 1 or specs[0].provider not in ENCODER_JUDGES:
            return make_judge(spec, prices=self.prices)
        one = specs[0]
        return make_judge(replace(one, model=""), embedder=self.embedder(_encoder_of(one)), prices=self.prices)

    def encoders_of_judge(self, judge: str) -> tuple[str, ...]:
        """The encoders that the judges of a spec use; none for vision-language models."""
        try:
            specs = BackendSpec.parse_all(judge)
        except SpecError:  # a custom judge, registered under a name
            return ()
        return tuple(dict.fromkeys(_encoder_of(one) for one in specs if one.provider in ENCODER_JUDGES))

    async def encoder_of_library(self, name: str) -> Embedder | None:
        """The encoder that searches a library; None where it has none. A library of the suite is not built for it."""
        recipe = self.recipes.get(name)
        if recipe and recipe.kind != "part":
            return self.embedder(recipe.embedder)
        library = await self.library(name)
        return getattr(library, "embedder", None)

    async def _library(self, name: str) -> ReferenceLibrary:
        async with self._opening:
            if ("library", name) not in self._made:
                if name in self.recipes:
                    self.use("library", name, await self._made_library(name, self.recipes[name]))
                else:
                    self.use("library", name, await (self.users or self).open_library(name))
        return cast(ReferenceLibrary, self._made["library", name])

    async def _made_library(self, name: str, recipe: LibraryRecipe) -> Library:
        """Build a library of the suite: from drawn images, or as a part of one of the user's libraries."""
        if recipe.kind != "part":
            return await build_library(self.home, name, recipe, self.embedder(recipe.embedder))
        whole: Any = await (self.users or self).open_library(recipe.of)
        return await open_part(self.home, name, recipe, whole)

    def checkpoints(self) -> "AbstractAsyncContextManager[Any]":
        """Checkpoints in memory."""
        from langgraph.checkpoint.memory import InMemorySaver

        from imagerag.store.sqlite.checkpoint_types import serializer

        return nullcontext(InMemorySaver(serde=serializer()))

    def journal(self) -> "AbstractAsyncContextManager[StoreJournal]":
        """The journal that `working` holds open for all runs; outside of `working`, a journal opened for each use."""
        return nullcontext(self._journals[-1]) if self._journals else open_journal(self.home.store)

    @property
    def held_journal(self) -> StoreJournal:
        """The journal that `working` holds open."""
        assert self._journals, "an evaluation works inside of `working`"
        return self._journals[-1]

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Hold the journal open."""
        async with open_journal(self.home.store) as journal:
            self._journals.append(journal)
            try:
                yield
            finally:
                self._journals.pop()


@dataclass(frozen=True)
class DeterministicDependencies(Dependencies):
    """The user's own home, opened with the evaluation's encoders."""

    maker: Dependencies | None = None

    def embedder(self, spec: str) -> Embedder:
        """The evaluation's own encoder of that spec."""
        return self.maker.embedder(spec) if self.maker else super().embedder(spec)


def dependencies_for(home: Any, users: Any, recipes: Mapping[str, LibraryRecipe]) -> EvalDependencies:
    """The dependencies of an evaluation in `home`, with access to the libraries in `users`."""
    own = EvalDependencies(home, recipes=recipes)
    outer = DeterministicDependencies(users, maker=own)
    return EvalDependencies(home, _made=own._made, _named=own._named, _lock=own._lock, recipes=recipes, users=outer)
