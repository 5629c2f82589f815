"""Text for the weights of a library's lists in a hybrid search."""

from typing import TYPE_CHECKING

from imagerag.cli.terminal.output import entry
from imagerag.formatting.numbers import counted, difference, percent

if TYPE_CHECKING:
    from imagerag.store.library.library_metadata import Fusion


def fusion_lines(fusion: "Fusion | None", name: str) -> list[str]:
    """The weights of the lists, and the evidence for them."""
    return entry("hybrid", fusion_text(fusion, name))


def fusion_text(fusion: "Fusion | None", name: str) -> str:
    """The weights of the lists in words."""
    if fusion is None:
        return f"its lists weigh alike: not measured yet: imagerag library calibrate {name}"
    if fusion.method == "equal":
        return (
            f"its lists weigh alike: too few names and captions of several sentences to weigh them "
            f"({counted(fusion.n_queries, 'query', 'queries')})"
        )
    of = counted(fusion.n_queries, "query", "queries")
    best = max(fusion.ndcg, key=lambda one: fusion.ndcg[one])
    if fusion.method == "single" or fusion.gain is None:
        return f"by {best} first, the others fill up: no mix is surely better ({of}; {_measured(fusion)})"
    low, high = fusion.gain
    weights = ", ".join(f"{one} {percent(weight)}" for one, weight in fusion.weights.items())
    return (
        f"weights {weights}: {difference(low)} to {difference(high)} better than {best} alone ({of}; "
        f"{_measured(fusion)})"
    )


def _measured(fusion: "Fusion") -> str:
    alone = ", ".join(f"{one} {value:.3f}" for one, value in fusion.ndcg.items())
    return f"nDCG {alone}, together {fusion.mixed_ndcg or 0.0:.3f}"
