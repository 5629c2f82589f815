"""Metadata of the threshold for texts that list several things."""

from imagerag.agent.types import FrozenModel, Similarity


class ThingsThreshold(FrozenModel):
    """From which cosine on an image shows all things that a text lists, by the mean of the things and its regions.

    Attributes:
        accept_rate: share of lists in the library's own captions that reach `cosine` with an image that matches, in
            [0, 1].
        reject_rate: share of lists without a match that nothing reaches `cosine` for, in [0, 1].
        n_own, n_near: how many of each it was measured with.
    """

    cosine: Similarity
    accept_rate: float
    reject_rate: float
    n_own: int
    n_near: int
