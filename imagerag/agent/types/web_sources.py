"""Sources on the web that a generator's own model used."""

from typing import Annotated, Final

from pydantic import Field

from imagerag.agent.types.base import FrozenModel

MAX_SOURCES: Final = 20
"""Maximum number of web sources of an attempt."""
MAX_TITLE: Final = 200
MAX_URL: Final = 2_000

Link = Annotated[str, Field(max_length=MAX_URL, pattern=r"^(?:https?://[^\s\"'<>]+)?$")]
"""An http or https address without blanks, quotes and angle brackets, or nothing."""


class WebSource(FrozenModel):
    """A page or an image on the web that a generator's own model used. Nobody checked its licence.

    Attributes:
        title: of the page, in its author's words.
        page: address of the page.
        image: address of the image; empty for a page that was only read.
        domain: the site's name.
    """

    title: str = Field(default="", max_length=MAX_TITLE)
    page: Link = ""
    image: Link = ""
    domain: str = Field(default="", max_length=MAX_TITLE)

    @property
    def name(self) -> str:
        """Its title, else its site."""
        return self.title or self.domain or self.address

    @property
    def address(self) -> str:
        """The page, else the image."""
        return self.page or self.image

    def shown_address(self, limit: int) -> str:
        """The address, or the site where it is longer than `limit` characters: a link that was cut leads nowhere."""
        return self.address if len(self.address) <= limit else self.domain
