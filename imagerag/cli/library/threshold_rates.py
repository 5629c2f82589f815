"""Error rates of thresholds as text."""

from typing import TYPE_CHECKING, Final

from imagerag.formatting.numbers import cosine, percent, percentile

if TYPE_CHECKING:
    from imagerag.store.library.library_metadata import Threshold
    from imagerag.store.library.things_metadata import ThingsThreshold

NOT_MEASURED: Final = "error rates not measured"
"""Of a library that an earlier version calibrated."""


def accepted(threshold: "Threshold") -> str:
    """The share of own captions that the threshold accepts."""
    if threshold.accept_rate is None:
        return "not measured: there are no captions"
    return f"{percent(threshold.accept_rate)} of single things that captions name reach it"


def rejected(threshold: "Threshold") -> str:
    """The shares of captions without a match that the threshold rejects."""
    hard = ""
    if threshold.reject_rate is None:
        hard = "; of nearly matching ones not measured"
    elif threshold.near_reject_rate is not None:
        hard = f", {percent(threshold.near_reject_rate)} of nearly matching ones"
    return f"{percentile(threshold.percentile)} of captions that no image here fits score lower{hard}"


def list_rates(things: "ThingsThreshold") -> str:
    """The threshold of texts that list several things, and its rates."""
    rates = f"{percent(things.accept_rate)} of lists that captions name reach it"
    return f"cosine {cosine(things.cosine)} for several things; {rates}, {percent(things.reject_rate)} of others do not"


def between_images(accept: float | None, reject: float | None) -> str:
    """The rates of a threshold between images."""
    if accept is None or reject is None:
        return NOT_MEASURED
    return f"accepts {percent(accept)} of views, rejects {percent(reject)} of other images"
