"""Names of licences: addresses of Creative Commons as SPDX writes the licences."""

import re
from typing import Final

__all__ = ["licence_name"]

_ADDRESS: Final = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licenses/(?P<parts>[a-z]+(?:-[a-z]+)*)|publicdomain/(?P<zero>zero))"
    r"/(?P<version>\d\.\d)(?:/(?P<country>[a-z]{2})\b)?",
    re.IGNORECASE,
)


def licence_name(text: str) -> str:
    """A licence as SPDX names it, where the text has the address of one of Creative Commons; else the text."""
    licences = {_spdx(address) for address in _ADDRESS.finditer(text)}
    return licences.pop() if len(licences) == 1 else text


def _spdx(address: "re.Match[str]") -> str:
    if address["zero"]:
        return f"CC0-{address['version']}"
    name = f"CC-{address['parts'].upper()}-{address['version']}"
    return f"{name}-{address['country'].upper()}" if address["country"] else name
