"""Images as resources: `image://{sha256}` gives the bytes, and what they are; with `?side=PIXELS`, a small copy."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from mcp.server import MCPServer
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp_types import InputRequiredResult

from imagerag.agent.errors import BlobError

SmallImage = Callable[[str, int], Awaitable[bytes]]

_SMALL: Final = re.compile(r"image://([0-9a-f]{64})\?side=([0-9]{2,4})")
_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"BM": "image/bmp"}


class ImageServer(MCPServer[None]):
    """A server whose resources are images: each is told with its own media type, not with the template's.

    Attributes:
        small_image: gives a small copy of an image; raises `BlobError` when there is none.
    """

    small_image: SmallImage | None = None

    async def read_resource(
        self, uri: Any, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """The bytes of an image."""
        if self.small_image and (match := _SMALL.fullmatch(str(uri))):
            data = await _bytes_or_not_found(self.small_image(match[1], int(match[2])))
            return [ReadResourceContents(content=data, mime_type=media_type(data))]
        contents = await super().read_resource(uri, context)
        if isinstance(contents, InputRequiredResult):
            return contents
        return [
            ReadResourceContents(content=each.content, mime_type=media_type(each.content), meta=each.meta)
            if isinstance(each.content, bytes)
            else each
            for each in contents
        ]


async def _bytes_or_not_found(image: Awaitable[bytes]) -> bytes:
    try:
        return await image
    except BlobError as error:
        raise ResourceNotFoundError(str(error)) from error


def serve_images(server: ImageServer, get: Callable[[str], Awaitable[bytes]], small: SmallImage) -> None:
    """Offer images by their SHA-256.

    Args:
        get: the bytes of an image; raises `BlobError` when there is none.
        small: a copy of it with at most so many pixels on its longer side, likewise.
    """
    server.small_image = small

    @server.resource(
        "image://{sha256}",
        name="image",
        title="An image of a run or of a library",
        description="The bytes of an image, by the SHA-256 that answers name it by.",
        mime_type="image/*",
    )
    async def image(sha256: str) -> bytes:
        return await _bytes_or_not_found(get(sha256))


def media_type(data: bytes) -> str:
    """The media type of an image, by its first bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), "image/tiff")
