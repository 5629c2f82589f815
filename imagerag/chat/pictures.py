"""Where the pictures that an assistant names are: among those of runs, in a library, or in a file it may hand in."""

import re
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import BlobError
from imagerag.inputs_policy import InputPolicy

if TYPE_CHECKING:
    from imagerag.api import ImageRAG

_IMAGE: Final = re.compile(r"(?:image://)?([0-9a-f]{64})", re.IGNORECASE)
_REMEMBERED: Final = 10_000


class Pictures:
    """Finds pictures by `image://SHA256` or by what the input policy reads.

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
        """The bytes of a picture that was named by its id, a path or an address.

        Raises:
            UsageError: it may not be read, or is no picture.
            BlobError: no picture has that id.
        """
        named = _IMAGE.fullmatch(source.strip())
        return await self.get(named[1].lower(), library) if named else await self._inputs.read(source)

    async def get(self, sha256: str, library: str | None = None) -> bytes:
        """The bytes of a picture of a run or of a library, verified against the hash.

        Args:
            library: where else to look than among the pictures of runs; when None, the library it was told from, then
                the usual one.

        Raises:
            BlobError: no picture has that id.
            UnknownLibraryError: there is no such library.
        """
        with suppress(BlobError):
            return await self._rag.image_bytes(sha256)
        name = library or self._shelf.get(sha256) or self._rag.settings.library
        if name:
            with suppress(BlobError):
                return await (await self._rag.wiring.library(name)).image_bytes(sha256)
        raise BlobError(
            f"there is no picture image://{sha256}: give an id from an earlier answer, and its library if it is of one"
        )

    def path(self, sha256: str) -> str | None:
        """The file of a run's picture, where there is one."""
        path = self._rag.wiring.blobs.path(sha256)
        return str(path) if path.exists() else None
