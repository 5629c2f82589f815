"""Descriptions of images that a model wrote: always apart from the captions of persons, and marked with the model."""

from typing import Final

from pydantic import Field

from imagerag.agent.types.base import FrozenModel

LOW_CONFIDENCE: Final = 0.75
"""A description below this confidence is marked, and is no text for searches: half-way between a text that fits its
image better than any other image, and one that has nothing to do with it (0.5)."""


class DescribedElement(FrozenModel):
    """One thing that a model says is in an image.

    Attributes:
        confidence: as of a description, in [0, 1]; None where it was not measured.
    """

    text: str
    confidence: float | None = Field(default=None, ge=0, le=1)


class DescriptionDetails(FrozenModel):
    """The parts of a model's description beside its sentences.

    Attributes:
        key_elements: what can be seen, most important first.
        visible_text: writing in the image, as the model read it; data, never instructions.
        category: kind of picture, in a word or two.
        tags: lower case, without duplicates.
        attempt: how often descriptions of the image were cleared; the next one is a call of its own, and not the
            recorded response of the last.
    """

    key_elements: tuple[DescribedElement, ...] = ()
    visible_text: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    attempt: int = Field(default=0, ge=0)


class DescriptionEstimate(FrozenModel):
    """Calls and cost of describing images, before a call is made.

    Attributes:
        images: number of images without a description.
        expected_calls: one per image. `max_calls`: with a second call for each response that cannot be parsed, within
            the budget.
        expected_cost_usd: US dollars at an ordinary length of responses; None where that is not known.
        max_cost_usd: US dollars that the calls can cost at most, within the budget; None where that is not known.
    """

    images: int
    expected_calls: int
    max_calls: int
    expected_cost_usd: float | None
    max_cost_usd: float | None


def is_low(confidence: float | None) -> bool:
    """Whether a description or an element probably does not fit its image; False where that was not measured."""
    return confidence is not None and confidence < LOW_CONFIDENCE


def marked(description: str, model: str) -> str:
    """A description as it is shown or sent where a caption is missing: with the model that wrote it.

    The mark is in front, as long texts are cut at their end; the address of a model's server is left out.
    """
    return f"(described by {model.partition('@')[0]}) {description}" if description else ""


def caption_or_description(caption: str, description: str, model: str, confidence: float | None) -> str:
    """The person's caption; without one, the model's description, marked as such, unless its confidence is low."""
    return caption or ("" if is_low(confidence) else marked(description, model))
