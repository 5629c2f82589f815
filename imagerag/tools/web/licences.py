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
        named = f"CC-{self.code.upper()}"
        return f"{named}-{self.version}" if self.version else named


def licence_of(named: str, *, version: str = "", url: str = "") -> Licence | None:
    """The licence that a service reports; None when it is unknown.

    Args:
        named: an identifier or a name such as "by-sa", "CC BY-SA 4.0" or "cc0".
        version: where it is reported beside.
        url: the address of its text. One of Creative Commons must agree with the rest.
    """
    at = _of_address(url)
    if not named.strip():
        return at
    said = _of_name(named)
    if said is None or not _agree(said.version, version):
        return None
    said = Licence(said.code, said.version or version.strip())
    if at is None:
        # Any other address may say anything: a licence of Creative Commons has its text there.
        return said if not url.strip() or said.code == "pdm" else None
    if at.code != said.code or not _agree(at.version, said.version):
        return None
    return Licence(at.code, at.version or said.version, at.url)


def _agree(one: str, other: str) -> bool:
    return not one.strip() or not other.strip() or one.strip() == other.strip()


def _of_name(text: str) -> Licence | None:
    if "://" in text:
        return _of_address(text)
    plain = " ".join(text.lower().replace("_", "-").split())[:80]
    if found := _ZERO.fullmatch(plain):
        return Licence("cc0", found["version"] or "")
    if _DOMAIN.fullmatch(plain):
        return Licence("pdm")
    found = _BY.fullmatch(plain)
    return Licence(found["parts"], found["version"] or "") if found and found["parts"] in CODES else None


def _of_address(url: str) -> Licence | None:
    try:
        place = urlsplit(url.strip().lower())
        known = place.scheme in ("http", "https") and place.netloc in ("creativecommons.org", "www.creativecommons.org")
    except ValueError:
        return None
    found = _PATH.fullmatch(place.path) if known else None
    if found is None:
        return None
    code = {"zero": "cc0", "mark": "pdm"}.get(found["domain"] or "", found["parts"] or "")
    version = found["version"] or ""
    return Licence(code, version, f"https://creativecommons.org{place.path}") if code in CODES else None
