"""Evaluation of a library: retrieval by its own captions, and its threshold on held-out captions.

The images that match a caption are found from the words of the library's captions alone, as in calibration. Three kinds
of queries have no match in the library: *near* ones (a caption with one word changed), *left out* ones (a caption whose
own images are ignored) and *unrelated* ones, from a list that calibration does not use.
"""

from collections.abc import Iterable, Sequence
from math import log2
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.evals.libraries.negative_captions import UNRELATED
from imagerag.evals.statistics.estimators import Proportion, mean
from imagerag.formatting.interface_terms import FILE, PATH, python_call
from imagerag.store.library.library import Library
from imagerag.store.library.thresholds.calibration import OWN_SAMPLE, SWAP_SAMPLE, calibrate
from imagerag.store.library.thresholds.caption_index import CaptionIndex, CaptionQuery
from imagerag.store.library.thresholds.content import LibraryContent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

DEPTH: Final = 10
FEWEST: Final = 8
"""Captions on either side of a split under which it says nothing."""


class Share(BaseModel):
    """A share with its 95 % Wilson interval."""

    model_config = ConfigDict(extra="forbid")

    value: float | None
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, hits: Iterable[bool]) -> "Share":
        """Of yes and no."""
        found = list(hits)
        counted = Proportion(sum(found), len(found))
        low, high = counted.wilson()
        return cls(value=counted.value if found else None, low=low, high=high, n=len(found))


class Ranking(BaseModel):
    """Ranks of the right images, over single things that captions name.

    Attributes:
        precision_1, precision_5, precision_10: mean share of the first so many that are right; where fewer are right
            in all, it cannot reach 1.
        recall_1, recall_5, recall_10: share of the captions with a right image among the first so many.
        mrr: mean of one over the place of the first right image, 0 beyond the tenth.
        ndcg_10: of all right images among the first ten, against the best order there can be.
        stderr: of `mrr` and `ndcg_10`, in this order; None of a single caption.
    """

    model_config = ConfigDict(extra="forbid")

    precision_1: float
    precision_5: float
    precision_10: float
    recall_1: Share
    recall_5: Share
    recall_10: Share
    mrr: float
    ndcg_10: float
    stderr: tuple[float | None, float | None]


class Decisions(BaseModel):
    """Decisions of a threshold.

    Attributes:
        cosine: the threshold; None where several were tried.
        held_out: whether calibration has not seen the own captions that are asked here.
        accepted_own: captions whose own image passes.
        rejected_near, rejected_left_out, rejected_unrelated: questions without an answer that nothing passes for.
    """

    model_config = ConfigDict(extra="forbid")

    cosine: float | None
    held_out: bool
    accepted_own: Share
    rejected_near: Share
    rejected_left_out: Share
    rejected_unrelated: Share


