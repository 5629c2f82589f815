"""Read text files in UTF-8, UTF-16, UTF-32 or an old Windows code page."""

import codecs
import io
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, TextIO

from imagerag.agent.lone_surrogates import valid_text
from imagerag.agent.regular_files import open_regular, open_regular_text, read_regular
from imagerag.agent.visible_text import is_blank

LONGEST: Final = 32 * 2**20
"""Bytes of a sidecar that are read: more is no description of one image."""

SEPARATORS: Final = ",;\t|"

_NO_TEXT: Final = "it is not text in UTF-8, UTF-16, UTF-32 or Windows-1252: save it as UTF-8"
_LETTERS_PER_CONTROL: Final = 20
"""One control character in so many is more than any text has."""

_CONSTANTS: Final = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}
"""What programs write as JSON that is none: NaN stands for a value that is missing."""

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def read_text(file: Path, longest: int | None = LONGEST) -> str:
    """Read a text file in any of these encodings.

    Raises:
        OSError: it cannot be read.
        ValueError: the file is no text, or longer than `longest` bytes.
    """
    if longest is not None and (size := file.stat().st_size) > longest:
        raise ValueError(f"it has {size / 2**20:.0f} MB")
    return decoded(read_regular(file))


def open_text(file: Path, newline: str = "\n") -> TextIO:
    """Open a text file for reading by line; only a file in another encoding than UTF-8 is read into memory at once.

    Raises:
        OSError, ValueError: as `read_text`.
    """
    if _is_utf_8(file):
        return open_regular_text(file, encoding="utf-8-sig", newline=newline)
    return io.StringIO(read_text(file, longest=None), newline=newline)


def is_windows_1252(file: Path) -> bool:
    """Whether `read_text` takes a file for Windows-1252, which any text of an unknown encoding could be.

    Raises:
        OSError: it cannot be read.
    """
    if _is_utf_8(file):
        return False
    beginning = (data := read_regular(file))[:4096]
    return (
        utf_8_text(data) is None
        and not beginning.count(0)
        and not any(beginning.startswith(mark) for mark, _ in _MARKS)
    )


def decoded(data: bytes) -> str:
    """Decode text by its byte order mark, else as UTF-8, else as UTF-16 or UTF-32 without a mark, else as Windows-1252.

    Raises:
        ValueError: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(data, encoding)
    text = utf_8_text(data) or ""
    if (text or not data) and "\0" not in text:
        return text
    if text and text.count("\0") * 4 < len(text) and not any(map(_is_control, text.replace("\0", ""))):
        raise ValueError(_NO_TEXT)  # text with a zero byte, which would be different text in UTF-16
    if data[:4096].count(0):
        return _strictly(data, _unmarked(data))
    # Five bytes have no meaning in Windows-1252; Latin-1 gives them one.
    text = data.decode("cp1252" if _fits(data, "cp1252") else "latin-1")
    if _LETTERS_PER_CONTROL * sum(_is_control(letter) for letter in text) > len(text):
        raise ValueError(_NO_TEXT)
    return text


def utf_8_text(data: bytes) -> str | None:
    """Decode UTF-8, without the beginning of a character at its end, where a limit on bytes cut it; None for others."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        whole = data[: error.start]
        if error.reason != "unexpected end of data":
            return None
        # One such byte behind ASCII alone is rather a letter in another encoding, as in `café`.
        return whole.decode() if not whole.isascii() or len(data) - len(whole) > 1 else None


def _is_utf_8(file: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_regular(file) as stream:
        try:
            while data := stream.read(2**20):
                if b"\0" in data:
                    return False
                decoder.decode(data)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _unmarked(data: bytes) -> str:
    """UTF-32 or UTF-16 and its byte order, judged by the positions of zero bytes."""
    if len(data) % 4 == 0:
        zeros = [data[at:4096:4].count(0) for at in range(4)]
        quarter = len(data[:4096]) // 4
        if zeros[2] == zeros[3] == quarter:
            return "utf-32-le"
        if zeros[0] == zeros[1] == quarter:
            return "utf-32-be"
    return "utf-16-be" if data[:4096:2].count(0) > data[1:4096:2].count(0) else "utf-16-le"


def parsed(text: str) -> Any:
    """Parse JSON text.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    if is_blank(text):
        raise ValueError("it is empty")
    try:
        return json.loads(text, parse_constant=_CONSTANTS.__getitem__)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno}: {error.msg})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def listed(texts: str | Collection[str]) -> list[str]:
    """The texts as a list; one text alone is a list of one, not of its letters."""
    return [texts] if isinstance(texts, str) else list(texts)


def clean(text: str) -> str:
    """Strip a text, with U+FFFD for what UTF-8 cannot encode (file names may hold such bytes, and JSON half a
    character); empty where a reader sees nothing of it."""
    text = valid_text(text).strip()
    return "" if is_blank(text) else text


def plain_name(name: str) -> str:
    """Normalise a column name: lower case, no spaces or hyphens; `File Name` becomes `file_name`."""
    return re.sub(r"[\s\-.]+", "_", clean(name).lower()).strip("_")


def separator_of(first: str, suffix: str) -> str:
    """The cell separator of a table, by its first line; that of the file suffix if it occurs there."""
    bare = "".join(part for at, part in enumerate(first.split('"')) if at % 2 == 0)
    usual = "\t" if suffix in (".tsv", ".tab") else "|" if suffix == ".psv" else ","
    likeliest = max(SEPARATORS, key=lambda mark: (bare.count(mark), mark == usual))
    return usual if bare.count(usual) or not bare.count(likeliest) else likeliest


def _strictly(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(_NO_TEXT)
    return text


def _is_control(letter: str) -> bool:
    return (letter < " " and letter not in "\t\n\r\f") or "\x7f" <= letter <= "\x9f"


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
