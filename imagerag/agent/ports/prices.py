"""Tariffs: what is known of a backend's prices before it is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from imagerag.agent.types import Size


@dataclass(frozen=True, kw_only=True)
class PriceEstimator:
    """Prices of a backend as far as they are known before a call: `Capabilities.tariff`.

    A backend without one has an unknown price, which is never taken for zero.

    Attributes:
        known: whether its calls will tell what they cost.
        most: (prompt in bytes, images sent, size) → US dollars that one call can cost at most; None when not known.
        usual: as `most`, for a response of ordinary length: what a call probably costs.
        partial_usd: what one unfinished image can cost beside, where they were asked for.
        requests: how many requests to a model one call can come to, each of which costs.
        parts: the tariffs of a fallback's members: one call can come to all of them.
    """

    known: bool = False
    partial_usd: float = 0.0
    most: Callable[[int, int, Size | None], float | None] = lambda prompt, images, size: None
    usual: Callable[[int, int, Size | None], float | None] = lambda prompt, images, size: None
    requests: int = 1
    parts: "tuple[PriceEstimator, ...]" = ()

    def assuming(self, usd: float) -> "PriceEstimator":
        """The same, where a request whose price is not known counts as costing so much, in US dollars."""
        if self.parts:
            return estimator_of_all([part.assuming(usd) for part in self.parts])
        if self.known:
            return self
        assumed = usd * self.requests

        def most(prompt: int, images: int, size: Size | None) -> float | None:
            known_usd = self.most(prompt, images, size)
            return assumed if known_usd is None else known_usd

        def usual(prompt: int, images: int, size: Size | None) -> float | None:
            known_usd = self.usual(prompt, images, size)
            return assumed if known_usd is None else known_usd

        return replace(self, most=most, usual=usual)

    def translating(self, translate: Callable[[Size | None], Size | None]) -> "PriceEstimator":
        """The same for sizes as they were asked for, which `translate` turns into those that are sent."""
        return replace(
            self,
            most=lambda prompt, images, size: self.most(prompt, images, translate(size)),
            usual=lambda prompt, images, size: self.usual(prompt, images, translate(size)),
        )


def estimator_of_all(tariffs: "Sequence[PriceEstimator]") -> PriceEstimator:
    """The tariff of a fallback: known when every member's is; at most, every member is paid (an answer can be lost)."""

    def most(prompt: int, images: int, size: Size | None) -> float | None:
        prices = [tariff.most(prompt, images, size) for tariff in tariffs]
        return None if None in prices else sum(price for price in prices if price is not None)

    first = tariffs[0] if tariffs else PriceEstimator()
    return PriceEstimator(
        known=all(tariff.known for tariff in tariffs),
        most=most,
        usual=first.usual,
        partial_usd=sum(tariff.partial_usd for tariff in tariffs),
        parts=tuple(tariffs),
    )


FREE = PriceEstimator(known=True, most=lambda prompt, images, size: 0.0, usual=lambda prompt, images, size: 0.0)
"""The tariff of what runs on the user's own machine."""
