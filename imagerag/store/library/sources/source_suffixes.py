"""Endings of the files that images may be in, archives and tables of columns, and of those that describe them."""

from typing import Final

ZIP: Final = (".zip", ".cbz")
TAR: Final = (".tar", ".cbt")
"""Archives that are read wherever they lie: listing them is quick."""

COMPRESSED_TAR: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Archives that are read where they are named: listing them means to unpack them."""

PARQUET: Final = (".parquet", ".pq")
JSON: Final = (".json", ".jsonl", ".ndjson")
SEPARATED: Final = (".csv", ".tsv", ".tab", ".psv")
TABLES: Final = (*PARQUET, ".arrow", ".feather")

UNREAD: Final = (".7z", ".rar", ".cbr", ".gz", ".bz2", ".xz")
"""Endings of archives and compressed files that are not read at all."""

MANIFESTS: Final = (*SEPARATED, *JSON, *TABLES)
"""Endings of manifests."""
