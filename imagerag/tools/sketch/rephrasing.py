"""A prompt of the sketch world in other words: what the painter does not know becomes a description of it.

Every description says to the world's language what the rare word says, so that a reworded prompt asks for the same.
"""

import re
from typing import Final

DESCRIPTIONS: Final = {
    "hexagon": "hexagonal shape", "crescent": "half moon", "cross": "plus sign", "semicircle": "half circle",
    "drop": "teardrop", "bolt": "lightning bolt", "flower": "blossom", "checkered": "checkerboard-patterned",
    "ringed": "ring-patterned", "split": "two-tone",
}  # fmt: skip
"""Rare word → plainer words for it. An arrow is an arrow."""

_RARE: Final = re.compile(rf"\b({'|'.join(DESCRIPTIONS)})\b", re.IGNORECASE)


def rephrased(prompt: str) -> str:
    """The prompt with its rare words described; itself where it has none."""
    return _RARE.sub(lambda found: DESCRIPTIONS[found[1].lower()], prompt)
