"""The port of models that describe images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from imagerag.agent.ports.generator import ImagePart
from imagerag.agent.ports.responses import ModelResponse
from imagerag.agent.types import DescriptionEstimate, SamplingParams


@dataclass(frozen=True, kw_only=True)
class ImageDescription(ModelResponse):
    """A model's description of an image, as the model gave it: untrusted text, bounded where it is stored.

    Attributes:
        text: one or two sentences.
        key_elements: what can be seen, a few words each, most important first.
        visible_text: writing in the image; empty where there is none.
        category: kind of picture, in a word or two: "product photo", "diagram".
        tags: single words or short names.
    """

    text: str
    key_elements: Sequence[str] = ()
    visible_text: str = ""
    category: str = ""
    tags: Sequence[str] = ()


class Describer(Protocol):
    """Describes images. Several images are described at the same time.

    Its `capabilities` are optional (see `Capabilities`): the `tariff` is its price.

    Attributes:
        identity: `provider:model`; stored with each description.
    """

    @property
    def identity(self) -> str: ...

    async def describe(self, image: ImagePart, *, variation: SamplingParams) -> ImageDescription:
        """Describe one image.

        Raises:
            RefusalError: content policy.
            BackendError: no response; `retryable` says whether a retry can help.
            JudgeReplyError: the response cannot be parsed.
        """
        ...


class DescriptionCalls(Protocol):
    """The calls of a describer, with what surrounds them: journal, budget, retries."""

    @property
    def model(self) -> str:
        """The describer's identity."""
        ...

    @property
    def cost_usd(self) -> float | None:
        """What the calls cost so far in US dollars; None where a price is not known."""
        ...

    @property
    def requests(self) -> int:
        """How often a model was called."""
        ...

    def estimate(self, images: int) -> DescriptionEstimate:
        """Calls and cost of describing a number of images; no model is called."""
        ...

    async def describe(self, sha256: str, image: ImagePart, *, attempt: int) -> ImageDescription:
        """Describe one image; the response to the same request is not paid for twice.

        Args:
            sha256: of the image in the library.
            attempt: how often its descriptions were cleared.

        Raises:
            RefusalError, BackendError, JudgeReplyError: as `Describer.describe`, after retries.
            BudgetExceededError: the call does not fit the budget.
        """
        ...
