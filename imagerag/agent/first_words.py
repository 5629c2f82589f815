"""Texts that are longer than an encoder reads."""

from collections.abc import Callable


def first_words(text: str, fits: Callable[[str], bool]) -> str:
    """As many of a text's first words as fit, one at least.

    Args:
        fits: whether a text does; if one does, a shorter one does, too.
    """
    words = text.split()
    low, high = 1, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(" ".join(words[:middle])) else (low, middle - 1)
    return " ".join(words[:low])
