"""Responses of models, without bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from imagerag.agent.types import Concept, ImageRef, MaskCheck, Requirement, SamplingParams, Size, Verdict, WebSource


@dataclass(frozen=True, kw_only=True)
class ModelResponse:
    """A model's answer without bytes.

    Attributes:
        raw: its own words, where it used words.
        cost_usd: what it cost; None when the price is not known.
        usage: tokens by kind, as the service counted them.
        requests: how often the model was asked for it, votes included.
        variation: what was really asked with, where the model refused what was wanted.
        served_by: identity of the backend that answered, where it is another than was asked (a fallback).
        fallback_errors: why each backend asked before it did not.
    """

    raw: str = ""
    cost_usd: float | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    requests: int = 1
    variation: SamplingParams | None = None
    served_by: str = ""
    fallback_errors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GeneratedImageRef(ModelResponse):
    """A generator's response, its bytes in the blob store.

    Attributes:
        original: its own bytes, where `image` was made from them.
        mask: whether the first image's mask is held, where it has one.
        size, references_sent: as in `GeneratedImage`.
        sources: pages and images on the web that the model itself used.
    """

    image: ImageRef
    revised_prompt: str | None = None
    prompt: str | None = None
    original: ImageRef | None = None
    mask: MaskCheck | None = None
    size: Size | None = None
    references_sent: int | None = None
    sources: tuple[WebSource, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageCheck(ModelResponse):
    """Measured limit of a judge's images: at most `limit` in one request; None if all that were sent are taken."""

    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Critique(ModelResponse):
    """A verdict, and the checklist it was reached by (the run keeps the first one for good)."""

    verdict: Verdict
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MissingConcepts(ModelResponse):
    """The missing concepts that the judge named; empty when it could name none."""

    concepts: tuple[Concept, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Captions(ModelResponse):
    """One caption per concept asked for, in their order."""

    captions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preference(ModelResponse):
    """The image of two that fits the prompt better: "first", "second" or "neither" (a tie)."""

    better: Literal["first", "second", "neither"]


@dataclass(frozen=True, kw_only=True)
class Ranking(ModelResponse):
    """The candidates that fit, best first, as indices; those left out do not fit."""

    order: tuple[int, ...]
