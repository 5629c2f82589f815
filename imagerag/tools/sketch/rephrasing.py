"""Rephrase a prompt of the sketch world: words that the generator does not know become descriptions.

The parser gives each description the meaning of its rare word, so that a rephrased prompt requests the same.
"""

import re
from typing import Final

DESCRIPTIONS: Final = {
    "hexagon": "hexagonal shape", "crescent": "half moon", "cross": "plus sign", "semicircle": "half circle",
    "drop": "teardrop", "bolt": "lightning bolt", "flower": "blossom", "checkered": "checkerboard-patterned",
    "ringed": "ring-patterned", "split": "two-tone",
}  # fmt: skip
"""Rare word → description in plainer words. "Arrow" has none."""

_RARE: Final = re.compile(rf"\b({'|'.join(DESCRIPTIONS)})\b", re.IGNORECASE)


def rephrased(prompt: str) -> str:
    """The prompt with its rare words replaced by descriptions; unchanged if it has none."""
    return _RARE.sub(lambda match: DESCRIPTIONS[match[1].lower()], prompt)
