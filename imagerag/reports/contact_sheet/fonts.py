"""Fonts of a page: Pillow's own, which has Latin letters, and for others a font of the system that has them.

Nothing is drawn as the empty box of a font: a text in letters that no font here has is named by its script
("[Devanagari text]"), and signs such as emoji are left out.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

from PIL import ImageFont, features

_SUFFIXES: Final = frozenset({".ttf", ".ttc", ".otf", ".otc"})
_STYLED: Final = ("bold", "italic", "oblique", "light", "thin", "black", "condensed", "mono", "emoji", "medium")
_FIRST: Final = ("notosans", "dejavusans")
"""Beginnings of the names of fonts that are tried first: they are alike in many scripts."""

_MOST: Final = 600
"""Font files that are tried at most."""

_MISSING: Final = "\uffff"
"""A sign that no font has: it is drawn as a font's empty box."""

_LANGUAGES: Final = {"HIRAGANA": "Japanese", "KATAKANA": "Japanese", "CJK": "Chinese", "HANGUL": "Korean"}
"""Beginnings of Unicode's names of letters, where they name no script that readers know."""


def runs(row: str) -> list[tuple[str, Path | None]]:
    """The parts of a line that one font can draw, in their order; None is Pillow's own font.

    A line in one other script is one part, with its spaces and digits, so that a font of the system orders it from
    right to left where it has to be.
    """
    if all(_own(sign) for sign in row):
        return [(row, None)]
    other = next((path for sign in row if not _own(sign) and (path := system_font(sign))), None)
    if other is not None and all(sign == " " or _has(other, sign) for sign in row):
        return [(row, other)]
    parts = groupby(row, key=lambda sign: None if _own(sign) else system_font(sign))
    return [("".join(signs), path) for path, signs in parts]


@lru_cache(maxsize=256)
def font(size: float, path: Path | None = None) -> ImageFont.FreeTypeFont:
    """A font in pixels.

    Args:
        path: a file that `system_font` found; None is Pillow's own font.
    """
    if path is not None:
        return ImageFont.truetype(path, size)
    default = ImageFont.load_default(size=size)
    if not isinstance(default, ImageFont.FreeTypeFont):  # a Pillow that was built without FreeType
        raise TypeError("drawing a sheet needs a Pillow with FreeType: pip install --force-reinstall pillow")
    return default


def writable(text: str) -> str:
    """A text without signs that no font here has; its parts in other scripts are named instead."""
    if text.isascii() and text.isprintable():
        return text
    parts = []
    for has_glyph, signs in groupby(_joined(text), key=lambda pair: pair[1]):
        part = "".join(sign for sign, _ in signs)
        parts.append(part if has_glyph else _replacement(part))
    return " ".join("".join(parts).split())


def _joined(text: str) -> Iterator[tuple[str, bool]]:
    """Signs that can be written, and whether they are; between two that cannot, spaces and points count as neither.

    A mark goes with the letter before it, and is left out of Pillow's font: alone, a font draws it upon a box.
    """
    signs: list[str] = []
    has_glyph: list[bool] = []
    for one in (one for sign in text for one in _folded(sign)):
        mark = unicodedata.category(one).startswith("M")
        if not (mark and (not signs or _own(signs[-1]))):
            signs.append(one)
            has_glyph.append(has_glyph[-1] if mark else _own(one) or system_font(one) is not None)
    places = [at for at, one in enumerate(has_glyph) if not one]
    for before, after in pairwise(places):
        if not any(sign.isalnum() for sign in signs[before + 1 : after]):
            has_glyph[before:after] = [False] * (after - before)
    return zip(signs, has_glyph, strict=True)


def _replacement(part: str) -> str:
    """What is written instead of signs that no font has."""
    letters = [sign for sign in part if sign.isalpha()]
    scripts = [unicodedata.name(sign, "?").split()[0] for sign in letters]
    names = [_LANGUAGES.get(script, script.title()) for script in scripts]
    return f"[{'Japanese' if 'Japanese' in names else names[0]} text]" if names else ""


@cache
def _folded(sign: str) -> str:
    """A sign as it is written: Latin letters without accents that Pillow's font lacks, and no control signs."""
    if unicodedata.category(sign).startswith("C"):
        return ""
    if _own(sign):
        return sign
    base = "".join(one for one in unicodedata.normalize("NFKD", sign) if not unicodedata.category(one).startswith("M"))
    return base if base and all(map(_own, base)) else sign


@cache
def _own(sign: str) -> bool:
    return _has(None, sign)


@cache
def system_font(sign: str) -> Path | None:
    """A font file of the system that has a sign; None where there is none, or where it could not be drawn in order."""
    if unicodedata.bidirectional(sign) in ("R", "AL") and not features.check("raqm"):
        return None  # without Raqm, Pillow draws from left to right, and joins no letters
    return next((path for path in font_files() if _has(path, sign)), None)


@lru_cache(maxsize=65_536)
def _has(path: Path | None, sign: str) -> bool:
    if sign == " ":
        return True
    boxes = _empty_boxes(path)
    return bool(boxes) and bytes(font(28, path).getmask(sign)) not in boxes


@cache
def _empty_boxes(path: Path | None) -> frozenset[bytes]:
    """What a font draws for a sign that it lacks, two for one that is written in two parts (Thai's U+0E33).

    None of a file that is damaged or has pictures of one size only.
    """
    try:
        return frozenset(bytes(font(28, path).getmask(_MISSING * parts)) for parts in (1, 2))
    except OSError:
        return frozenset()


@cache
def font_files() -> Sequence[Path]:
    """The font files of the system in upright style, those that are tried first at the beginning."""
    fonts = [
        Path(folder) / name
        for top in font_folders()
        for folder, _, names in os.walk(top)
        for name in names
        if Path(name).suffix.lower() in _SUFFIXES and not any(style in name.lower() for style in _STYLED)
    ]
    return sorted(fonts, key=lambda path: (not path.name.lower().startswith(_FIRST), path.name.lower(), path))[:_MOST]


def font_folders() -> list[Path]:
    """Where the system keeps fonts."""
    home = Path.home()
    if sys.platform == "win32":
        return [Path(home.anchor) / "Windows/Fonts", home / "AppData/Local/Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts", home / ".fonts"]
