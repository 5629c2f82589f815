"""Regions of an image."""

from collections.abc import Iterable

from pydantic import Field

from imagerag.agent.types.base import FrozenModel


class Region(FrozenModel):
    """A box in an image, as shares of the upright image's width and height: in [0, 1], from its upper left corner."""

    left: float = Field(ge=0, le=1)
    top: float = Field(ge=0, le=1)
    right: float = Field(ge=0, le=1)
    bottom: float = Field(ge=0, le=1)

    @classmethod
    def of_pixels(cls, box: tuple[int, int, int, int], size: tuple[int, int]) -> "Region":
        """The region of a box in pixels.

        Args:
            box: left, top, right, bottom; right and bottom are exclusive.
            size: width and height of the image.
        """
        (left, top, right, bottom), (width, height) = box, size
        # Five digits are less than a pixel of any image, and the same in 32 bits and in JSON.
        shares = (left / width, top / height, right / width, bottom / height)
        return cls.of_shares(shares)

    @classmethod
    def of_shares(cls, shares: Iterable[float]) -> "Region":
        """The region with these shares: left, top, right, bottom."""
        left, top, right, bottom = (round(min(1.0, max(0.0, float(share))), 5) for share in shares)
        return cls(left=left, top=top, right=right, bottom=bottom)

    @classmethod
    def around(cls, regions: Iterable["Region"]) -> "Region":
        """The smallest region that holds all of these, at least one."""
        lefts, tops, rights, bottoms = zip(*(one.shares for one in regions), strict=True)
        return cls(left=min(lefts), top=min(tops), right=max(rights), bottom=max(bottoms))

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def area(self) -> float:
        """Share of the image's area, in [0, 1]."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The box in pixels of an image of this width and height, at least one pixel large."""
        width, height = size
        left, top = min(round(self.left * width), width - 1), min(round(self.top * height), height - 1)
        return left, top, max(round(self.right * width), left + 1), max(round(self.bottom * height), top + 1)

    def __str__(self) -> str:
        return ",".join(f"{share:.2f}" for share in self.shares)
