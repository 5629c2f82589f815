"""The fields of IPTC-IIM, the older of the press's two kinds of metadata, that a library keeps."""

from collections.abc import Iterator, Sequence
from typing import Final

from imagerag.store.library.metadata.capture_time import capture_time
from imagerag.store.library.metadata.embedded.fields import EmbeddedFields
from imagerag.store.library.metadata.embedded.texts import decode_text, first_text

__all__ = ["read_iptc"]

_CHARSET: Final = (1, 90)
_TITLE, _KEYWORDS, _DATE, _TIME, _BYLINE, _HEADLINE, _COPYRIGHT, _CAPTION = 5, 25, 55, 60, 80, 105, 116, 120
_PLACE: Final = (92, 90, 95, 101)
"""Sublocation, city, state, country."""

_MAX_RECORDS: Final = 1_000
_ESCAPED: Final = {b"\x1b%G": "utf-8", b"\x1b.A": "latin-1", b"\x1b-A": "latin-1", b"\x1b.B": "latin-2"}


def read_iptc(data: bytes) -> EmbeddedFields:
    """Read the fields of IPTC records. The character set is UTF-8 if none is declared and the bytes are valid."""
    values: dict[tuple[int, int], list[bytes]] = {}
    for key, value in _records(data):
        values.setdefault(key, []).append(value)
    charset = _ESCAPED.get(values.get(_CHARSET, [b""])[0], "utf-8")

    def texts(number: int) -> list[str]:
        return [decode_text(value, charset) for value in values.get((2, number), ())]

    date, time = (first_text(texts(number)) or "" for number in (_DATE, _TIME))
    return EmbeddedFields(
        title=first_text([*texts(_TITLE), *texts(_HEADLINE)]),
        caption=first_text(texts(_CAPTION)),
        tags=tuple(texts(_KEYWORDS)),
        author=joined(texts(_BYLINE), "; "),
        rights=first_text(texts(_COPYRIGHT)),
        taken=capture_time(f"{date} {time}") or capture_time(date.removesuffix("00").removesuffix("00")),
        place=joined([first_text(texts(number)) for number in _PLACE], ", "),
    )


def joined(texts: Sequence[str | None], separator: str) -> str | None:
    """Join the meaningful texts, each once."""
    return separator.join(dict.fromkeys(tidied for text in texts if (tidied := first_text([text])))) or None


def _records(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """((record, number), content) of each; the first invalid record ends the iteration."""
    at = 0
    for _ in range(_MAX_RECORDS):
        if at + 5 > len(data) or data[at] != 0x1C:
            return
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        start = at + 5
        if size & 0x8000:  # the length of the length
            wide = size & 0x7FFF
            size = int.from_bytes(data[start : start + min(wide, 4)], "big")
            start += wide
        yield (data[at + 1], data[at + 2]), data[start : start + size]
        at = start + size
