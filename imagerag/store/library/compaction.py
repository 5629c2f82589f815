"""Decide when joining a table's fragments pays off: joining rewrites all rows, however few have changed."""

from typing import Any, Final

from imagerag.store.disk_usage import file_sizes
from imagerag.store.library.description_columns import WORDS
from imagerag.store.library.image_files import FOLDER as COPIES
from imagerag.store.library.names import SNAPSHOTS
from imagerag.store.library.region_columns import REGIONS
from imagerag.store.library.schema import VECTOR, present
from imagerag.store.library.search import needed_vector_indexes
from imagerag.store.library.table import LibraryTable

BLOAT, SLACK = 1.25, 2**20
"""A folder is tidied that has this many times the bytes of its rows, and so many more."""

ALWAYS: Final = 10_000
"""Rows below which a table is tidied after every change: it takes less than a second."""

FRAGMENTS: Final = 64
"""Every change adds one or two, and each costs a search a fraction of a millisecond."""

SHARE: Final = 0.05
"""Of the rows: so many may have changed, or be in no index, before a table is tidied."""

_WORDED: Final = ("caption", "ocr", WORDS)
"""Columns with a full-text index, which are written apart."""


def tidying_pays(table: LibraryTable, changed: int) -> bool:
    """Whether to optimize a table.

    Args:
        changed: number of rows just written or removed.
    """
    rows = int(table.lance.count_rows())
    if changed and (rows < ALWAYS or changed > SHARE * rows):
        return True
    if needed_vector_indexes(table.view, (VECTOR, REGIONS)):  # searches are slow without
        return True
    statistics = table.lance.stats()
    if int(statistics["fragment_stats"]["num_fragments"]) > FRAGMENTS or _unindexed(table.lance) > SHARE * rows:
        return True
    return lance_bytes(table) > BLOAT * int(statistics["total_bytes"]) + SLACK


def lance_bytes(table: LibraryTable) -> int:
    """Bytes of the files that Lance wrote."""
    return sum(file_sizes(table.folder, without=(COPIES, SNAPSHOTS)).values())


def _unindexed(lance: Any) -> int:
    """Number of rows missing from the full-text indexes; all rows if there is none of the captions, or of OCR."""
    names = {index.columns[0]: index.name for index in lance.list_indices() if len(index.columns) == 1}
    statistics = [lance.index_stats(names[column]) if column in names else None for column in present(lance, _WORDED)]
    return max(int(one.num_unindexed_rows if one else lance.count_rows()) for one in statistics)
