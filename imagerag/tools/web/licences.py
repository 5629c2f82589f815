"""Licences that search services report. What is not known, or contradicts itself, is "unknown".

A service can lie about a licence; only what it says can be checked, against itself.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

UNKNOWN: Final = "unknown"
CODES: Final = ("cc0", "pdm", "by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")
"""Creative Commons' codes of its licences; `pdm` is the public domain, marked or stated."""
ANY: Final = "any"

_ZERO: Final = re.compile(
    r"(?:cc[ -]?0|cc[ -]?zero|zero|public ?domain dedication)(?:[ -](?P<version>1\.0))?(?: universal)?"
)
_DOMAIN: Final = re.compile(
    r"(?:cc[ -])?pdm?(?:[ -]1\.0)?|public[ -]domain(?: mark)?(?: 1\.0)?|no known copyright(?: restrictions)?"
)
_BY: Final = re.compile(
    r"(?:cc[ -])?(?P<parts>by(?:-(?:nc|nd|sa))*)(?:[ -](?P<version>\d\.\d))?"
    r"(?:[ -](?:[a-z]{2}|international|generic|unported))?"
)
_PATH: Final = re.compile(
    r"/(?:licenses/(?P<parts>[a-z-]+)|publicdomain/(?P<domain>zero|mark))(?:/(?P<version>\d\.\d)(?:/.*)?)?/?"
)


@dataclass(frozen=True)
class Licence:
    """A licence that is known.

    Attributes:
        code: one of `CODES`.
        version: for instance "4.0"; empty when it is not said.
        url: the licence's text at Creative Commons; empty when it is not said.
    """

    code: str
    version: str = ""
    url: str = ""

    @property
    def name(self) -> str:
        """The SPDX identifier; of the public domain, "public domain"."""
        if self.code == "pdm":
            return "public domain"
        if self.code == "cc0":
            return "CC0-1.0"  # there is no other version
        text = f"CC-{self.code.upper()}"
        return f"{text}-{self.version}" if self.version else text


def licence_of(text: str, *, version: str = "", url: str = "") -> Licence | None:
    """The licence that a service reports; None when it is unknown.

    Args:
        text: an identifier or a name such as "by-sa", "CC BY-SA 4.0" or "cc0".
        version: where it is reported beside.
        url: the address of its text. One of Creative Commons must agree with the rest.
    """
    at = _of_address(url)
    if not text.strip():
        return at
    licence = _of_name(text)
    if licence is None or not _agree(licence.version, version):
        return None
    licence = Licence(licence.code, licence.version or version.strip())
    if at is None:
        # Any other address may say anything: a licence of Creative Commons has its text there.
        return licence if not url.strip() or licence.code == "pdm" else None
    if at.code != licence.code or not _agree(at.version, licence.version):
        return None
    return Licence(at.code, at.version or licence.version, at.url)


def _agree(one: str, other: str) -> bool:
    return not one.strip() or not other.strip() or one.strip() == other.strip()


def _of_name(text: str) -> Licence | None:
    if "://" in text:
        return _of_address(text)
    plain = " ".join(text.lower().replace("_", "-").split())[:80]
    if match := _ZERO.fullmatch(plain):
        return Licence("cc0", match["version"] or "")
    if _DOMAIN.fullmatch(plain):
        return Licence("pdm")
    match = _BY.fullmatch(plain)
    return Licence(match["parts"], match["version"] or "") if match and match["parts"] in CODES else None


def _of_address(url: str) -> Licence | None:
    try:
        place = urlsplit(url.strip().lower())
        is_creative_commons = place.scheme in ("http", "https") and place.netloc in (
            "creativecommons.org",
            "www.creativecommons.org",
        )
    except ValueError:
        return None
    match = _PATH.fullmatch(place.path) if is_creative_commons else None
    if match is None:
        return None
    code = {"zero": "cc0", "mark": "pdm"}.get(match["domain"] or "", match["parts"] or "")
    version = match["version"] or ""
    return Licence(code, version, f"https://creativecommons.org{place.path}") if code in CODES else None
