"""Whether a run's masks can be used, before anything is spent."""

from collections.abc import Sequence

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ImageGenerator, takes_mask
from imagerag.agent.types import Subject


def check_masks(generator: ImageGenerator, subjects: Sequence[Subject]) -> None:
    """Check that a mask is the first subject's, and that the generator takes one.

    Raises:
        UsageError: one of these does not hold.
    """
    if any(subject.mask for subject in subjects[1:]):
        raise UsageError("only the first subject can have a mask: it is the picture that is edited")
    if subjects and subjects[0].mask:
        check_takes_mask(generator)


def check_takes_mask(generator: ImageGenerator) -> None:
    """Check that a generator takes a mask; a cascade does when all its members do.

    Raises:
        UsageError: it does not.
    """
    members: Sequence[ImageGenerator] = getattr(generator, "members", (generator,))
    without = ", ".join(member.identity for member in members if not takes_mask(member))
    if without:
        raise UsageError(f"{without} takes no mask: leave it out, or name a generator that does: openai:gpt-image-2")
