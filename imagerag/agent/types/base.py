"""The base class of all values of a run, and the values that others are made of."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


MAX_COSINE: Final = 1.001
"""A cosine that was computed in float32 may exceed 1 a little."""

Similarity = Annotated[float, Field(ge=-MAX_COSINE, le=MAX_COSINE)]


Scalar = str | int | float | bool | None


class FrozenModel(BaseModel):
    """Base of every value in the state: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(BaseModel):
    """A JSON document or a part of one: no unknown fields."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, json_schema_serialization_defaults_required=True)

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)


def earlier_names(**names: str) -> Any:
    """Make a validator that reads what earlier versions wrote: the same values under other names.

    Used in the body of a model: `_earlier = earlier_names(old="new")`.

    Args:
        names: the earlier name of each renamed field, with its name now.
    """

    def rename(cls: type[BaseModel], data: Any) -> Any:
        if isinstance(data, Mapping) and not names.keys().isdisjoint(data):
            return {names.get(name, name): value for name, value in data.items()}
        return data

    return model_validator(mode="before")(classmethod(rename))  # type: ignore[arg-type]


class ImageRef(FrozenModel):
    """An image by its content: SHA-256 of the bytes, media type, width and height in pixels."""

    sha256: Sha256
    media_type: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)


SHORTEST_SIDE, LONGEST_SIDE = 16, 16_384
"""Pixels: the largest images of hosted services are 12288 wide."""


class Size(FrozenModel):
    """An image size in pixels."""

    width: int = Field(ge=SHORTEST_SIDE, le=LONGEST_SIDE)
    height: int = Field(ge=SHORTEST_SIDE, le=LONGEST_SIDE)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class SamplingParams(FrozenModel):
    """Parameters by which a retry differs from the request before.

    Attributes:
        attempt: 0 for the first ask, counting up.
        varied_parameter: nothing, the temperature, or seed and wording where a model refuses temperature.
        temperature: sampling temperature in [0, 2]; None leaves the model's default.
        seed: seed for backends that honour one.
        prompt_variant: which of the prompt's wordings to use, 0 the first.
        failed_searches: concepts or captions of earlier searches that found nothing usable, and are not to be repeated.
    """

    attempt: int = Field(default=0, ge=0)
    varied_parameter: Literal["none", "temperature", "seed_and_wording"] = "none"
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = None
    prompt_variant: int = Field(default=0, ge=0)
    failed_searches: tuple[str, ...] = ()

    _earlier = earlier_names(lever="varied_parameter", wording="prompt_variant", in_vain="failed_searches")


class Progress(FrozenModel):
    """Progress of a generation: steps of a pipeline in this process, or partial images of a service.

    Attributes:
        step: number of the step, from 1.
        of: number of steps; 0 when it is not known.
        image: the partial image, where there is one.
    """

    step: int = Field(ge=0)
    of: int = Field(default=0, ge=0)
    image: ImageRef | None = None
