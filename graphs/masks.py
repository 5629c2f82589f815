"""Whether a run's masks can be used, before anything is spent."""

from collections.abc import Sequence

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.ports import BlobStore, ImageGenerator, takes_mask
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Subject
from imagerag.store.masks import check_mask


async def check_kept_masks(generator: ImageGenerator, subjects: Sequence[Subject], blobs: BlobStore) -> None:
    """Check that the mask of a run that was made can be drawn with again: `check_masks`, and the mask itself.

    Raises:
        UsageError: it cannot.
    """
    check_masks(generator, subjects)
    if not subjects or subjects[0].mask is None:
        return
    try:
        mask, picture = await blobs.get(subjects[0].mask.sha256), await blobs.get(subjects[0].image.sha256)
    except BlobError as error:
        raise UsageError(f"the run's mask, or its subject, cannot be used again: {error}") from error
    await in_thread(check_mask, mask, picture)


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
