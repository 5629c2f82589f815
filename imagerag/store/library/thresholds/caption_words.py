"""Words of captions in several languages, by Unicode's rules alone: no word list of a language is needed.

Words are what is between spaces and punctuation, with their combining marks. Two scripts need more:

* Japanese and Chinese write no spaces. Text is split where the script changes (`赤い円` is `赤`, `い`, `円`), and
  particles are cut off. Chinese characters count one by one where captions are compared, as compounds are written
  with and without other characters; `units` keeps them together, as a part of a compound cannot be exchanged.
* Arabic writes "and", "the" and short prepositions together with the word after them. They are cut off, as light
  stemmers do; vowel signs are left out, as most texts have none.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_ARABIC_SIGNS: Final = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670]")
_ARABIC_LETTERS: Final = str.maketrans("أإآٱىة", "اااا" + "يه")


def _arabic(word: str) -> str:
    """An Arabic word as it is compared: without vowel signs, and with one form of each letter."""
    return _ARABIC_SIGNS.sub("", word).translate(_ARABIC_LETTERS)


ENGLISH: Final = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those some any one of on in at by to for from with without and or as is are be it "
        "its into over under near next beside picture photo photograph image drawing illustration showing shows",
    )
)
GERMAN: Final = frozenset(
    re.findall(
        r"\w+",
        "der die das den dem des ein eine einen einem einer eines und oder mit ohne auf im in an am vor hinter unter "
        "über neben zwischen aus von vom zu zum zur für ist sind wird werden als foto fotografie zeichnung zeigt",
    )
)
JAPANESE: Final = frozenset(
    re.findall(
        r"\w+",
        "の と に が は で も や を へ い な た て から まで には での との した して する いる ある です ます "
        "られた された している のある がある しい きい さい るい さな きな った いた 写真 画像",
    )
)
CHINESE: Final = frozenset(
    re.findall(
        r"\w+",
        "的 和 与 在 上 下 里 了 着 是 个 只 张 一",
    )
)
ARABIC: Final = frozenset(
    map(
        _arabic,
        re.findall(
            r"\w+",
            "في على من مع عن إلى بجانب أمام تحت فوق خلف بين هذا هذه ذلك تلك التي الذي هو هي أو و صورة",
        ),
    )
)
STOP_WORDS: Final = ENGLISH | GERMAN | JAPANESE | CHINESE | ARABIC
"""Words that say nothing of what is in an image. A word that is one in any language is one in all: the few that are
not (German `die`) cost less than a mistake about the language of a caption of three words."""

_HAN: Final = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KATAKANA: Final = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HIRAGANA: Final = "\u3041-\u3096\u309d-\u309f"


def _marks() -> str:
    """The combining marks of the scripts in use, as the inside of a character class: `\\w` has no marks."""
    marks = [code for code in range(0x0300, 0x2000) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    return "".join(chr(code) for code in marks) + "\u3099\u309a\u200c\u200d"


_ADJECTIVE: Final = re.compile("しい|きい|さい|るい|さな|きな|[いなの]")

_ASCII: Final = re.compile(r"\w+")
_LETTERS: Final = rf"[\w{_marks()}]"
_TOKEN: Final = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<kata>[{_KATAKANA}]+)|(?P<hira>[{_HIRAGANA}]+)"
    rf"|(?:(?![{_HAN}{_KATAKANA}{_HIRAGANA}]){_LETTERS})+"
)
_PARTICLE: Final = re.compile(r"(?<=..)(?:から|まで|[のとにがはでをへ])$")
"""At the end of a word in hiragana."""

_ENDING: Final = re.compile(r"^(?:しい|きい|さい|るい|さな|きな|された|した|った|いた|[いなのをとがにはでも])(?=..)")
"""At the start of hiragana that follows another script: of the word before, or a particle between both."""

_ARABIC_PREFIX: Final = re.compile("^(?:وال|بال|كال|فال|ال|لل|و)(?=[\u0620-\u064a]{3})")
_WRITTEN_WITH_W: Final = (
    "واحد", "واحدة", "وادي", "واسع", "واسعة", "واقف", "واقفة", "وجه", "وجوه", "وحيد", "وحيدة", "وردة", "وردي", "وردية",
    "ورود", "ورق", "ورقة", "ورقي", "ورقية", "وسادة", "وسائد", "وشاح", "وعاء", "ولد",
)  # fmt: skip
"""Common words in which the first letter is no "and"."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a text.

    Attributes:
        text: as it is compared: lower case, without what is written together with it.
        start, end: where it is in the text.
    """

    text: str
    start: int
    end: int


def units(text: str) -> Iterator[Word]:
    """The words of a text in their order, those included that say nothing; compounds in one."""
    if text.isascii():
        yield from (Word(match[0].lower(), match.start(), match.end()) for match in _ASCII.finditer(text))
        return
    for match in _TOKEN.finditer(text):
        start, end, token = match.start(), match.end(), match[0]
        if token.isascii():
            yield Word(token.lower(), start, end)
        elif match["hira"]:
            before = _ENDING.match(token) if start and not text[start - 1].isspace() else None
            start += len(before[0]) if before else 0
            after = _PARTICLE.search(text[start:end])
            end -= len(after[0]) if after else 0
            yield Word(text[start:end], start, end)
        elif "\u0600" <= token[0] <= "\u06ff":
            prefix = arabic_prefix(token)
            yield Word(_arabic(token[len(prefix) :]), start + len(prefix), end)
        else:
            yield Word(unicodedata.normalize("NFKC", token).casefold(), start, end)


@lru_cache(maxsize=4096)
def _is_han(character: str) -> bool:
    return re.fullmatch(f"[{_HAN}]", character) is not None


def all_words(text: str) -> list[str]:
    """The words of a text as captions are compared, in their order: those of `units`, Chinese characters one by one."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    parts = []
    for word in units(text):
        parts += [*word.text] if _is_han(word.text[:1]) and word.text not in STOP_WORDS else [word.text]
    return parts


def words(text: str) -> list[str]:
    """The content words of a text, in order, lower case."""
    return [word for word in all_words(text) if word not in STOP_WORDS]


def exchange_units(text: str) -> list[Word]:
    """The content words of a text with their places, each with the ending that Japanese writes after it: `赤い` is
    exchanged for `緑の`, not `赤` for `緑`."""
    result = []
    for word in content_units(text):
        ending = None if text.isascii() else _ADJECTIVE.match(text, word.end)
        if ending and re.fullmatch(f"[{_HAN}{_KATAKANA}]", text[word.end - 1]):
            word = Word(text[word.start : ending.end()], word.start, ending.end())
        result.append(word)
    return result


def content_units(text: str) -> list[Word]:
    """The content words of a text with their places; compounds in one."""
    return [word for word in units(text) if word.text not in STOP_WORDS]


def arabic_prefix(token: str) -> str:
    """What is written together with an Arabic word, before it: "and", "the", or both."""
    if token in _WRITTEN_WITH_W:
        return ""
    match = _ARABIC_PREFIX.match(token)
    prefix = match[0] if match else ""
    if prefix == "و" and token[1:] in _WRITTEN_WITH_W:
        return prefix
    if prefix == "و" and token.startswith(_WRITTEN_WITH_W):
        return ""
    return prefix
