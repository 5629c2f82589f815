"""Text files as they are found: in UTF-8, in UTF-16 as Windows' programs write it, or in an old Windows code page."""

import json
from pathlib import Path
from typing import Any, Final

LONGEST: Final = 32 * 2**20
"""Bytes of a sidecar that are read: more is no description of one image."""

_SEPARATORS: Final = ",;\t|"

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_text(file: Path, longest: int | None = LONGEST) -> str:
    """The text in a file, in whichever of the usual encodings it is.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or longer than `longest` bytes.
    """
    if longest is not None and (size := file.stat().st_size) > longest:
        raise ValueError(f"it has {size / 2**20:.0f} MB")
    return decoded(file.read_bytes())


def decoded(data: bytes) -> str:
    """Text from bytes: by its byte order mark, else UTF-8, else UTF-16 without a mark, else Windows-1252.

    Raises:
        ValueError: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(data, encoding)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if (text or not data) and "\0" not in text:
        return text
    zeros = data[:4096].count(0)
    if zeros and len(data) % 2 == 0:
        even = data[:4096:2].count(0)
        return _strictly(data, "utf-16-be" if even > zeros - even else "utf-16-le")
    if zeros:
        raise ValueError("it is not text (UTF-8, UTF-16 or Windows-1252)")
    # Five bytes have no meaning in Windows-1252; Latin-1 gives them one.
    return data.decode("cp1252", "strict") if _fits(data, "cp1252") else data.decode("latin-1")


def parsed(text: str) -> Any:
    """What JSON text says.

    Raises:
        ValueError: it is not JSON, or nested deeper than anything is that was meant.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def separator_of(first: str, suffix: str) -> str:
    """What separates the cells of a table, by its first line; the suffix's own where that is among them."""
    bare = "".join(part for at, part in enumerate(first.split('"')) if at % 2 == 0)
    usual = "\t" if suffix in (".tsv", ".tab") else "|" if suffix == ".psv" else ","
    likeliest = max(_SEPARATORS, key=lambda mark: (bare.count(mark), mark == usual))
    return usual if bare.count(usual) or not bare.count(likeliest) else likeliest


def _strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError("it is not text (UTF-8, UTF-16 or Windows-1252)") from None


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
