"""The result of a human study, `imagerag.study/1`, that `eval study-results` prints."""

from math import isnan
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from imagerag.agent.types import FrozenModel


def _none_for_nan(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value


Figure = Annotated[float | None, BeforeValidator(_none_for_nan)]
"""A statistic; None where it cannot be computed."""


class ArmPreference(FrozenModel):
    """The raters' preference between two arms, for one question.

    Attributes:
        arm, base, same: numbers of votes.
        value: share of the votes for the arm, a "same" being half a vote; `low` and `high` its 95 % Wilson interval
            over the votes that were not "same".
        p: two-sided sign-flip test of "no preference" over the pairs, votes of one pair averaged first.
        kappa: Fleiss' kappa over pairs that several people rated.
    """

    question: str
    arm: int
    base: int
    same: int
    value: Figure
    low: Figure
    high: Figure
    p: Figure
    kappa: Figure
    raters: int
    pairs: int


class ContainedShare(FrozenModel):
    """The share of an arm's images in which raters see the object of the prompt.

    Attributes:
        yes, no, unsure: numbers of votes.
        value: share of the votes that say yes; `low` and `high` its 95 % Wilson interval. "Unsure" counts as no.
        kappa: Fleiss' kappa over images that several people rated.
    """

    arm: str
    yes: int
    no: int
    unsure: int
    value: Figure
    low: Figure
    high: Figure
    kappa: Figure
    raters: int
    images: int


class PairsStudy(FrozenModel):
    """The result of a study of pairs."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.study/1"] = Field(default="imagerag.study/1", alias="schema")
    arm: str
    base: str
    questions: tuple[ArmPreference, ...]


class AbsoluteStudy(FrozenModel):
    """The result of a study of one image at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.study/1"] = Field(default="imagerag.study/1", alias="schema")
    form: Literal["absolute"] = "absolute"
    arms: tuple[ContainedShare, ...]


StudyDocument = PairsStudy | AbsoluteStudy
