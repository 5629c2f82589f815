"""Texts in metadata: decoding with unknown character sets, and boilerplate of cameras and programs."""

import codecs
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from imagerag.store.text_files import clean, utf_8_text

__all__ = ["decode_text", "decode_utf_16", "first_text", "is_junk", "tidy"]

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")

_JUNK: Final = re.compile(
    r"""(?: OLYMPUS[ ]DIGITAL[ ]CAMERA | SONY[ ]DSC | (?:KONICA[ ])?MINOLTA[ ]DIGITAL[ ]CAMERA | DIGITAL[ ]CAMERA
        | Exif_JPEG_(?:PICTURE|\d+) | DCF[ ]1\.0 | DCIM[\\/].* | <(?:KENOX|SAMSUNG|Digimax).*> | MinoltaDSC
        | AppleMark | LEAD[ ]Technologies.* | File[ ]written[ ]by[ ].* | Created[ ]with[ ].* | CREATOR:[ ].*
        | Processed[ ]with[ ].* | charset=\S+(?:[ ].*)? | binary[ ]comment | default | untitled | unknown | none | null
        | ASCII | Screenshot | Picasa | [\W_]* )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""Whole texts that a device or a program writes by itself; they say nothing of the image."""


def decode_text(data: bytes, charset: str = "utf-8") -> str:
    """Decode a text up to its first NUL as `charset`, else UTF-8, else Windows-1252."""
    data = data.partition(b"\0")[0]
    if charset != "utf-8":
        with suppress(UnicodeDecodeError, LookupError):
            return data.decode(charset)
    text = utf_8_text(data)
    return data.decode("cp1252", "replace") if text is None else text


def decode_utf_16(data: bytes, charset: str) -> str:
    """Decode UTF-16 up to its first NUL, without half a character at its end, where a limit on bytes cut it."""
    return codecs.getincrementaldecoder(charset)("replace").decode(data).partition("\0")[0]


def tidy(text: str) -> str:
    """Strip a text and remove control characters."""
    return clean(_CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\ufeff", "")))


def is_junk(text: str) -> bool:
    """Whether a text is boilerplate of a device or a program."""
    return len(text) <= 200 and bool(_JUNK.fullmatch(text))


def first_text(texts: Iterable[str | None]) -> str | None:
    """The first meaningful text."""
    return next((tidied for text in texts if text and (tidied := tidy(text)) and not is_junk(tidied)), None)
