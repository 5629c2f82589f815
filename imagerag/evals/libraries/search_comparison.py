"""Comparison of search methods and encoders on one library: precision, recall, MRR and nDCG.

The queries are things that the captions name; matching images are found from the words of the captions alone, as in
calibration. Methods: cosine, cosine and words together (hybrid), words (BM25), and cosine with a reranker. Other
encoders encode the same images again, in a temporary folder; the best rankings of several encoders can be merged by
rank.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Embedder, Filter, Hit, Reranker, reranks_by_model
from imagerag.formatting.interface_terms import FILE, PATH, python_call
from imagerag.store.data_dir import DataDir
from imagerag.store.library.check.rates import DEPTH, Ranking, ranked
from imagerag.store.library.joined_libraries import RRF
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.subsets import in_random_order, part_of
from imagerag.store.library.thresholds.caption_index import CaptionIndex, CaptionQuery

Way = str
WAYS: Final = ("cosine", "hybrid", "words", "bm25")
LOOKED_AT: Final = 30
"""Hits that a reranker puts into order."""

Progress = Callable[[int, int, str], None]


class Compared(BaseModel):
    """One search method with one encoder.

    Attributes:
        encoder: spec of the encoder; several with `+` where their rankings were joined.
        way: how was searched.
    """

    model_config = ConfigDict(extra="forbid")

    encoder: str
    way: str
    ranking: Ranking


class SearchComparison(BaseModel):
    """The whole of it, `imagerag.search-comparison/1`.

    Attributes:
        images: images that were searched; `captions`, how many different things were asked for.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.search-comparison/1"] = Field(default="imagerag.search-comparison/1", alias="schema")
    library: str
    images: int
    captions: int
    rows: list[Compared]


async def compare_searches(
    library: Library,
    *,
    ways: Sequence[Way] = WAYS,
    encoders: Sequence[Embedder] = (),
    rerankers: Callable[[str], Reranker],
    queries: int = 200,
    images: int | None = None,
    seed: int = 0,
    progress: Progress = lambda count, total, what: None,
) -> SearchComparison:
    """Search for things that the captions name, with every method and every encoder.

    Args:
        ways: names from `WAYS`, or specs of rerankers.
        encoders: specs of further encoders, beside the library's own.
        rerankers: makes the reranker of a spec.
        queries: maximum number of captions.
        images: maximum number of the library's images, chosen by `seed`; None is all.

    Raises:
        UsageError: the library has no captions, or a method is unknown.
    """
    sample = in_random_order([row.id for row in await library.rows()], seed)[:images]
    rows = await library.rows(sample)
    captions = CaptionIndex.of(rows).sample(queries)
    if not captions:
        indexed = python_call("libraries.index", PATH, manifest=FILE)
        raise UsageError(f"library {library.name!r} has no captions to ask with: {indexed}")
    ids, results = [row.id for row in rows], dict[tuple[str, str], list[list[str]]]()
    others = {one.identity.spec: one for one in encoders if one.identity != library.embedder.identity}
    all_of_it = len(rows) == await library.count()
    scratch: AbstractContextManager[str]
    scratch = TemporaryDirectory(prefix="imagerag-compared-") if others or not all_of_it else nullcontext("")
    with scratch as folder:
        for at, embedder in enumerate([library.embedder, *others.values()]):
            spec = embedder.identity.spec
            progress(at, 1 + len(others), spec)
            whole = at == 0 and all_of_it
            one = library if whole else await part_of(DataDir(Path(folder)), f"n{at}", library, ids, embedder)
            for way in ways:
                results[spec, way] = [await _search_ids(one, query.text, way, rerankers) for query in captions]
    progress(1 + len(others), 1 + len(others), "")
    if others and "cosine" in ways:
        specs = [library.embedder.identity.spec, *others]
        alone = [results[spec, "cosine"] for spec in specs]
        results[" + ".join(specs), "joined"] = [joined(lists) for lists in zip(*alone, strict=True)]
    return SearchComparison(
        library=library.name,
        images=len(rows),
        captions=len(captions),
        rows=[_row(encoder, way, lists, captions, ids) for (encoder, way), lists in results.items()],
    )


def _row(
    encoder: str, way: Way, rankings: Sequence[Sequence[str]], captions: Sequence[CaptionQuery], ids: Sequence[str]
) -> Compared:
    right = [{ids[at] for at in query.matches} for query in captions]
    return Compared(encoder=encoder, way=way, ranking=ranked(rankings, right))


async def _search_ids(library: Library, text: str, way: Way, rerankers: Callable[[str], Reranker]) -> list[str]:
    """The ids that one method finds, best first."""
    hits: Sequence[Hit]
    if way in ("cosine", "hybrid"):
        hits = await library.search(text, k=DEPTH, filter=Filter(), hybrid=way == "hybrid")
    elif way == "words":
        hits = await library.search_words(text, k=DEPTH)
    else:
        near = await library.search(text, k=LOOKED_AT, filter=Filter())
        reranker = rerankers(way)
        if reranks_by_model(reranker):
            raise UsageError(f"{way!r} asks a model about every search: compare ways that cost nothing, or bm25")
        order = (await reranker.rerank(text, near, ())).order
        hits = [near[at] for at in order[:DEPTH]]
    return [hit.image.sha256 for hit in hits]


def joined(lists: Sequence[Sequence[str]]) -> list[str]:
    """Merge rankings by reciprocal rank fusion."""
    score: dict[str, float] = {}
    for ranking in lists:
        for rank, one in enumerate(ranking, start=1):
            score[one] = score.get(one, 0.0) + 1 / (RRF + rank)
    return sorted(score, key=lambda one: (-score[one], one))[:DEPTH]
