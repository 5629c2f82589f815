"""The images of a library, as bytes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial

from imagerag.agent.errors import BlobError
from imagerag.agent.threads import in_thread
from imagerag.store.library.table import LibraryTable


class LibraryImages:
    """Reads images of a library: from its copies, or the files that it is linked to.

    Attributes:
        table: its rows and locks.
    """

    table: LibraryTable

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image, from its copy or a linked file, verified against the hash.

        Raises:
            BlobError: missing, changed or damaged; says which file, and what to type.
        """
        return await self.table.read(lambda: self.table.image_bytes(sha256))

    async def read_images(self, ids: Sequence[str]) -> dict[str, bytes | BlobError]:
        """The bytes of several images, or the error of each, as in `image_bytes`; their rows are read in one query."""
        return await self.table.read(lambda: self.table.read_images(ids))

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """An image in a form that every model accepts: upright PNG, JPEG or WebP, with its media type.

        Raises:
            BlobError: missing or damaged.
        """
        from imagerag.agent.images.encoding import encode_for_model

        return await in_thread(encode_for_model, await self.image_bytes(sha256))

    async def encoded(self, sha256: str) -> bytes:
        """An image in a form that every model accepts; its thumbnail if its file is not available.

        Raises:
            BlobError: there is no such image.
        """
        return await self._encoded(sha256, lambda: self.table.image_bytes(sha256))

    async def encoded_images(self, ids: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        """Iterate over `encoded` for several images; missing images are skipped.

        Their rows are read in one query, and one image is held in memory at a time.
        """
        records = await self.table.read(lambda: self.table.image_records(ids))
        for sha256 in ids:
            data = None
            with suppress(BlobError):
                data = await self._encoded(sha256, partial(self.table.bytes_of, sha256, records.pop(sha256, None)))
            if data is not None:
                yield sha256, data

    async def _encoded(self, sha256: str, read_bytes: Callable[[], bytes]) -> bytes:
        from imagerag.agent.images.encoding import encode_for_model

        try:
            return (await in_thread(encode_for_model, await self.table.read(read_bytes)))[0]
        except BlobError:
            return await self.thumbnail(sha256)

    async def thumbnail(self, sha256: str) -> bytes:
        """The thumbnail of an image: WebP, at most 256 pixels on the longer side.

        Raises:
            BlobError: there is no such image.
        """
        records = await self.table.records(["thumbnail"], [sha256])
        if not records:
            raise BlobError(f"the image {sha256} is not in library {self.table.name!r}")
        data: bytes = records[0]["thumbnail"]
        return data
