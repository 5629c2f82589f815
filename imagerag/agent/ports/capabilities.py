"""Optional capabilities of the objects behind the ports."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports.prices import PriceEstimator
from imagerag.agent.ports.size_rules import ANY_SIZE, SizeRules

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """The optional attribute `capabilities` of a generator, judge, answerer, reranker or embedder.

    An object without it has the defaults. It may be a property: what an adapter learns of its model can change it.

    Attributes:
        tariff: what is known of its prices; None is an unknown price, which is never taken for zero.
        supports_seed: the same seed gives the same image (generators).
        edits: it changes an image that it is sent (generators); None: it does where it takes images at all.
        edits_option: the option `edits` of its spec can declare that it edits (generators).
        draws: it draws without an image to edit (generators).
        takes_mask: the first image sent may have a mask (generators).
        size_rules: limits of its sizes, where its `sizes` are None (generators).
        sees_references: it is shown all images that the judged one was drawn with, not only the user's own (judges).
        max_images: images in one request at most, the judged one included (judges); None is any number.
        takes_feedback: it adds the prompt's own requirements to a checklist that has only feedback (judges).
        takes_language: it writes captions in a language that it is given (judges).
        votes: responses that one call can request (judges).
        needs_images: it reads pixels (answerers, rerankers).
        asks_model: it asks a model about words alone (rerankers). Calls of such a reranker, and of one that reads
            pixels, are journalled and counted as model calls.
        takes_images: it takes the images of a question (answerers).
        embeds_images: it gives images vectors in the same space as texts (embedders); without it, it cannot serve a
            library of images, and is refused before anything is encoded.
        members: the backends of a fallback, the preferred one first; empty for a single backend.
    """

    tariff: PriceEstimator | None = None
    supports_seed: bool = False
    edits: bool | None = None
    edits_option: bool = False
    draws: bool = True
    takes_mask: bool = False
    size_rules: SizeRules = ANY_SIZE
    sees_references: bool = False
    max_images: int | None = None
    takes_feedback: bool = False
    takes_language: bool = False
    votes: int = 1
    needs_images: bool = False
    asks_model: bool = False
    takes_images: bool = False
    embeds_images: bool = True
    members: "tuple[Any, ...]" = ()


_DEFAULT: Final = Capabilities()


def capabilities_of(port: object) -> Capabilities:
    """The capabilities of a port's object; the defaults where it names none."""
    declared = getattr(port, "capabilities", _DEFAULT)
    return declared if isinstance(declared, Capabilities) else _DEFAULT


def reranks_by_model(reranker: object) -> bool:
    """Whether each search of a reranker is a call of a model, which is journalled and counted."""
    capabilities = capabilities_of(reranker)
    return capabilities.needs_images or capabilities.asks_model


def members_of(port: object) -> "Sequence[Any]":
    """The backends of a fallback; for a single backend, the object itself."""
    return capabilities_of(port).members or (port,)


def can_edit(generator: object) -> bool:
    """Whether a generator edits images. Without a capability of that name it does, where it takes images at all."""
    edits = capabilities_of(generator).edits
    return bool(getattr(generator, "max_references", 0)) if edits is None else edits
