"""Text for the weights of a library's lists in a hybrid search."""

from typing import TYPE_CHECKING

from imagerag.cli.terminal.output import entry
from imagerag.formatting.numbers import cosine, counted, difference, percent

if TYPE_CHECKING:
    from imagerag.store.library.fusion_metadata import FusedThreshold, Fusion


def fusion_lines(fusion: "Fusion | None", name: str) -> list[str]:
    """The weights of the lists and the threshold of what they find, and the evidence for them."""
    lines, threshold = entry("hybrid", fusion_text(fusion, name)), fusion.threshold if fusion else None
    return [*lines, *entry("", threshold_text(threshold))] if threshold else lines


def threshold_text(fused: "FusedThreshold") -> str:
    """The threshold of a hybrid search with its error rates, or why none is claimed."""
    rates = (
        f"{percent(fused.accept_rate)} of what fits is accepted, {percent(fused.reject_rate)} of the rest rejected; "
        f"measured with {fused.n_own} phrases of captions, {fused.n_near} hard negative and {fused.n_unrelated} "
        f"unrelated captions"
    )
    cosines = {"image": fused.image, "caption": fused.caption}
    ways = [f"{of} cosine {cosine(one)}" for of, one in cosines.items() if one is not None]
    if not ways:
        return f"no threshold of its own: the encoders cannot tell these images apart ({rates})"
    return f"accepts from {' or '.join(ways)}: {rates}"


def fusion_text(fusion: "Fusion | None", name: str) -> str:
    """The weights of the lists in words."""
    if fusion is None:
        return f"its lists weigh alike: not measured yet: imagerag library calibrate {name}"
    if fusion.gain is None:
        return "its lists weigh alike: it has too few names and captions of several sentences to measure with"
    best, (low, high) = max(fusion.ndcg, key=lambda one: fusion.ndcg[one]), fusion.gain
    weights = ", ".join(f"{one} {percent(weight)}" for one, weight in fusion.weights.items())
    how = {
        "mixed": f"weights {weights}",
        "single": f"by {best} first, the others fill up",
        "equal": "its lists weigh alike: no weights are surely better",
    }[fusion.method]
    alone = ", ".join(f"{one} {value:.3f}" for one, value in fusion.ndcg.items())
    against = "" if fusion.method == "single" else f", {difference(low)} to {difference(high)} against {best} alone"
    queries = counted(fusion.n_queries, "query", "queries")
    return f"{how}; nDCG of {queries}: {alone}, together {fusion.fused_ndcg or 0.0:.3f}{against}"
