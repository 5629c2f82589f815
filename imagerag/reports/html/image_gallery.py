"""A run's pictures inside the page: reduced, as JPEG, as data URIs."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.types import ImageRef
from imagerag.reports.html.markup import Html, tag

Load = Callable[[str], bytes]
"""Gives an image's bytes for its SHA-256."""

LARGE: Final = 560
SMALL: Final = 96
"""Pixels of the longer side."""

ROOM: Final = 3_600_000
"""Bytes that all pictures of one page may take; those that come later are left out."""


@dataclass
class Gallery:
    """Makes `img` elements. An image that cannot be had is an empty frame that says so."""

    load: Load
    room: int = ROOM
    _made: dict[tuple[str, int, bool], str | None] = field(default_factory=dict)

    def large(self, image: ImageRef, told: str) -> Html:
        """A picture to look at; `told` is what a reader who cannot see it hears."""
        return self._element(image, LARGE, told)

    def small(self, image: ImageRef, told: str) -> Html:
        """A picture to recognise."""
        return self._element(image, SMALL, told)

    def mask(self, image: ImageRef, told: str) -> Html:
        """A mask, light where the picture may change."""
        return self._element(image, SMALL, told, mask=True)

    def _element(self, image: ImageRef, side: int, told: str, *, mask: bool = False) -> Html:
        source = self._source(image.sha256, side, mask)
        if source is None:
            return tag("span", tag("span", "picture not available"), class_="gone", role="img", aria_label=told)
        shape = {"width": str(image.width), "height": str(image.height)}
        return tag("img", src=source, alt=told, title=told, decoding="async", **shape)

    def _source(self, sha256: str, side: int, mask: bool) -> str | None:
        key = (sha256, side, mask)
        if key not in self._made:
            self._made[key] = self._reduced(sha256, side, mask)
        source = self._made[key]
        if source is None or len(source) > self.room:
            return None
        self.room -= len(source)
        return source

    def _reduced(self, sha256: str, side: int, mask: bool) -> str | None:
        try:
            return reduced(self.load(sha256), side, mask=mask)
        except (BlobError, LookupError):
            return None


def reduced(data: bytes, side: int, *, mask: bool = False) -> str | None:
    """A picture, or what a mask says, as a data URI, its longer side `side` pixels at most; None for what is none."""
    from imagerag.agent.images.decoding import decode, opaque
    from imagerag.store.images.masks import shown_mask

    try:
        picture = decode(data, side=side).image
    except UsageError:
        return None
    picture.thumbnail((side, side), reducing_gap=2.0)
    shown = shown_mask(picture) if mask else opaque(picture)
    out = BytesIO()
    # Full colour resolution for what is looked at: drawings have hard edges between colours.
    shown.save(out, "JPEG", quality=82, subsampling=0 if side > SMALL else 2)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
