"""Text of which a reader sees nothing: spaces, and characters that only direct, join or fill."""

import unicodedata
from typing import Final

FILLERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs without a shape: fillers of Hangul, and Braille without a dot."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Mn", "Zl", "Zp", "Zs"})
"""Categories of characters that show nothing by themselves."""

_RESERVED: Final = range(0xE0000, 0xE1000)
"""Characters that Unicode keeps for more of these."""


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing of a text, as of `""`, of spaces, of U+200B, or of a byte order mark."""
    return all(map(_is_unseen, text))


def _is_unseen(letter: str) -> bool:
    return letter in FILLERS or unicodedata.category(letter) in _UNSEEN or ord(letter) in _RESERVED
