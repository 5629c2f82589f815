"""Whether a run's own images and masks can be used as intended, before anything is spent."""

from collections.abc import Sequence

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.ports import BlobStore, ImageGenerator, can_edit, capabilities_of, members_of
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Subject
from imagerag.store.images.masks import check_mask


async def check_kept_masks(generator: ImageGenerator, subjects: Sequence[Subject], blobs: BlobStore) -> None:
    """Check that the mask of a run that was made can be drawn with again: `check_masks`, and the mask itself.

    Raises:
        UsageError: it cannot.
    """
    check_masks(generator, subjects)
    if not subjects or subjects[0].mask is None:
        return
    try:
        mask, original = await blobs.get(subjects[0].mask.sha256), await blobs.get(subjects[0].image.sha256)
    except BlobError as error:
        raise UsageError(f"the run's mask, or its subject, cannot be used again: {error}") from error
    await in_thread(check_mask, mask, original)


def check_masks(generator: ImageGenerator, subjects: Sequence[Subject]) -> None:
    """Check that the user's own images go together, and that the generator does with them what is intended.

    Raises:
        UsageError: several intents at once, a mask that is not the first image's, or a generator that cannot.
    """
    edited = [own for own in subjects if own.intent == "edit"]
    if edited and len(subjects) > 1:
        raise UsageError(one_intent(len(edited), len(subjects) - len(edited)))
    if any(subject.mask for subject in subjects[1:]):
        raise UsageError("only the first subject can have a mask: it is the image that is edited")
    if edited:
        check_edits(generator)
    if subjects and subjects[0].mask:
        check_takes_mask(generator)


def one_intent(edits: int, subjects: int) -> str:
    """Reason why images to edit and subjects cannot go together, with the remedy."""
    if edits > 1:
        return f"{edits} images are to be edited; name one at a time (`edit=FILE`)"
    return (
        f"one image is to be edited and {subjects} to appear in a new one: leave out `edit` or `subjects`; what is to "
        "be put into the image can come from a library"
    )


def check_edits(generator: ImageGenerator) -> None:
    """Check that a generator changes an image it is sent; a fallback does when all its members do.

    Raises:
        UsageError: it does not, with what to type.
    """
    without = [member for member in members_of(generator) if not can_edit(member)]
    if without:
        names = ", ".join(member.identity for member in without)
        declare = all(capabilities_of(member).edits_option for member in without)
        declared = "; if it can, say so in its spec (?edits=true)" if declare else ""
        raise UsageError(
            f"{names} cannot edit an image: name a generator that can (`generator=openai:gpt-image-2`, or "
            f"diffusers:flux-kontext), or let it appear in a new one: `subjects=FILE`{declared}"
        )


def check_draws(generator: ImageGenerator) -> None:
    """Check that a generator draws without an image to edit; a fallback does when all its members do.

    Raises:
        UsageError: it does not, with what to type.
    """
    without = ", ".join(member.identity for member in members_of(generator) if not capabilities_of(member).draws)
    if without:
        raise UsageError(f"{without} only edits images: name one (`edit=FILE`), or a generator that draws")


def check_takes_mask(generator: ImageGenerator) -> None:
    """Check that a generator takes a mask; of a fallback, that the first member does.

    Another member is sent none, which the record says; what it changes outside of the mask is put back all the same.

    Raises:
        UsageError: it does not.
    """
    first = members_of(generator)[0]
    if not capabilities_of(first).takes_mask:
        message = f"{first.identity} takes no mask: leave it out, or name a generator that does: openai:gpt-image-2"
        raise UsageError(message)
