"""The size that a generator is sent for the size that was asked for.

A size in pixels is sent as it is. Words ("16:9", "2K") become the nearest size of a generator that has a list, and
computed pixels for one that draws any size. Nearest has limits: the ratio differs by at most `RATIO_TOLERANCE`, the
side by at most `SIDE_TOLERANCE`; beyond these the size is refused before anything is paid, with the sizes that exist.
So 16:9 is 1536x1024 for a generator that draws nothing wider, and 4K is 3840x2160 where that is the largest.
"""

from collections.abc import Sequence
from math import log
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ImageGenerator, SizeRules, capabilities_of
from imagerag.agent.types import NamedSize, Size
from imagerag.agent.types.sizes import SIDES, ratio_of

RATIO_TOLERANCE: Final = 1.2
SIDE_TOLERANCE: Final = 1.5
_ROUNDING: Final = 1e-6
_LISTED: Final = 12


def size_for(generator: ImageGenerator, size: Size | None) -> Size | None:
    """The size to send to a generator: a fallback gets the words themselves, and translates them for each member.

    Raises:
        UsageError: the generator draws nothing near it; the message says what it draws.
    """
    if size is None or (capabilities := capabilities_of(generator)).members:
        return size
    sizes, rules = generator.sizes, capabilities.size_rules
    if sizes == ():
        raise UsageError(f"{generator.identity} cannot be asked for a size: {rules.remedy}")
    if not isinstance(size, NamedSize):
        problem = _not_listed(size, sizes) if sizes is not None else rules.problem_with(size)
        if problem:
            raise UsageError(f"{generator.identity} does not draw {size}: {problem}")
        return size
    result = _listed(size, sizes, rules.area) if sizes is not None else _computed(size, rules)
    if isinstance(result, Size):
        return result
    raise UsageError(f"{generator.identity} does not draw {size}: {result}")


def nearest_size(generator: ImageGenerator, size: Size) -> Size | None:
    """The size of a generator that is nearest, however far; None for one that cannot be asked for a size."""
    sizes, rules = generator.sizes, capabilities_of(generator).size_rules
    if sizes is None:
        return _within(size, rules)
    return min(sizes, key=lambda one: sum(_distances(one, *_aspect_and_side(size, rules.area))), default=None)


def sent_size(generator: ImageGenerator, size: Size | None) -> Size | None:
    """The size that a member of a fallback is sent: what was asked for, else the nearest that it draws."""
    try:
        return size_for(generator, size)
    except UsageError:
        return None if size is None else nearest_size(generator, size)


def check_size(generator: ImageGenerator, size: Size | None) -> None:
    """Check, before anything is paid, that a generator draws a size; of a fallback, that the preferred member does.

    Raises:
        UsageError: it does not; the message says what it draws.
    """
    if size is None:
        return
    if members := capabilities_of(generator).members:
        check_size(members[0], size)
    else:
        size_for(generator, size)


def _aspect_and_side(size: Size, area: int) -> tuple[float, float]:
    """Width over height, and the side of the square with the same area."""
    if not isinstance(size, NamedSize):
        return size.width / size.height, (size.width * size.height) ** 0.5
    return ratio_of(size.aspect_ratio), float(SIDES[size.resolution]) if size.resolution else area**0.5


def _distances(size: Size, ratio: float, side: float) -> tuple[float, float]:
    """How far a size is from a ratio and a side, as the logarithms of factors."""
    return abs(log(size.width / size.height / ratio)), abs(log((size.width * size.height) ** 0.5 / side))


def _not_listed(size: Size, sizes: Sequence[Size]) -> str | None:
    return None if size in sizes else f"it draws {_names(sizes)}"


def _listed(size: NamedSize, sizes: Sequence[Size], area: int) -> Size | str:
    """The nearest of a list within the tolerances; without one the reason.

    A size without a resolution takes any area, the usual one by preference.
    """
    ratio, side = _aspect_and_side(size, area)
    near = [one for one in sizes if _distances(one, ratio, side)[0] <= log(RATIO_TOLERANCE) + _ROUNDING]
    if not near:
        return f"nothing of that shape; it draws {_names(sizes)}"
    if size.resolution:
        near = [one for one in near if _distances(one, ratio, side)[1] <= log(SIDE_TOLERANCE) + _ROUNDING]
    if not near:
        return f"nothing near that resolution; it draws {_names(sizes)}"
    return min(near, key=lambda one: sum(_distances(one, ratio, side)))


def _computed(size: NamedSize, rules: SizeRules) -> Size | str:
    ratio, side = _aspect_and_side(size, rules.area)
    if rules.max_aspect and max(ratio, 1 / ratio) > rules.max_aspect * (1 + _ROUNDING):
        return rules.shape_limit
    largest = _within(size, rules)
    if size.resolution and _distances(largest, ratio, side)[1] > log(SIDE_TOLERANCE):
        return f"the largest of that shape is {largest}"
    return largest


def _within(size: Size, rules: SizeRules) -> Size:
    """The size of a ratio and an area, within the rules: reduced where it is too large, in multiples of pixels."""
    ratio, side = _aspect_and_side(size, rules.area)
    limit = rules.max_aspect or max(ratio, 1 / ratio)
    ratio = min(max(ratio, 1 / limit), limit)
    width, height = side * ratio**0.5, side / ratio**0.5
    long, short = max(width, height), min(width, height)
    fits = min(1.0, (rules.longest or long) / long, (rules.shortest or short) / short)
    sides = [max(16, _multiple(pixels * fits, rules.multiple, down=fits < 1)) for pixels in (width, height)]
    if rules.max_aspect:  # rounding may have passed it
        longest = _multiple(min(sides) * rules.max_aspect, rules.multiple, down=True)
        sides = [min(pixels, longest) for pixels in sides]
    return Size(width=sides[0], height=sides[1])


def _multiple(pixels: float, of: int, *, down: bool) -> int:
    """The nearest multiple, or the one below where a limit was reached."""
    count = (pixels + _ROUNDING) // of if down else round(pixels / of)
    return max(1, int(count)) * of


def _names(sizes: Sequence[Size]) -> str:
    more = f" and {len(sizes) - _LISTED} more" if len(sizes) > _LISTED else ""
    return ", ".join(map(str, sizes[:_LISTED])) + more