class LibraryCheck(BaseModel):
    """The whole of it, `imagerag.library-check/1`.

    Attributes:
        captions: how many different things were asked for.
        threshold: the library's own.
        halves: the same method calibrated on one half of the images and asked about the other, both ways: wholly
            held out, of libraries half as large. None where the captions are too few.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.library-check/1"] = Field(default="imagerag.library-check/1", alias="schema")
    library: str
    embedder: str
    images: int
    captions: int
    retrieval: Ranking
    threshold: Decisions
    halves: Decisions | None


async def check_library(library: Library, *, queries: int = 200, unrelated: Sequence[str] = UNRELATED) -> LibraryCheck:
    """Search a library for things that its captions name, and for things that they do not.

    Args:
        library: calibrated, with captions.
        queries: maximum number of own captions.
        unrelated: captions unrelated to the library; those that match one of its own are skipped.

    Raises:
        UsageError: the library has no captions to search with.
        LibraryError: the library has not been calibrated.
    """
    rows, vectors = await library.captioned_vectors()
    index = CaptionIndex.of(rows)
    every = index.sample(OWN_SAMPLE + queries)
    if not every:
        indexed = python_call("libraries.index", PATH, manifest=FILE)
        raise UsageError(f"library {library.name!r} has no captions to ask with: {indexed}")
    unseen = every[OWN_SAMPLE:]
    held_out = len(unseen) >= FEWEST
    asked = unseen if held_out else every[:queries]
    texts = await library.embedder.embed_texts([query.text for query in asked])
    decided = await _decided(library.threshold, asked, texts, vectors, library, index, unrelated)
    return LibraryCheck(
        library=library.name,
        embedder=library.metadata.spec,
        images=len(rows),
        captions=len(asked),
        retrieval=await ranking(library, asked, [row.id for row in rows]),
        threshold=decided.model_copy(update={"held_out": held_out}),
        halves=await _halves(library, queries, unrelated),
    )


async def ranking(library: Library, asked: Sequence[CaptionQuery], ids: Sequence[str]) -> Ranking:
    """Search for each query as a run does, and rank the matching images."""
    searched = [await library.search(query.text, k=DEPTH, filter=Filter()) for query in asked]
    return ranked([[hit.image.sha256 for hit in hits] for hits in searched], asked, ids)


def ranked(found: Sequence[Sequence[str]], asked: Sequence[CaptionQuery], ids: Sequence[str]) -> Ranking:
    """Score rankings: for each query the ids of the hits, best first.

    Args:
        ids: ids of the images; the queries' matches are indexes into them.
    """
    places: list[list[int]] = []
    gains: list[float] = []
    for query, hits in zip(asked, found, strict=True):
        right = {ids[at] for at in query.matches}
        places.append([at for at, sha256 in enumerate(hits[:DEPTH], start=1) if sha256 in right])
        best = sum(1 / log2(1 + at) for at in range(1, min(DEPTH, len(right)) + 1))
        gains.append(sum(1 / log2(1 + at) for at in places[-1]) / best)
    (mrr, spread), (ndcg, other) = mean([1 / found[0] if found else 0.0 for found in places]), mean(gains)
    recalls = {f"recall_{k}": Share.of(bool(found) and found[0] <= k for found in places) for k in (1, 5, DEPTH)}
    precisions = {
        f"precision_{k}": mean([sum(at <= k for at in found) / k for found in places])[0] for k in (1, 5, DEPTH)
    }
    errors = tuple(None if error != error else error for error in (spread, other))
    return Ranking.model_validate({**precisions, **recalls, "mrr": mrr, "ndcg_10": ndcg, "stderr": errors})


async def _decided(
    cosine: float,
    asked: Sequence[CaptionQuery],
    texts: "Vectors",
    vectors: "Vectors",
    library: Library,
    index: CaptionIndex,
    unrelated: Sequence[str],
) -> Decisions:
    """Count the decisions of one threshold on own captions and on queries without a match."""
    import numpy as np

    known = set(index.hard_negatives(SWAP_SAMPLE))
    near = [text for text in index.hard_negatives(2 * SWAP_SAMPLE) if text not in known] or sorted(known)
    far = [text for text in unrelated if not index.matches(text).size]
    own, left_out = [], []
    for text, query in zip(texts, asked, strict=True):
        cosines = vectors @ text
        own.append(bool(cosines[query.matches].max() >= cosine))
        rest = np.delete(cosines, query.matches)
        left_out.append(bool(rest.max() < cosine) if len(rest) else True)
    others = await library.embedder.embed_texts([*near, *far])
    rejected = [bool((vectors @ text).max() < cosine) for text in others]
    return Decisions(
        cosine=cosine,
        held_out=True,
        accepted_own=Share.of(own),
        rejected_near=Share.of(rejected[: len(near)]),
        rejected_left_out=Share.of(left_out),
        rejected_unrelated=Share.of(rejected[len(near) :]),
    )


async def _halves(library: Library, queries: int, unrelated: Sequence[str]) -> Decisions | None:
    """Calibrate on every second image and evaluate on the others; then the other way round."""
    rows, vectors = await library.captioned_vectors()
    found = []
    for first in (0, 1):
        mine, others = slice(first, None, 2), slice(1 - first, None, 2)
        index = CaptionIndex.of(rows[others])
        asked = index.sample(queries)
        if len(asked) < FEWEST or len(CaptionIndex.of(rows[mine]).sample(FEWEST)) < FEWEST:
            return None
        threshold = await calibrate(LibraryContent.of(rows[mine], vectors[mine]), library.embedder)
        texts = await library.embedder.embed_texts([query.text for query in asked])
        found.append(await _decided(threshold.cosine, asked, texts, vectors[others], library, index, unrelated))
    one, other = found
    names = ("accepted_own", "rejected_near", "rejected_left_out", "rejected_unrelated")
    return Decisions(
        cosine=None, held_out=True, **{name: _joined(getattr(one, name), getattr(other, name)) for name in names}
    )


def _joined(one: Share, other: Share) -> Share:
    hits = round((one.value or 0) * one.n) + round((other.value or 0) * other.n)
    return Share.of([True] * hits + [False] * (one.n + other.n - hits))
