"""Images stored as text in table rows: base64, or a `data:` URL."""

import base64
import binascii
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, Final

from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.formats import looks_like_an_image
from imagerag.agent.visible_text import is_blank
from imagerag.store.library.metadata.field_names import ALIASES, PATH, written_fields
from imagerag.store.text_files import plain_name

BASE64: Final = ("image_base64", "image_b64", "img_base64", "img_b64", "picture_base64", "photo_base64", "base64",
                 "b64", "b64_json", "image_bytes", "img_bytes")  # fmt: skip
"""Columns whose text is base64 whatever it looks like."""

EITHER: Final = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "bytes", "content", "data")
"""Columns that have base64, or the name of a file: by what it looks like."""

URLS: Final = ("data_url", "data_uri", "image_url", "img_url", "url", "uri", "src", PATH, *ALIASES[PATH])
"""Columns that may have a `data:` URL beside other things, as those above may."""

LONGEST: Final = (MAX_BYTES + 2) // 3 * 4
"""Characters of the base64 of the largest image that is read."""

_RANK: Final = {name: at for at, name in reversed([*enumerate((*BASE64, *EITHER, *URLS))])}
_DATA_URL: Final = re.compile(r"\s*data:[^,]{0,200},", re.IGNORECASE)
_ALPHABET: Final = re.compile(r"[A-Za-z0-9+/_\-\r\n]++=*+\s*+")  # possessive: no text takes long
_HEAD: Final = 1024
_LEAST: Final = 40
"""Characters that the smallest image has."""

_NO_NAME: Final = 255
"""Characters in one piece that are more than a file's name may have."""


def image_column(record: Mapping[str, Any]) -> str | None:
    """The column of a row that contains an image; None where none does."""
    columns = [(_RANK[plain], name) for name in record if (plain := plain_name(name)) in _RANK and _holds(record, name)]
    return min(columns)[1] if columns else None


def decoded_image(value: Any) -> bytes:
    """The bytes of an image from its text.

    Raises:
        ValueError: it is too large, or no base64; the message says so.
    """
    text = _text(value)
    if len(text) > LONGEST + _HEAD:
        raise ValueError(f"its image is larger than {MAX_BYTES >> 20} MB")
    if url := _DATA_URL.match(text):
        if not url[0].rstrip(",").lower().endswith(";base64"):
            raise ValueError("its data: URL is not in base64")
        text = text[url.end() :]
    text = "".join(text.split()).translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):  # of letters beyond ASCII the latter
        raise ValueError("its image is damaged: the text is not base64") from None
    if not data:
        raise ValueError("the row has no image in it")
    return data


def beside_image(record: Mapping[str, Any], column: str) -> dict[str, Any]:
    """The metadata in the other columns of a row: a file name becomes the title."""
    value = record[column]
    fields = {name: one for name, one in record.items() if name != column}
    names = [name for name, field in written_fields(fields).items() if field == PATH]
    candidates = [*(fields.pop(name) for name in names), value.get(PATH) if isinstance(value, Mapping) else None]
    name = next((one for one in candidates if isinstance(one, str) and not is_blank(one)), None)
    if name and fields.get("title") in (None, ""):
        fields["title"] = PurePosixPath(name.strip().replace("\\", "/")).stem
    return fields


def _holds(record: Mapping[str, Any], name: str) -> bool:
    text, plain = _text(record[name]), plain_name(name)
    if is_blank(text):
        return False
    if plain in BASE64 and text.strip().isdecimal():
        return False  # how many bytes it has
    if plain in BASE64 or isinstance(record[name], Mapping) or _DATA_URL.match(text[:_HEAD]):
        return True
    head = text[:_HEAD].strip()
    if plain not in EITHER or len(head) < _LEAST or not _ALPHABET.fullmatch(head):
        return False
    with suppress(ValueError):  # lines that are very short, or nothing but padding
        if looks_like_an_image(decoded_image(head[:_LEAST])):
            return True
    return len(head) > _NO_NAME and _ALPHABET.fullmatch(text) is not None


def _text(value: Any) -> str:
    """The text of a value; of an object with `bytes`, as Hugging Face writes images, of these."""
    text = value.get("bytes") if isinstance(value, Mapping) else value
    return text if isinstance(text, str) else ""
