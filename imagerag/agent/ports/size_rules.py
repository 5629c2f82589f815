"""Rules for the sizes of a generator that draws any size within limits."""

from dataclasses import dataclass
from typing import Final

from imagerag.agent.types import Size

MEGAPIXEL: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class SizeRules:
    """Limits of the sizes that a generator draws: `Capabilities.size_rules`. A generator with a list needs none.

    Attributes:
        multiple: width and height are multiples of this many pixels.
        exact: whether other sizes in pixels are refused; otherwise the generator rounds them itself.
        max_aspect: the long side over the short one at most; 0 is any.
        longest, shortest: pixels of the long and of the short side at most; 0 is any.
        area: pixels of an image without a resolution.
        remedy: what to type instead, for a generator that cannot be asked for a size.
    """

    multiple: int = 16
    exact: bool = False
    max_aspect: float = 0
    longest: int = 0
    shortest: int = 0
    area: int = MEGAPIXEL
    remedy: str = "leave `size` out"

    def problem_with(self, size: Size) -> str | None:
        """Reason why a size in pixels is refused, with what is possible; None if it is not."""
        if not self.exact:
            return None
        short, long = sorted((size.width, size.height))
        if short % self.multiple or long % self.multiple:
            nearest = [max(1, round(side / self.multiple)) * self.multiple for side in (size.width, size.height)]
            return f"width and height must be divisible by {self.multiple}, for instance {nearest[0]}x{nearest[1]}"
        if self.max_aspect and long > self.max_aspect * short:
            return self.shape_limit
        too_large = (self.longest and long > self.longest) or (self.shortest and short > self.shortest)
        return f"the largest is {self.longest}x{self.shortest}" if too_large else None

    @property
    def shape_limit(self) -> str:
        """The limit of the aspect ratio in words."""
        times = {2: "two", 3: "three", 4: "four"}.get(int(self.max_aspect), f"{self.max_aspect:g}")
        return f"neither side may be more than {times} times the other"


ANY_SIZE: Final = SizeRules()
"""Rules of a generator that names none."""
