"""Thumbnails of the pages that are looked at: those of a page are read in one query, and asked for one by one."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG

ROOM: Final = 32 * 2**20
"""Bytes that are kept at most: some thousand thumbnails."""


class ThumbnailCache:
    """Thumbnails of libraries by SHA-256: what is in an image never changes."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self.held_bytes = 0

    async def load(self, rag: "ImageRAG", library: str, ids: Sequence[str]) -> None:
        """Read those of a page that are not there, in one query."""
        lacking = [one for one in ids if one not in self._held]
        if lacking:
            for sha256, data in (await rag.libraries.thumbnails(lacking, library)).items():
                self._keep(sha256, data)

    async def get(self, rag: "ImageRAG", library: str, sha256: str) -> bytes | None:
        """One; None where the library has none."""
        if sha256 not in self._held:
            return (await rag.libraries.thumbnails([sha256], library)).get(sha256)
        self._held.move_to_end(sha256)
        return self._held[sha256]

    def _keep(self, sha256: str, data: bytes) -> None:
        self.held_bytes += len(data) - len(self._held.pop(sha256, b""))
        self._held[sha256] = data
        while self.held_bytes > self._room:
            self.held_bytes -= len(self._held.popitem(last=False)[1])
