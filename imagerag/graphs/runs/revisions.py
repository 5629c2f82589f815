"""Feedback that goes on from an image: which image is changed, and what the generator is told."""

from collections.abc import Sequence

from imagerag.agent.feedback import instruction
from imagerag.agent.run_record import RunRecord, references_within
from imagerag.agent.types import Attempt, ImageRef, Revision, Subject


def revision_of(base: Attempt, record: RunRecord, subjects: Sequence[Subject], new: Sequence[str]) -> Revision:
    """The image to go on from, with what is to be changed in it; where only a part might change, that part still."""
    before = [record.revision] if record.revision else [own for own in subjects if own.intent == "edit"]
    mask = before[0].mask if before else None
    return Revision(
        image=base.image,
        mask=mask if mask and _size(mask) == _size(base.image) else None,
        instruction=instruction(base, record.concepts, new),
        references=tuple(one for one in references_within(base, record.revision) if one.role == "reference"),
    )


def _size(image: ImageRef) -> tuple[int, int]:
    return image.width, image.height
