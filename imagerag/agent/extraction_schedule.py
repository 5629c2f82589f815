"""Number of extraction tries, their temperatures, and the recursion limit of a run."""

from collections.abc import Set as AbstractSet
from typing import Final

from imagerag.agent.ports import SamplingParameter
from imagerag.agent.types import RunConfig, SamplingParams

TEMPERATURES: Final = (0.0, 1 / 3, 5 / 6)
"""Sampling temperature of each try at naming the missing concepts (ImageRAG, section 3.2 and its released code)."""


def extraction_params(
    tried: int, honours: AbstractSet[SamplingParameter], *, seed: int, failed: tuple[str, ...] = ()
) -> SamplingParams:
    """The next try at naming the missing concepts: hotter, or where temperature is refused, reseeded and reworded.

    Args:
        tried: how often the judge was asked already, from 0.
        honours: the parameters of a request that change what this judge answers.
        seed: the run's seed.
        failed: what was searched for before, and is not to be named again.
    """
    if "temperature" in honours:
        return SamplingParams(
            attempt=tried,
            varied_parameter="temperature",
            temperature=TEMPERATURES[tried],
            failed_searches=failed,
        )
    if tried and honours:
        return SamplingParams(
            attempt=tried,
            varied_parameter="seed_and_wording",
            seed=seed + tried,
            prompt_variant=tried,
            failed_searches=failed,
        )
    return SamplingParams(attempt=tried, failed_searches=failed)


def retries_left(tried: int, honours: AbstractSet[SamplingParameter]) -> bool:
    """Whether another try can help: a judge that honours no parameter would give the same answer again."""
    return bool(honours) and tried < len(TEMPERATURES)


def retries_counted(tried: int, honours: AbstractSet[SamplingParameter]) -> int:
    """Number of tries that count as made after `tried`: all of them where another could not help."""
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
