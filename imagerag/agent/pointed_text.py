"""Error messages that show a text with a caret below the place that is wrong."""

from typing import Final

_WINDOW: Final = 70
"""Characters of a text that are shown around a place in it."""


def pointed(what: str, text: str, at: int, words: str, hint: str = "") -> str:
    """A message that shows a text with a caret below a place in it.

    Args:
        what: the kind of text, for instance "filter".
        at: index of the character that is wrong; the message counts columns from 1.
        words: what is wrong there.
        hint: what to write instead, on a line of its own.
    """
    begin = max(0, min(at - _WINDOW // 2, len(text) - _WINDOW))
    excerpt = "".join(letter if letter.isprintable() else " " for letter in text[begin : begin + _WINDOW])
    lines = [f"{what}, column {at + 1}: {words}", f"  {excerpt}", f"  {' ' * (at - begin)}^", hint]
    return "\n".join(filter(None, lines))


def without_caret(message: str) -> str:
    """A message of `pointed` for one line: the text in brackets, and no caret."""
    head, *shown = message.split("\n")
    if len(shown) < 2 or shown[1].strip() != "^":
        return message
    return "; ".join([f"{head} ({shown[0].strip()})", *shown[2:]])
