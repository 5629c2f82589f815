"""How often to ask, how hot, and how many steps a run can take at most."""

from collections.abc import Set as AbstractSet
from typing import Final

from imagerag.agent.ports import Lever
from imagerag.agent.types import RunConfig, SamplingParams

TEMPERATURES: Final = (0.0, 1 / 3, 5 / 6)
"""Sampling temperature of each try at naming the missing concepts (ImageRAG, section 3.2 and its released code)."""


def extraction_params(
    tried: int, honours: AbstractSet[Lever], *, seed: int, in_vain: tuple[str, ...] = ()
) -> SamplingParams:
    """The next try at naming the missing concepts: hotter, or where temperature is refused, reseeded and reworded.

    Args:
        tried: how often the judge was asked already, from 0.
        honours: the levers this judge answers to.
        seed: the run's seed.
        in_vain: what was searched for before, and is not to be named again.
    """
    if "temperature" in honours:
        return SamplingParams(
            attempt=tried, varied_parameter="temperature", temperature=TEMPERATURES[tried], in_vain=in_vain
        )
    if tried and honours:
        return SamplingParams(
            attempt=tried, varied_parameter="seed_and_wording", seed=seed + tried, prompt_variant=tried, in_vain=in_vain
        )
    return SamplingParams(attempt=tried, in_vain=in_vain)


def retries_left(tried: int, honours: AbstractSet[Lever]) -> bool:
    """Whether another try can help: a judge that honours no lever would only say the same again."""
    return bool(honours) and tried < len(TEMPERATURES)


def retries_counted(tried: int, honours: AbstractSet[Lever]) -> int:
    """How many tries count as made after `tried`: all of them where another could not help."""
    return tried if retries_left(tried, honours) else len(TEMPERATURES)


def recursion_limit(config: RunConfig, *, own: int = 0) -> int:
    """The most graph steps a run with these config can take: its recursion limit.

    A round is at most: each extraction try with captions, retrieve and shortlist, then retrieve with the prompt,
    shortlist, select, regenerate, critique. Before the first: one such retrieval (`start="retrieve"`), generate and
    critique; after the last, one more search that finds nothing, and finish. Each of the user's `own` nodes may work
    beside every one.
    """
    searching = len(TEMPERATURES) * (1 + 1 + 2) + 2 + 1
    return (searching + 2 + config.max_rounds * (searching + 2) + searching + 1) * (1 + own)
