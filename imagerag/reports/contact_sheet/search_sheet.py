"""The sheet of a search: the query, and every image that was found, with its similarity, caption, licence and file.

A pure function of the search's document (`imagerag.search/1`) and of the images it names.
"""

from typing import TYPE_CHECKING, Final

from PIL import Image

from imagerag.formatting.numbers import counted
from imagerag.formatting.text import image_name
from imagerag.reports.contact_sheet.canvas import Canvas
from imagerag.reports.contact_sheet.layout import (
    INK,
    INNER,
    MARGIN,
    MUTED,
    PAPER,
    Gallery,
    Load,
    Page,
    render_page,
    similarity_span,
)
from imagerag.reports.search_text import (
    caption_of,
    contributions,
    cosine_of,
    creator_and_licence,
    file_of,
    in_image,
    limit_of,
    lists,
    query_text,
    searched,
)

if TYPE_CHECKING:
    from imagerag.schemas.searches import SearchDocument, SearchResult

COLUMNS: Final = 6
GUTTER: Final = 20
SIDE: Final = (INNER - (COLUMNS - 1) * GUTTER) / COLUMNS
"""The side of an image; thumbnails have not many more pixels."""
SHOWN: Final = 60
"""Images on one sheet; the document has them all."""
TERMS: Final = 6
"""Terms whose contribution is written below an image."""


def search_sheet(search: "SearchDocument", load: Load) -> Image.Image:
    """Draw the sheet of a search.

    Args:
        load: gives an image's bytes for its SHA-256; an image it cannot give is shown as an empty frame.

    Returns:
        An RGB image, 2400 pixels wide and as high as it needs to be.
    """
    gallery = Gallery(load)
    return render_page(lambda canvas: _Sheet(search, gallery, canvas).draw())


class _Sheet(Page):
    capitals = 12.0

    def __init__(self, search: "SearchDocument", gallery: Gallery, canvas: Canvas) -> None:
        super().__init__(gallery, canvas)
        self.search = search
        limits = [limit_of(search, one) for one in search.results]
        self.span = similarity_span([*(cosine_of(search, one) for one in search.results), *limits])

    def draw(self) -> float:
        """Draw everything; gives the height."""
        results = self.search.results
        y = self.heading(MARGIN, MARGIN - 8, "search")
        y = self.canvas.text(MARGIN - 1, y - 2, query_text(self.search), 30, INK, width=INNER, lines=3, bold=True)
        y = self.canvas.text(MARGIN, y + 8, searched(self.search), 15, MUTED, width=INNER, lines=3) + 30
        y = self.grid(results[:SHOWN], self._card, y, columns=COLUMNS, step=SIDE + GUTTER, count=len(results))
        if not results:
            y = self.canvas.text(MARGIN, y, self.search.no_match or "Nothing was found.", 15, MUTED, width=INNER) + 20
        text = f"library {self.search.library} · {counted(len(results), 'image')}"
        return self.footer(y + 8, text) + 36

    def _card(self, one: "SearchResult", x: float, y: float) -> float:
        strong = one.accepted is True
        veil = PAPER if one.accepted is False else None
        self.image(one.id, x, y, SIDE, radius=9, veil=veil, region=one.region)
        reached, limit = cosine_of(self.search, one), limit_of(self.search, one)
        y = self.bar(reached, limit, x, y + SIDE + 12, SIDE, span=self.span, strong=strong)
        y = self.canvas.text(x, y + 6, image_name(one.title, one.id), 14, INK, width=SIDE, lines=2, bold=strong)
        for share in [*contributions(one)[:TERMS], *lists(one)]:
            y = self.canvas.text(x, y + 1, share, 12, MUTED, width=SIDE, lines=2)
        caption = caption_of(one)
        if caption and caption != one.title:
            y = self.canvas.text(x, y + 1, caption, 12.5, INK, width=SIDE, lines=3)
        for words in (in_image(one), creator_and_licence(one), file_of(one)):
            if words:
                y = self.canvas.text(x, y + 1, words, 11.5, MUTED, width=SIDE, lines=2)
        return y
