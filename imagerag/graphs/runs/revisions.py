"""Feedback that goes on from an image: which image is changed, and what the generator is told."""

from collections.abc import Sequence

from imagerag.agent.feedback import instruction
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, ImageRef, Revision, Subject, UsedReference


def revision_of(base: Attempt, record: RunRecord, subjects: Sequence[Subject], new: Sequence[str]) -> Revision:
    """The image to go on from, with what is to be changed in it; where only a part might change, that part still."""
    before = [record.revision] if record.revision else [own for own in subjects if own.intent == "edit"]
    mask = before[0].mask if before else None
    return Revision(
        image=base.image,
        mask=mask if mask and _size(mask) == _size(base.image) else None,
        instruction=instruction(base, record.concepts, new),
        references=tuple(one for one in references_in(base, record) if one.role == "reference"),
    )


def _size(image: ImageRef) -> tuple[int, int]:
    return image.width, image.height


def references_in(attempt: Attempt, record: RunRecord) -> list[UsedReference]:
    """What an image was drawn with, and what the image was drawn with that it changes."""
    changes = record.revision and any(one.selected_by == "parent_run" for one in attempt.references)
    return [*attempt.references, *(record.revision.references if record.revision and changes else ())]
