"""Other indexes of the same vectors, which a library's search is measured beside, where they are installed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from imagerag.evals.bench.timing import TimingRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Find = Callable[[Any], Any]
"""The rows nearest to a vector, best first."""

GRAPHS_TO: Final = 100_000
"""Rows up to which graphs are built by default: beyond, that takes minutes."""


@dataclass
class OtherIndexes:
    """The indexes that could be built.

    Attributes:
        find: name → its search.
        rows: how long each took to build, and why some are missing.
    """

    find: dict[str, Find] = field(default_factory=dict)
    rows: list[TimingRow] = field(default_factory=list)


def other_indexes(vectors: "Vectors", k: int, *, section: str, graphs_to: int = GRAPHS_TO) -> OtherIndexes:
    """Build the indexes of these vectors that find `k` of them.

    Args:
        graphs_to: rows up to which graphs are built.
    """
    indexes = OtherIndexes()
    for name, make, is_graph in (
        ("faiss flat", _faiss_flat, False), ("faiss HNSW", _faiss_hnsw, True), ("usearch", _usearch, True)
    ):  # fmt: skip
        if is_graph and len(vectors) > graphs_to:
            note = f"not built above {graphs_to:,} rows: that takes minutes; --graphs-to {len(vectors)} builds it"
            indexes.rows.append(TimingRow(section=section, name=name, value=None, unit="", note=note))
            continue
        began = time.perf_counter()
        try:
            indexes.find[name] = make(vectors, k)
        except ImportError as error:
            note = f"not measured: {error}"
            indexes.rows.append(TimingRow(section=section, name=name, value=None, unit="", note=note))
        else:
            took = time.perf_counter() - began
            indexes.rows.append(TimingRow(section=section, name=f"build {name}", value=took, unit="s", n=1))
    return indexes


def _faiss_flat(vectors: "Vectors", k: int) -> Find:
    faiss: Any = import_module("faiss")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda vector: index.search(vector[None], k)[1][0]


def _faiss_hnsw(vectors: "Vectors", k: int) -> Find:
    faiss: Any = import_module("faiss")
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 80, 128
    index.add(vectors)
    return lambda vector: index.search(vector[None], k)[1][0]


def _usearch(vectors: "Vectors", k: int) -> Find:
    import numpy as np

    usearch: Any = import_module("usearch.index")
    index = usearch.Index(ndim=vectors.shape[1], metric="cos", expansion_search=128)
    index.add(np.arange(len(vectors)), vectors)
    return lambda vector: index.search(vector, k).keys
