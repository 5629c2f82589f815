"""In words: whether an edited picture stayed as it was outside its mask."""

from imagerag.agent.types import MaskCheck
from imagerag.formatting.numbers import percent


def mask_words(found: MaskCheck) -> str:
    """Whether a mask was held, and what the generator had changed outside of it."""
    changed = f"the generator had changed {percent(found.changed_outside)} of it"
    if not found.held:
        return f"The mask is not held: {found.reason}; outside of it {changed}."
    back = ", and that was put back" if found.changed_outside else ""
    return f"Outside the mask it is your picture, pixel by pixel: {changed}{back}."
