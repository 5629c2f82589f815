"""Images that a home has elsewhere: the bytes that a library lost may be with a run, or in another library."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

from imagerag.agent.errors import ImageRAGError
from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.store.library.database import LANCE_ERRORS, list_libraries, open_table
from imagerag.store.library.schema import IMAGE_COLUMN, id_filter
from imagerag.store.library.table import LibraryTable


class KeptImages:
    """Reads images from the blob store and the libraries of a home. Everything blocks.

    Args:
        ids: the images that may be read; each library is opened and searched once for all of them.
        linked: a library whose files and copies of these images have been tried already.
    """

    def __init__(self, home: DataDir, ids: Sequence[str], linked: str = "") -> None:
        self._blobs = FileBlobStore(home.blobs)
        self._tables: dict[str, list[LibraryTable]] = defaultdict(list)
        names: list[str] = []
        with suppress(ImageRAGError):
            names = list_libraries(home)
        for name in names:
            with suppress(ImageRAGError, *LANCE_ERRORS):  # continue with the next library after a damaged one
                table = LibraryTable(home, name, open_table(home, name))
                if name != linked or IMAGE_COLUMN in table.lance.schema.names:
                    self._note(table, ids)

    def _note(self, table: LibraryTable, ids: Sequence[str]) -> None:
        there = table.lance.search().select(["id"]).where(id_filter("id", ids)).to_arrow()["id"]
        for one in there.to_pylist():
            self._tables[one].append(table)

    def read(self, digest: str) -> bytes | None:
        """The bytes of an image; None where nothing has them."""
        with suppress(OSError):
            data = self._blobs.path(digest).read_bytes()
            if sha256(data).hexdigest() == digest:
                return data
        for table in self._tables.get(digest, ()):
            with suppress(ImageRAGError, *LANCE_ERRORS):
                return table.image_bytes(digest)
        return None
