"""The bytes of a library's images, from its copies or the files that it is linked to."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from imagerag.agent.errors import BlobError, ImageRAGError
from imagerag.agent.retrieval.search_queries import split_name
from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import verify
from imagerag.store.library import schema as form
from imagerag.store.library.database import LANCE_ERRORS, folder_of, open_table
from imagerag.store.library.image_files import ImageFiles
from imagerag.store.library.linked_files import read_linked
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.schema import FileEntry
from imagerag.store.library.table_locks import TableLocks
from imagerag.store.library.table_view import TableView


class TableImages(TableLocks):
    """Reads the images of one library. Everything blocks.

    Attributes:
        lance: the LanceDB table.
        folder: folder of its files.
        images: copies of its images.
        recent: files of the images that were found last.
    """

    def __init__(self, home: DataDir, name: str, lance: Any) -> None:
        self.home = home
        self._use(name, lance)

    def _use(self, name: str, lance: Any) -> None:
        self.name = name
        self.lance = lance
        self.folder = folder_of(self.home, name)
        self.images = ImageFiles(self.folder)
        self.recent = RecentRecords()
        self._view: TableView | None = None

    @property
    def view(self) -> TableView:
        """The table at its newest version, for reading; the one before where nothing was committed since. Blocks."""
        view, version = self._view, self.lance.version
        if view is None or view.version != version:
            self._view = view = TableView(self.lance, version)
        return view

    def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image, from its copy or a linked file, verified against the hash. Blocks.

        Raises:
            BlobError: missing, changed or damaged; the message names the file and what to type.
        """
        image = self.read_images([sha256])[sha256]
        if isinstance(image, BlobError):
            raise image
        return image

    def read_images(self, ids: Sequence[str]) -> dict[str, bytes | BlobError]:
        """The bytes of several images, or the error of each; their rows are read in one query. Blocks."""
        records = self.image_records(ids)
        images: dict[str, bytes | BlobError] = {}
        for sha256 in ids:
            try:
                images[sha256] = self.bytes_of(sha256, records.get(sha256))
            except BlobError as error:
                images[sha256] = error
        return images

    def image_records(self, ids: Sequence[str], *more: str) -> dict[str, Mapping[str, Any]]:
        """Image id → record that `bytes_of` needs, and of `more` columns. Blocks."""
        view = self.view
        records = None if more else self.recent.of(view.version, ids)
        if records is not None:
            return records
        columns = form.present(view, (form.IMAGE_COLUMN, "files"))
        query = view.search().select(["id", *columns, *more]).where(form.id_filter("id", ids))
        return {record["id"]: record for record in query.to_arrow().to_pylist()} if ids else {}

    def bytes_of(self, sha256: str, record: Mapping[str, Any] | None) -> bytes:
        """The bytes of an image, given its record from `image_records` or None. Blocks.

        Raises:
            BlobError: missing, changed or damaged.
        """
        if record is None:
            raise BlobError(f"the image {sha256} is not in library {self.name!r}")
        data: bytes | None = self.images.read(sha256)
        if data is None:
            data = record.get(form.IMAGE_COLUMN)
        if data is None:
            return self._linked_bytes(sha256, [FileEntry(**file) for file in record.get("files") or ()])
        verify(data, sha256, where=f"library {self.name!r}")
        return data

    def _linked_bytes(self, sha256: str, files: Sequence[FileEntry]) -> bytes:
        library, tag = split_name(self.name)
        try:
            return read_linked(sha256, files, library)
        except BlobError:
            if tag is not None:  # the library may know the new path of a moved file
                with suppress(ImageRAGError, *LANCE_ERRORS):
                    return type(self)(self.home, library, open_table(self.home, library)).image_bytes(sha256)
            raise
