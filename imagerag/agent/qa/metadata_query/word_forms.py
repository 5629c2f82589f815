"""Words: how they are compared, and which of them say nothing about an image."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

SPELLINGS: Final[Mapping[str, str]] = {
    "color": "colour", "colored": "coloured", "gray": "grey", "license": "licence", "jewelry": "jewellery",
    "catalog": "catalogue", "photographer": "author", "artist": "author", "maker": "author", "creator": "author",
}  # fmt: skip
"""Words that are taken for another one, whatever the library."""

_STOP: Final = frozenset(
    """
    a an the this that is are was were be been do does did have has had of in on at to for from with by and or as it its
    i me my we us our you your they them their he she his her there here what which who whom whose when where how many
    much any some all every everything anything something each one ones of any also so then than but not no please can
    could would should will may might must shall tell show give list name find get see look know want need like say says
    said let about into only just product products item items stuff thing things object objects picture pictures
    image images photo photos library catalogue collection offer offers sell sells stock exist exists available own
    come comes made
    make kind kinds type types sort sorts total average mean sum number count both either two three these those such
    other others ours mine known similar alike
    same again yes now really together out up use used using look looks looking called contain contains
    doing told good if am s t re ve d m versus vs between under below over above up dollars dollar euros euro pounds usd
    eur gbp altogether overall whole entire among amongst most least per value values
    """.split()  # noqa: SIM905, prose is easier to read than a list of quoted words
)
TOLD: Final = frozenset(
    """
    need needed want wish recommend suggest suggestion suggestions option options choice choices possibility
    possibilities idea ideas interested buy buying purchase search searching looking help prefer love maybe perhaps
    """.split()  # noqa: SIM905
)
"""Of the words that say nothing about an image, those that say what somebody is after; they are told as left out."""
_TOKEN: Final = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+(?:[.,]\d+)*|\w+|[,;]")
_NOT: Final = re.compile(r"\b(?:(ca)n|(wo)n|(\w+)n)['’]t\b")
_OF: Final = re.compile(r"['’]s\b")


def fold(text: str) -> str:
    """Lower case, without accents: for comparing."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers of a folded text; commas and semicolons as "," for they separate."""
    normalized = _NOT.sub(_spelt_out, fold(text))
    return tuple(_TOKEN.findall(_OF.sub("", normalized).replace(";", ",")))


def _spelt_out(match: "re.Match[str]") -> str:
    """`isn't` as `is not`, `can't` as `can not`."""
    return f"{'can' if match[1] else 'will' if match[2] else match[3]} not"


def stem(word: str) -> str:
    """A word without its ending: circles, circle and circular are one, as are striped and stripes."""
    word = SPELLINGS.get(word, word)
    for ending, instead in (("ular", "le"), ("onal", "on"), ("ies", "y")):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            word = word[: -len(ending)] + instead
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    if word.endswith("ed") and len(word) > 4:
        word = word[:-2]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdgmnprt":
            word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def is_plain(word: str) -> bool:
    """Whether a word says nothing about an image."""
    return SPELLINGS.get(word, word) in _STOP or word in TOLD or word == ","
