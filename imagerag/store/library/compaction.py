"""When it pays to join a table's fragments: that writes all of its rows anew, whatever has changed."""

from typing import Any, Final

from imagerag.store.library.table import LibraryTable

BLOAT, SLACK = 1.25, 2**20
"""A folder is tidied that has this many times the bytes of its rows, and so many more."""

ALWAYS: Final = 10_000
"""Rows below which a table is tidied after every change: it takes less than a second."""

FRAGMENTS: Final = 64
"""Every change adds one or two, and each costs a search a fraction of a millisecond."""

SHARE: Final = 0.05
"""Of the rows: so many may have changed, or be in no index, before a table is tidied."""


def tidying_pays(table: LibraryTable, changed: int) -> bool:
    """Whether a table is to be tidied.

    Args:
        changed: rows that were just written or taken out.
    """
    rows = int(table.lance.count_rows())
    if changed and (rows < ALWAYS or changed > SHARE * rows):
        return True
    statistics = table.lance.stats()
    if int(statistics["fragment_stats"]["num_fragments"]) > FRAGMENTS or _unindexed(table.lance) > SHARE * rows:
        return True
    return sum(table.lance_file_sizes()) > BLOAT * int(statistics["total_bytes"]) + SLACK


def _unindexed(lance: Any) -> int:
    """Rows that the indexes lack: all of them where there is no index of words."""
    worded = [index.name for index in lance.list_indices() if index.columns == ["caption"]]
    found = lance.index_stats(worded[0]) if worded else None
    return int(found.num_unindexed_rows if found else lance.count_rows())
