"""Metadata of a hybrid search: the weights of its lists, and the threshold of what it finds."""

from typing import Literal

from pydantic import AwareDatetime, Field

from imagerag.agent.types import FrozenModel, ListName, Similarity


class FusedThreshold(FrozenModel):
    """From when on a result of a hybrid search counts: by the cosine of its image, or by that of its caption.

    Attributes:
        image: cosine between the query and the image from which on it counts; None where it does not decide.
        caption: the same of its caption. Both None: the encoders cannot tell these images apart.
        accept_rate: share of queries with a match whose match counts, in [0, 1], on queries that it was not measured
            with.
        reject_rate: the same of queries without a match for which nothing counts.
        n_own, n_near, n_unrelated: how many queries with a match, hard negatives and unrelated captions there were.
    """

    image: Similarity | None
    caption: Similarity | None
    accept_rate: float
    reject_rate: float
    n_own: int
    n_near: int
    n_unrelated: int


FusionMethod = Literal["mixed", "single", "equal"]


class Fusion(FrozenModel):
    """How the lists of a hybrid search are weighed, and the evidence for it.

    Attributes:
        weights: list → its share of all weight; the sum is 1.
        method: "mixed" when a mix is surely better than each list alone, "single" when one list is surely better than
            all together, "equal" when neither is, or there were too few queries to tell.
        n_queries: names and held-out sentences that the lists were asked for.
        ndcg: list → mean discounted gain of the images that the queries are about, in [0, 1]; empty without evidence.
        fused_ndcg: the same with these weights; of a mix, cross-validated.
        gain: 95 % interval of its difference to the best list alone.
        threshold: of what a hybrid search finds; None without vectors of captions, or with too few captions.
        images: how many images the library held when it was calibrated.
    """

    weights: dict[ListName, float]
    method: FusionMethod
    n_queries: int = 0
    ndcg: dict[ListName, float] = Field(default_factory=dict)
    fused_ndcg: float | None = None
    gain: tuple[float, float] | None = None
    threshold: FusedThreshold | None = None
    images: int
    calibrated: AwareDatetime
