"""A library of somebody's own may return anything: the error names the library, the field and the value."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langgraph.types import interrupt

from imagerag import ImageRAG
from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import Filter, Hit, SearchTerm
from imagerag.agent.retrieval.hit_check import check_hits, checked_threshold
from imagerag.agent.retrieval.search_batcher import SearchBatcher
from imagerag.agent.retrieval.search_queries import search_batch, search_captions, search_image, search_terms
from imagerag.agent.types import ImageRef, Outcome
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary

Spoil = Callable[[Hit], Any]


def one(**changes: Any) -> Spoil:
    return lambda hit: [hit, replace(hit, **changes)]


def odd_id(hit: Hit) -> list[Hit]:
    return [replace(hit, image=ImageRef(sha256="cat-1", media_type="image/png", width=1, height=1))]


SPOILED: list[tuple[Spoil, str]] = [
    (one(similarity=1.2), "a hit that cannot be used: similarity: it has to be a cosine from -1 to 1, not 1.2"),
    (one(similarity=float("nan")), "similarity: .*, not nan"),
    (one(similarity=None), "similarity: .*, not None"),
    (one(similarity="0.9"), "similarity: .*, not '0.9'"),
    (one(threshold=float("inf")), "threshold: .*, not inf"),
    (one(caption_similarity=-7), "caption_similarity: .*, not -7"),
    (one(vector=[1.0, 0.0]), "vector: it has to be an array of numbers .*, not list"),
    (one(vector=np.eye(2, dtype=np.float32)), r"vector: .*, not ndarray\(2, 2\)"),
    (one(vector=np.array(["a"])), "vector: it has to be an array of numbers"),
    (one(vector=np.full(64, np.nan, np.float32)), "vector: it has numbers that are not finite"),
    (one(vector=np.ones(3, np.float32)), "hits with vectors of 64 and 3 numbers"),
    (one(image="cat-1"), "image: it has to be an ImageRef with the SHA-256 of the bytes, not 'cat-1'"),
    (one(image=ImageRef.model_construct(sha256="cat-1")), "image: .*, not 'cat-1'"),
    (odd_id, "ImageRef that cannot be used: sha256: it is not written as it has to be, not 'cat-1'"),
    (lambda hit: None, "NoneType, and not a list of hits"),
    (lambda hit: [{"id": 1}], "dict, and not a Hit"),
]


class Spoiled(ScriptedLibrary):
    """A library whose searches return something else."""

    def __init__(self, spoil: Spoil) -> None:
        super().__init__(name="mine")
        self.plant("a hat", similarity=0.9)
        self.spoil = spoil

    async def search(self, text: str, *, k: int, filter: Filter) -> Any:
        (hit,) = await super().search("a hat", k=1, filter=Filter())
        return self.spoil(hit)

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Any:
        return await self.search("", k=k, filter=filter)

    async def search_terms(self, terms: Any, *, k: int, filter: Filter, hybrid: bool = False) -> Any:
        return await self.search("", k=k, filter=filter)

    async def search_captions(self, text: str, *, k: int, filter: Filter) -> Any:
        return await self.search("", k=k, filter=filter)


class Batching(Spoiled):
    async def search_batch(self, texts: Sequence[str], *, k: int, filter: Filter) -> Any:
        return [await self.search(text, k=k, filter=filter) for text in texts]


@pytest.mark.parametrize(("spoil", "told"), SPOILED, ids=[told[:40] for _, told in SPOILED])
async def test_every_search_names_library_and_value(spoil: Spoil, told: str) -> None:
    options: dict[str, Any] = {"k": 3, "filter": Filter()}
    library, batching, two = Spoiled(spoil), Batching(spoil), [SearchTerm(text="a"), SearchTerm(text="b")]
    searches = [
        lambda: SearchBatcher(library).search("a", **options),
        lambda: SearchBatcher(batching).search("a", **options),
        lambda: search_batch(batching, ["a", "b"], **options),
        lambda: search_image(library, b"", **options),
        lambda: search_terms(library, two, **options),
        lambda: search_terms(library, [SearchTerm(image=b"x", name="x.png")], **options),
        lambda: search_captions(library, two[:1], **options),
    ]
    for search in searches:
        with pytest.raises(LibraryError, match=rf"library 'mine' \((Spoiled|Batching)\) (returned|made) (.*: )?{told}"):
            await search()


@pytest.mark.parametrize("similarity", [1.0005, np.float32(0.9), np.float64(-1), 1])
def test_a_cosine_of_another_precision_is_one(similarity: Any) -> None:
    image = ScriptedLibrary().plant("a")
    check_hits(ScriptedLibrary(), [Hit(image=image, similarity=similarity, vector=np.eye(2)[0])])


@pytest.mark.parametrize("threshold", [float("nan"), 1.5, "0.3", None])
def test_a_threshold_that_is_none_is_named(threshold: Any) -> None:
    with pytest.raises(LibraryError, match=r"library 'scripted' \(ScriptedLibrary\) has a threshold that is no cosine"):
        checked_threshold(ScriptedLibrary(threshold=threshold))


async def test_a_run_and_a_search_end_with_that_error(tmp_path: Path) -> None:
    rag = ImageRAG(generator="mine", judge="mine", library="mine", home=tmp_path)
    parts = {"generator": ScriptedGenerator(), "judge": ScriptedJudge(["a hat"]), "library": Spoiled(one(similarity=7))}
    for role, part in parts.items():
        rag.dependencies.use(role, "mine", part)  # type: ignore[arg-type]
    run = await rag.generate("a cat in a hat")
    assert run.outcome is Outcome.FAILED
    assert run.reason.startswith("retrieve failed: library 'mine' (Spoiled) returned a hit that cannot be used")
    assert run.image is not None
    with pytest.raises(LibraryError, match="not 7"):
        await rag.libraries.search("a hat", library="mine")


class Asking(ScriptedLibrary):
    async def search(self, text: str, *, k: int, filter: Filter) -> Any:
        return interrupt("which one?")


async def test_an_interrupt_of_a_library_is_an_error_of_it(tmp_path: Path) -> None:
    rag = ImageRAG(generator="mine", judge="mine", library="mine", home=tmp_path)
    parts = {"generator": ScriptedGenerator(), "judge": ScriptedJudge(["a hat"]), "library": Asking()}
    for role, part in parts.items():
        rag.dependencies.use(role, "mine", part)  # type: ignore[arg-type]
    run = await rag.generate("a cat in a hat")
    assert (run.outcome, run.status) == (Outcome.FAILED, "ended")
    assert "library 'scripted' (Asking) raised GraphInterrupt, which is LangGraph's" in run.reason
