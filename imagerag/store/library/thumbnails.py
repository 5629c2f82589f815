"""Thumbnails of a library, read without its encoder, for pages and lists."""

from collections.abc import Collection

from imagerag.agent.errors import LibraryError, UnknownLibraryError
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.store.data_dir import DataDir
from imagerag.store.library import schema as form
from imagerag.store.library.database import LANCE_ERRORS, open_table


def thumbnails(home: DataDir, library: str, ids: Collection[str]) -> dict[str, bytes]:
    """SHA-256 → thumbnail (WebP) of these images; missing ones are left out."""
    by_id: dict[str, bytes] = {}
    for name in names_of(library):
        lacking = set(ids) - by_id.keys()
        by_id |= _thumbnails(home, name, lacking) if lacking else {}
    return by_id


def _thumbnails(home: DataDir, library: str, ids: Collection[str]) -> dict[str, bytes]:
    try:
        table = open_table(home, library)
        rows = table.search().where(form.id_filter("id", ids)).select(["id", "thumbnail"]).limit(len(ids)).to_list()
    except (LibraryError, UnknownLibraryError, *LANCE_ERRORS):
        return {}
    return {row["id"]: row["thumbnail"] for row in rows}
