"""What an object behind a port can do beside what its protocol asks for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports.prices import PriceEstimator

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """The optional attribute `capabilities` of a generator, judge, answerer or reranker.

    An object without it has the defaults. It may be a property: what an adapter learns of its model can change it.

    Attributes:
        tariff: what is known of its prices; None is an unknown price, which is never taken for zero.
        supports_seed: the same seed gives the same picture (generators).
        edits: it changes a picture that it is sent (generators); None says that it may be asked to, where it takes
            pictures at all.
        takes_mask: the first image sent may have a mask (generators).
        sees_references: it is shown all images that the judged one was drawn with, not only the user's own (judges).
        max_images: how many images it can be shown at once, the judged one included (judges); None is any number.
        votes: how many answers one call can ask its model for (judges).
        needs_images: it wants pixels (answerers, rerankers); a reranker that does asks a model, so that its calls are
            journalled and counted as every model's.
        takes_pictures: it can be shown the pictures that a question comes with (answerers).
        members: the backends of a fallback, the preferred one first; empty for a single backend.
    """

    tariff: PriceEstimator | None = None
    supports_seed: bool = False
    edits: bool | None = None
    takes_mask: bool = False
    sees_references: bool = False
    max_images: int | None = None
    votes: int = 1
    needs_images: bool = False
    takes_pictures: bool = False
    members: "tuple[Any, ...]" = ()


_DEFAULT: Final = Capabilities()


def capabilities_of(port: object) -> Capabilities:
    """What a port's object says of itself; the defaults where it says nothing."""
    said = getattr(port, "capabilities", _DEFAULT)
    return said if isinstance(said, Capabilities) else _DEFAULT


def members_of(port: object) -> "Sequence[Any]":
    """The backends of a fallback, each of them; the object itself where it is a single one."""
    return capabilities_of(port).members or (port,)


def can_edit(generator: object) -> bool:
    """Whether a generator changes a picture it is sent. One that does not say does, where it takes pictures at all."""
    said = capabilities_of(generator).edits
    return bool(getattr(generator, "max_references", 0)) if said is None else said
