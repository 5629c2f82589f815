"""The language of a library's captions, told by script and by function words.

Captions are searched for with captions, so those that a judge writes have to be in the language of the library's. One
short caption says little, and a library has many: each has a vote, and those without a sign of any language have none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from imagerag.agent.ports import capabilities_of

NAMES: Final[Mapping[str, str]] = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian",
    "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sv": "Swedish", "ta": "Tamil", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""Language, as a BCP 47 tag → its English name."""

SAMPLE: Final = 1_000
"""Captions that suffice to tell a library's language."""

MAJORITY: Final = 0.6
"""Share of the votes that the language of a library has; below it, its captions are of several languages."""

VOTERS: Final = 0.1
"""Share of the captions whose language shows, below which the language of all is unknown."""

_SCRIPTS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\u1100-\u11ff\uac00-\ud7af]")),
    ("zh", re.compile("[\u3400-\u9fff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("bn", re.compile("[\u0980-\u09ff]")),
    ("ta", re.compile("[\u0b80-\u0bff]")),
    ("hy", re.compile("[\u0530-\u058f]")),
    ("ka", re.compile("[\u10a0-\u10ff]")),
    ("vi", re.compile("[đơưạ-ỹ]", re.IGNORECASE)),
    ("ur", re.compile("[ٹڈڑںھہے]")),
    ("fa", re.compile("[پچژگکی]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("uk", re.compile("[іїєґ]", re.IGNORECASE)),
    ("ru", re.compile("[ыэё]", re.IGNORECASE)),
)
"""Letters that tell a language; of several that a caption has, the first one counts."""

_FUNCTION_WORDS: Final = {
    "en": "a an the of with and on in at is are to for from by two three his her its that this while next under over "
    "red blue green yellow white black brown man woman sitting standing",
    "de": "der die das den dem des ein eine einen einem einer eines und mit auf im am vor für von vom zum zur ist sind "
    "auf aus bei neben unter über zwei drei sich nach durch rot rote roter rotes blau blaue blauer blaues grün grüne "
    "grüner grünes weiß weiße weißer weißes schwarz schwarze schwarzer schwarzes gelbe gelber gelbes mann frau",
    "fr": "le la les un une des du de d l et avec sur dans au aux en est sont qui pour par devant sous près deux trois "
    "rouge bleu bleue vert verte blanc blanche noir noire jaune homme femme",
    "es": "el la los las un una unos unas de del y con en al es son que por para sobre junto bajo dos tres rojo roja "
    "azul verde blanco blanca negro negra amarillo amarilla hombre mujer",
    "pt": "o a os as um uma uns umas de do da dos das e com em no na nos nas é são que por para sobre ao à dois duas "
    "vermelho vermelha azul verde branco branca preto preta amarelo amarela homem mulher",
    "it": "il lo la i gli le un uno una di del della dei delle e con su nel nella al alla è sono che per da sotto "
    "due tre rosso rossa blu verde bianco bianca nero nera giallo gialla uomo donna",
    "nl": "de het een en met op in van aan bij voor naast onder boven is zijn die dat twee drie rood rode blauw blauwe "
    "groen groene wit witte zwart zwarte geel gele man vrouw",
    "sv": "en ett och med på i av för vid är till från under över bredvid två tre röd rött blå blått grön grönt vit "
    "vitt svart gul gult man kvinna",
    "da": "en et og med på i af for ved er som til fra under over siden to tre rød rødt blå blåt grøn grønt hvid hvidt "
    "sort gul gult mand kvinde",
    "no": "en et ei og med på i av for ved er som til fra under over siden to tre rød rødt blå blått grønn grønt hvit "
    "hvitt svart gul gult mann kvinne",
    "fi": "ja on joka jossa sekä kanssa vieressä päällä edessä kaksi kolme punainen sininen vihreä valkoinen musta "
    "keltainen mies nainen",
    "pl": "i z ze na w we do od przy pod nad oraz jest są który która dwa dwie trzy się czerwony czerwona niebieski "
    "niebieska zielony zielona biały biała czarny czarna żółty żółta mężczyzna kobieta",
    "cs": "a s se na v ve u pod před je jsou který která dva dvě tři do od červený červená modrý modrá zelený zelená "
    "bílý bílá černý černá žlutý žlutá muž žena",
    "hu": "a az egy és van mellett alatt felett előtt két három piros kék zöld fehér fekete sárga férfi nő",
    "ro": "un o și cu pe în la de din lângă sub este sunt care două trei roșu roșie albastru albastră verde alb albă "
    "negru neagră galben galbenă bărbat femeie",
    "tr": "bir ve ile üzerinde içinde altında yanında olan iki üç kırmızı mavi yeşil beyaz siyah sarı adam kadın",
    "id": "sebuah seekor seorang dan dengan di ke dari yang atas bawah dua tiga merah biru hijau putih hitam kuning "
    "pria wanita",
    "ru": "и в на с со у под над из для от по за два две три красный красная синий синяя зелёный зеленый белый белая "
    "чёрный черный желтый желтая",
    "bg": "и в на с със под над от до при две три един една червен червена син синя зелен зелена бял бяла черен черна "
    "жълт жълта",
}

_WORD: Final = re.compile(r"[^\W\d_]+")


def caption_language(captions: Iterable[str], declared: Iterable[str] = ()) -> str:
    """The language of most captions, as a BCP 47 tag; "" where it does not show, or there is no such language.

    Args:
        captions: as many as there are; the first `SAMPLE` are read.
        declared: tags that their owner has given to captions (`de`, `pt-BR`), which have a vote each, too.
    """
    sample = [caption for _, caption in zip(range(SAMPLE), captions, strict=False) if _WORD.search(caption)]
    tags = filter(None, map(primary_language, declared))
    votes = Counter([*filter(None, map(_vote, sample)), *tags])
    if not votes or votes.total() < VOTERS * len(sample):
        return ""
    language, count = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    return language if count >= MAJORITY * votes.total() else ""


def primary_language(tag: str) -> str:
    """The language of a BCP 47 tag: `pt` of `pt-BR`; "" of one that is not in `NAMES`."""
    primary = tag.strip().replace("_", "-").partition("-")[0].lower()
    return primary if primary in NAMES else ""


def language_name(tag: str) -> str:
    """The English name of a language of `NAMES`; "" of another one."""
    return NAMES.get(tag, "")


def language_argument(judge: object, language: str) -> dict[str, Any]:
    """The argument by which a judge writes captions in a language (a tag of `NAMES`).

    Returns:
        Empty for an unknown language, and for a judge that takes none.
    """
    return {"language": language} if language in NAMES and capabilities_of(judge).takes_language else {}


def _vote(caption: str) -> str:
    """The language that one caption shows; "" where it could be several or none."""
    if script := next((language for language, letters in _SCRIPTS if letters.search(caption)), ""):
        return script
    scores: defaultdict[str, float] = defaultdict(float)
    for word in _WORD.findall(caption.casefold()):
        for language in (languages := _languages_of().get(word, ())):
            scores[language] += 1 / len(languages)
    most = max(scores.values(), default=0.0)
    best = [language for language, score in scores.items() if most - score < 1e-9]
    return best[0] if len(best) == 1 else ""


@cache
def _languages_of() -> dict[str, tuple[str, ...]]:
    """Function word → its languages."""
    languages: dict[str, tuple[str, ...]] = {}
    for language, words in _FUNCTION_WORDS.items():
        for word in dict.fromkeys(words.casefold().split()):
            languages[word] = (*languages.get(word, ()), language)
    return languages
