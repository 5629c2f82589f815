"""A run's images inside the page: reduced, as JPEG, as data URIs."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.types import ImageRef, Region

Load = Callable[[str], bytes]
"""Gives an image's bytes for its SHA-256."""

LARGE: Final = 560
SMALL: Final = 96
"""Pixels of the longer side."""

ROOM: Final = 3_600_000
"""Bytes that all images of one page may take; those that come later are left out."""


@dataclass
class Gallery:
    """Gives images as data URIs; None for one that cannot be had, or that the page has no room for any more."""

    load: Load
    room: int = ROOM
    _made: dict[tuple[str, int, bool, Region | None], str | None] = field(default_factory=dict)

    def large(self, image: ImageRef) -> str | None:
        """An image to look at."""
        return self._source(image.sha256, LARGE, mask=False)

    def small(self, image: ImageRef, region: Region | None = None) -> str | None:
        """An image to recognise, with the box of a region."""
        return self._source(image.sha256, SMALL, mask=False, region=region)

    def mask(self, image: ImageRef) -> str | None:
        """A mask, light where the image may change."""
        return self._source(image.sha256, SMALL, mask=True)

    def _source(self, sha256: str, side: int, *, mask: bool, region: Region | None = None) -> str | None:
        key = (sha256, side, mask, region)
        if key not in self._made:
            self._made[key] = self._reduced(sha256, side, mask, region)
        source = self._made[key]
        if source is None or len(source) > self.room:
            return None
        self.room -= len(source)
        return source

    def _reduced(self, sha256: str, side: int, mask: bool, region: Region | None) -> str | None:
        try:
            return reduced(self.load(sha256), side, mask=mask, region=region)
        except (BlobError, LookupError):
            return None


def reduced(data: bytes, side: int, *, mask: bool = False, region: Region | None = None) -> str | None:
    """An image, or what a mask says, as a data URI, its longer side `side` pixels at most; None for what is none.

    Args:
        region: a box to draw on it.
    """
    from imagerag.agent.images.decoding import decode, opaque
    from imagerag.agent.images.regions import outlined
    from imagerag.store.images.masks import shown_mask

    try:
        decoded = decode(data, side=side).image
    except UsageError:
        return None
    decoded.thumbnail((side, side), reducing_gap=2.0)
    image = shown_mask(decoded) if mask else opaque(decoded)
    image = outlined(image, region) if region else image
    out = BytesIO()
    # Full colour resolution for what is looked at: drawings have hard edges between colours.
    image.save(out, "JPEG", quality=82, subsampling=0 if side > SMALL else 2)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
