"""Sections of the sketch suite that check the product's parts one by one, and the targets of their figures.

`retrieval` checks the encoder, `judge` the judge, `loop` the whole graph, `threshold` calibration: each as a run uses
it, on cases that are not in the training data. With the defaults it takes about six minutes of processor time.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from imagerag.evals.check_record import Check, Target
from imagerag.evals.sketch.context import CheckContext
from imagerag.evals.sketch.judge import check_judge
from imagerag.evals.sketch.loop import check_loop
from imagerag.evals.sketch.retrieval import check_retrieval
from imagerag.evals.sketch.threshold import check_threshold
from imagerag.evals.suites.sketch import CHECK_SIZES

SECTIONS: Final[Mapping[str, Callable[[CheckContext], AsyncIterator[Check]]]] = {
    "retrieval": check_retrieval,
    "judge": check_judge,
    "loop": check_loop,
    "threshold": check_threshold,
}

TARGETS: Final[Mapping[str, Target]] = {
    "retrieval.r@1": Target(value=0.97),
    "retrieval.r@5": Target(value=0.995),
    "retrieval.swapped": Target(value=0.98),
    "judge.type_1": Target(value=0.97),
    "judge.type_2": Target(value=0.97),
    "judge.type_3": Target(value=0.97),
    "judge.type_2.named": Target(value=0.95),
    "loop.held.aligned": Target(value=0.95),
    "loop.absent.aligned": Target(limit="at_most", value=0.02),
    "loop.false_success": Target(limit="at_most", value=0.02),
    "loop.known.no_search": Target(value=0.95),
    **{f"threshold.{size}.accepts": Target(value=0.90) for size in CHECK_SIZES},
    **{f"threshold.{size}.rejects": Target(value=0.95) for size in CHECK_SIZES},
    **{f"threshold.regions.{size}.accepts": Target(value=0.95) for size in CHECK_SIZES},
    **{f"threshold.regions.{size}.rejects": Target(value=0.95) for size in CHECK_SIZES},
    **{f"threshold.regions.{size}.rejects.near_list": Target(value=0.95) for size in CHECK_SIZES},
}
