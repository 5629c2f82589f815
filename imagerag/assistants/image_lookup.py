"""Lookup of the images that an assistant names: in runs, in a library, or in a permitted file."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import BlobError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.files.access_policy import InputPolicy
from imagerag.store.images.blob_store import write_atomically

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG

_IMAGE: Final = re.compile(r"(?:image://)?([0-9a-f]{64})|image://([0-9a-f]{6,63})", re.IGNORECASE)
_REMEMBERED: Final = 10_000


def named_by_id(source: str) -> re.Match[str] | None:
    """The digits of an image's id, whole or its beginning; None for a path or an address."""
    return _IMAGE.fullmatch(source.strip())


class ImageLookup:
    """Finds images by `image://SHA256` or by what the input policy reads.

    Args:
        rag: where runs and libraries are.
        inputs: which files and addresses may be read.
    """

    def __init__(self, rag: "ImageRAG", inputs: InputPolicy) -> None:
        self._rag, self._inputs = rag, inputs
        self._shelf: OrderedDict[str, str] = OrderedDict()

    def remember(self, ids: Iterable[str], library: str) -> None:
        """Note which library the ids were told from, so that a later request need not say it."""
        for sha256 in ids:
            self._shelf[sha256] = library
            self._shelf.move_to_end(sha256)
        while len(self._shelf) > _REMEMBERED:
            self._shelf.popitem(last=False)

    async def read(self, source: str, library: str | None = None) -> bytes:
        """The bytes of an image that was named by its id, a path or an address.

        Raises:
            UsageError: it may not be read, or is no image.
            BlobError: no image has that id.
        """
        match = named_by_id(source)
        return await self.get((match[1] or match[2]).lower(), library) if match else await self._inputs.read(source)

    async def get(self, sha256: str, library: str | None = None) -> bytes:
        """The bytes of an image of a run or of a library, verified against the hash.

        Args:
            library: where to look first, after the images of runs; then the library it was told from, then the usual
                one.

        Raises:
            BlobError: no image has that id.
            UnknownLibraryError: there is no such library.
        """
        sha256 = sha256 if len(sha256) == 64 else await asyncio.to_thread(self._whole, sha256)
        with suppress(BlobError):
            return await self._rag.runs.image_bytes(sha256)
        for name in dict.fromkeys(filter(None, (library, self._shelf.get(sha256), self._rag.settings.library))):
            with suppress(BlobError):
                return await (await self._rag.dependencies.library(name)).image_bytes(sha256)
        raise BlobError(
            f"there is no image image://{sha256}: give an id from an earlier answer, and its library if it is of one"
        )

    def file(self, source: str) -> str:
        """The file that a path names, as it is typed in any folder. Blocks.

        Raises:
            UsageError: it may not be read.
        """
        return str(self._inputs.file(source))

    def path(self, sha256: str, media_type: str) -> str | None:
        """The file of a run's image, where there is one: under a name that says what it is, so that it opens."""
        blob = self._rag.dependencies.blobs.path(sha256)
        if not blob.exists():
            return None
        link = self._rag.dependencies.home.image_links / f"{sha256[:16]}{RESULT_SUFFIXES.get(media_type, '')}"
        if not link.exists():
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.hardlink_to(blob)
            except FileExistsError:  # another run told of it at the same time
                pass
            except OSError:  # a file system without links
                write_atomically(link, blob.read_bytes())
        return str(link)

    def _whole(self, start: str) -> str:
        """The one id that begins so.

        Raises:
            BlobError: none does, or several.
        """
        ids = {sha256 for sha256 in self._shelf if sha256.startswith(start)}
        folder = self._rag.dependencies.blobs.root / start[:2]
        ids |= {start[:2] + file.name for file in folder.glob(f"{start[2:]}*") if len(file.name) == 62}
        if len(ids) != 1:
            many = f"{len(ids)} images begin" if ids else "no image of an earlier answer begins"
            raise BlobError(f"{many} with image://{start}: give its whole id, as the answer named it")
        return ids.pop()
