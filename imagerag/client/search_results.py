"""Search results: a list that shows its images in a notebook."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from imagerag.agent.ports import Hit, SearchTerm
from imagerag.formatting.text import image_name

if TYPE_CHECKING:
    from imagerag.store.data_dir import DataDir

SHOWN = 24
"""Images at most in a notebook."""


class Hits(list[Hit]):
    """The images that a search returned, best first.

    Attributes:
        library: the name of the library, or of the libraries, that were searched.
        terms: what was searched with, as it was read; where there are several, each hit says what they contributed.
        by: what was compared with the query, the images or their captions.
        searched_with: the words that the encoder was asked with instead of the query's.
        service_errors: why services on the web that had to be asked as well gave no images.
        no_match: why the filter lets nothing through, where that is so: what the library holds instead.
    """

    def __init__(
        self,
        hits: Iterable[Hit],
        *,
        library: str,
        home: "DataDir",
        terms: Sequence[SearchTerm] = (),
        searched_with: Sequence[str] = (),
        by: Literal["images", "captions"] = "images",
        no_match: str = "",
        service_errors: Sequence[str] = (),
    ) -> None:
        super().__init__(hits)
        self.library = library
        self.terms = tuple(terms)
        self.by = by
        self.searched_with = tuple(searched_with)
        self.no_match = no_match
        self.service_errors = tuple(service_errors)
        self._home = home

    def _cosine(self, hit: Hit) -> float:
        """What a hit was ranked by."""
        return hit.similarity if self.by == "images" or hit.caption_similarity is None else hit.caption_similarity

    def _repr_html_(self) -> str:
        """HTML for notebooks: thumbnails with names and similarities."""
        from imagerag.agent.notebook_display import row, tile
        from imagerag.store.library.thumbnails import thumbnails

        first = self[:SHOWN]
        small = thumbnails(self._home, self.library, [hit.image.sha256 for hit in first])
        tiles = [
            tile(small.get(hit.image.sha256), "image/webp",
                 image_name(hit.title or hit.caption_or_description, hit.image.sha256), self._cosine(hit))
            for hit in first
        ]  # fmt: skip
        return row(tiles) if tiles else "<i>nothing was found</i>"
