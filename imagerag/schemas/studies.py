"""Documents about blind studies with human raters."""

from typing import Literal

from pydantic import Field

from imagerag.schemas.base import Document


class Answers(Document):
    """What raters prefer, for one question of a study; None where a figure cannot be had."""

    question: str
    arm: int
    base: int
    same: int
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    kappa: float | None
    raters: int
    pairs: int


class PairsStudy(Document):
    """What `eval study-results` found in the raters' answers to pairs."""

    schema_name: Literal["imagerag.study/1"] = Field(default="imagerag.study/1", alias="schema")
    arm: str
    base: str
    questions: list[Answers]


class ContainedAnswers(Document):
    """In how many of an arm's pictures raters see what was asked for; None where a figure cannot be had."""

    arm: str
    yes: int
    no: int
    unsure: int
    value: float | None
    low: float | None
    high: float | None
    kappa: float | None
    raters: int
    pictures: int


class AbsoluteStudy(Document):
    """What `eval study-results` found in the raters' answers to one picture at a time."""

    schema_name: Literal["imagerag.study/1"] = Field(default="imagerag.study/1", alias="schema")
    form: Literal["absolute"]
    arms: list[ContainedAnswers]


StudyDocument = PairsStudy | AbsoluteStudy
