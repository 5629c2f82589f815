"""The small images of a library, without the encoder that searches it: for pages and lists."""

from collections.abc import Collection

from imagerag.agent.errors import LibraryError, UnknownLibraryError
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.store.data_dir import DataDir
from imagerag.store.library import schema as form
from imagerag.store.library.database import LANCE_ERRORS, open_table


def thumbnails(home: DataDir, library: str, ids: Collection[str]) -> dict[str, bytes]:
    """The thumbnails (WebP) of these images, by SHA-256; those that are not to be had any more are left out."""
    found: dict[str, bytes] = {}
    for name in names_of(library):
        lacking = set(ids) - found.keys()
        found |= _thumbnails(home, name, lacking) if lacking else {}
    return found


def _thumbnails(home: DataDir, library: str, ids: Collection[str]) -> dict[str, bytes]:
    try:
        table = open_table(home, library)
        found = table.search().where(form.id_filter("id", ids)).select(["id", "thumbnail"]).limit(len(ids)).to_list()
    except (LibraryError, UnknownLibraryError, *LANCE_ERRORS):
        return {}
    return {row["id"]: row["thumbnail"] for row in found}
