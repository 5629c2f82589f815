"""Credits of images from the web: where each is, and what its licence forbids."""

from typing import Protocol


class Provenance(Protocol):
    """Where an image was found, as `imagerag.agent.types.WebProvenance`."""

    @property
    def service(self) -> str: ...
    @property
    def page(self) -> str: ...


def restrictions(licence: str) -> list[str]:
    """What a licence of Creative Commons forbids, by its name: commercial use, derivatives."""
    parts = licence.upper().split("-")
    return [text for part, text in (("NC", "no commercial use"), ("ND", "no derivatives")) if part in parts]


def licence_text(licence: str) -> str:
    """A licence, with what it forbids: `CC-BY-NC-4.0 (no commercial use)`."""
    forbidden = ", ".join(restrictions(licence))
    return f"{licence} ({forbidden})" if forbidden else licence


def page_of(web: Provenance | None) -> str:
    """The page of an image as a link that may be followed; empty where there is none."""
    page = web.page if web else ""
    return page if page.startswith(("https://", "http://")) else ""


def found_text(web: Provenance) -> str:
    """`found on the web by openverse: https://…`; a service may name no page."""
    return f"found on the web by {web.service}" + (f": {web.page}" if web.page else "")
