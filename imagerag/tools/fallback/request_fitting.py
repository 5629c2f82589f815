"""Fit of a request to a generator that may take less of it than the one that it was made for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ImageGenerator, ImagePart, capabilities_of
from imagerag.agent.size_translation import nearest_size, size_for
from imagerag.agent.types import Size
from imagerag.formatting.numbers import counted


@dataclass(frozen=True)
class FittedRequest:
    """A request as one generator takes it.

    Attributes:
        references: those that are sent, without a mask where it takes none.
        size: in pixels; None leaves it to the generator.
        lost: what is not sent as it was asked for, one sentence each.
    """

    references: tuple[ImagePart, ...]
    size: Size | None
    lost: tuple[str, ...] = ()


def fitted_request(generator: ImageGenerator, references: Sequence[ImagePart], size: Size | None) -> FittedRequest:
    """The request for a generator: the first references that it takes, a mask if it takes one, the nearest size.

    A fallback among the members gets it all, and fits it to its own.
    """
    capabilities, identity = capabilities_of(generator), generator.identity
    if capabilities.members:
        return FittedRequest(tuple(references), size)
    fitting, lost = list(references[: generator.max_references]), []
    if len(fitting) < len(references):
        lost.append(f"{identity} takes {len(fitting)} of {counted(len(references), 'image')}")
    if fitting and fitting[0].mask is not None and not capabilities.takes_mask:
        fitting[0] = replace(fitting[0], mask=None)
        lost.append(f"{identity} takes no mask")
    try:
        fitted_size = size_for(generator, size)
    except UsageError:
        fitted_size = None if size is None else nearest_size(generator, size)
        lost.append(f"{identity} draws {fitted_size or 'its own size'} in place of {size}")
    return FittedRequest(tuple(fitting), fitted_size, tuple(lost))


def expected_losses(generator: ImageGenerator, size: Size | None, *, references: int, mask: bool) -> tuple[str, ...]:
    """What each further member of a fallback would lose of a run's requests, one sentence each.

    Args:
        references: images that may go with a prompt.
        mask: whether the first of them has one.
    """
    blank = ImagePart(data=b"", media_type="image/png")
    parts = [replace(blank, mask=b"" if mask and not number else None) for number in range(references)]
    further = capabilities_of(generator).members[1:]
    return tuple(lost for member in further for lost in fitted_request(member, parts, size).lost)
