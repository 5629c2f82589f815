"""The gain by library size, measured with nested random parts of one library (ImageRAG, figure 16).

Every part lies within the next larger one, so that a gain comes from more images and not from other ones. The seed
decides the order of the images. Each part is calibrated separately, like a library of that size.
"""

import re
from collections.abc import Sequence
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.search_queries import AT
from imagerag.evals.harness.arms import Arm, parse_arms
from imagerag.evals.harness.plan import Plan
from imagerag.evals.suites.case import LibraryRecipe
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.formatting.numbers import counted

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM]?)")
_NAMED: Final = 60
"""Characters of a library's name in the names of its parts, which have at most 100."""

_TIMES: Final = {"": 1, "k": 1000, "m": 1_000_000}


def sizes_of(text: str, count: int, library: str) -> list[int]:
    """Parse a list of sizes, ascending and limited to the size of the library; `all` is the whole library.

    Raises:
        UsageError: an invalid size, or fewer than two sizes are left.
    """
    sizes: set[int] = set()
    for part in (part.strip() for part in text.split(",") if part.strip()):
        if part.lower() == "all":
            sizes.add(count)
            continue
        number = _SIZE.fullmatch(part)
        size = round(float(number[1]) * _TIMES[number[2].lower()]) if number else 0
        if not size:
            raise UsageError(f"`sizes={text}`: {part!r} is no size; write for instance 1k,10k,all")
        if size <= count:
            sizes.add(size)
    if len(sizes) < 2:
        shortage = f"{counted(count, 'image')}: `sizes={text}` leaves no two sizes to compare."
        if count < 2:
            raise UsageError(
                f"library {library!r} has {shortage}\nAdd some: {python_call('libraries.index', PATH, library=library)}"
            )
        smaller = sorted({size for size in sizes if size < count} or {max(1, count // by) for by in (20, 4)})
        raise UsageError(
            f"library {library!r} has {shortage}\nName two that it has: `sizes={','.join(map(str, smaller))},all`"
        )
    return sorted(sizes)


def part_name(library: str, size: int, seed: int) -> str:
    """The name of a part of a library, or of a snapshot, in an evaluation: it is a library itself."""
    return f"{library.replace(AT, '.')[:_NAMED]}-{size}" + (f"-seed-{seed}" if seed else "")


def recipes_of(library: str, sizes: Sequence[int], seed: int) -> dict[str, LibraryRecipe]:
    """Name → recipe of each part, the largest first, which is the default of the arms."""
    return {
        part_name(library, size, seed): LibraryRecipe(kind="part", of=library, size=size, seed=seed)
        for size in sorted(sizes, reverse=True)
    }


def arms_of(base: str, arm: str, recipes: Sequence[str]) -> tuple[Arm, ...]:
    """The first arm, and the other one with every part, the smallest first."""
    return parse_arms([base, *(f"{arm}+library={name}" for name in reversed(recipes))])


def check_curve(plan: Plan) -> None:
    """Check that the plan measures a score that a curve can show.

    Raises:
        UsageError: it measures none.
    """
    if not any(spec.partition(":")[0] not in ("retrieval", "work", "diversity") for spec in plan.metrics):
        raise UsageError(
            "a curve of gain needs a score: `metrics=text:ENCODER,retrieval,work` with an\nencoder that is not the "
            "library's own (imagerag eval list)"
        )
