"""Provenance of images from the web."""

from imagerag.agent.types.base import FrozenModel


class WebProvenance(FrozenModel):
    """Where an image from the web was found; its title, author and licence are the image's own fields.

    Attributes:
        service: the search service, for instance "openverse".
        page: the page it is on, an http or https address.
        url: the address its bytes were fetched from.
        licence_url: the text of its licence, an http or https address; empty when it is not known.
        fetched_at: when, as an ISO 8601 time.
    """

    service: str
    page: str
    url: str
    licence_url: str = ""
    fetched_at: str = ""


class RejectedImage(FrozenModel):
    """A result of a search service that was not let in.

    Attributes:
        address: of the image, without its query; of limited length.
    """

    title: str = ""
    address: str = ""
    reason: str


class WebSearch(FrozenModel):
    """One search of the web.

    Attributes:
        library: the library that made it, for instance "web:openverse".
        words: what was sent to the service.
        fetched: number of images that were let in; they are candidates.
        downloaded_bytes: what was read of images.
        error: why the service gave no results; empty when it did.
    """

    library: str
    words: str
    fetched: int = 0
    rejected: tuple[RejectedImage, ...] = ()
    downloaded_bytes: int = 0
    error: str = ""
