"""How well the confidence of descriptions tells right from wrong: measured on a library's own captions.

    python -m imagerag.evals.description_confidence LIBRARY

The caption of an image stands for a right description of it, the caption of another image for a wrong one. Nothing is
written. Captions that two images share are left out: they are no wrong description of either.
"""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir
from imagerag.store.library.description_check import DescriptionCheck
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord

CAPTIONS: Final = 500
"""Captions that are measured at most, the first ones by the SHA-256 of their images."""


@dataclass(frozen=True, kw_only=True)
class ConfidenceCheck:
    """Result of the measurement.

    Attributes:
        captions: number of captions.
        right_low: right descriptions whose confidence is low.
        wrong_low: wrong descriptions whose confidence is low.
    """

    captions: int
    right_low: int
    wrong_low: int


async def measure(library: Library) -> ConfidenceCheck:
    """Measure both with the library's encoder.

    Raises:
        UsageError: fewer than two images have a caption of their own.
    """
    rows = [row for row in await library.rows() if row.caption]
    counts = Counter(row.caption for row in rows)
    own = [row for row in rows if counts[row.caption] == 1][:CAPTIONS]
    if len(own) < 2:
        raise UsageError(f"library {library.name!r} has fewer than two images with a caption of their own")
    others = [*own[1:], own[0]]
    check = DescriptionCheck(library)
    right = await check.checked([_with(row, row.caption) for row in own])
    wrong = await check.checked([_with(row, other.caption) for row, other in zip(own, others, strict=True)])
    return ConfidenceCheck(
        captions=len(own),
        right_low=sum(row.has_low_confidence for row in right),
        wrong_low=sum(row.has_low_confidence for row in wrong),
    )


def _with(row: ImageRecord, text: str) -> ImageRecord:
    return replace(row, description=text, description_details=None)


async def _measure(name: str) -> ConfidenceCheck:
    return await measure(await Dependencies(DataDir.find(None)).open_library(name))


def main() -> int:
    """Print the figures."""
    counts = asyncio.run(_measure(sys.argv[1]))
    print(f"{counts.captions} captions")
    print(f"low confidence with their own image: {counts.right_low} ({counts.right_low / counts.captions:.1%})")
    print(f"low confidence with another image: {counts.wrong_low} ({counts.wrong_low / counts.captions:.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
