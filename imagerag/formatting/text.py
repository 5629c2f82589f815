"""Foreign text on one line, without characters that move a cursor or change what a reader sees."""

import unicodedata


def clean(text: str) -> str:
    """Foreign text on one line: a caption that holds escape sequences must not move the cursor."""
    if not (text.isascii() and text.isprintable()):  # letter by letter is slow for lists of thousands
        text = "".join(map(_harmless, text))
    return " ".join(text.split())


def clean_lines(text: str) -> str:
    """Foreign text of which the lines are kept, for instance a list in an error."""
    lines = (clean(line) and line[: len(line) - len(line.lstrip(" "))] + clean(line) for line in text.split("\n"))
    return "\n".join(lines).strip()


def image_name(title: str, sha256: str) -> str:
    """An image's title, or the start of its id."""
    return title or sha256[:12]


def _harmless(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind == "Cs":
        return "\ufffd"
    if kind == "Cf" and letter != "\u200d":  # directions and the like; the joiner holds emoji together
        return ""
    return " " if kind == "Cc" else letter
