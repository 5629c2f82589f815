"""German and French words of the sketch world, with adjective endings."""

from collections.abc import Iterable, Mapping
from typing import Final

from imagerag.agent.qa.metadata_query.word_forms import fold

_GERMAN: Final[Mapping[str, str]] = {
    "circle": "kreis/e/en/es kreisformig* rund*", "square": "quadrat/e/en quadratisch* viereck/e/en viereckig*",
    "triangle": "dreieck/e/en/s dreieckig*", "rectangle": "rechteck/e/en/s rechteckig*",
    "diamond": "raute/n rautenformig*", "oval": "oval* ovale/n ellipse/n", "hexagon": "sechseck/e/en/s sechseckig*",
    "star": "stern/e/en/s sternformig*", "heart": "herz/en/es herzformig*",
    "crescent": "mondsichel/n halbmond/e/en sichel/n mond/e", "cross": "kreuz/e/en/es kreuzformig*",
    "arrow": "pfeil/e/en/s", "semicircle": "halbkreis/e/en/es halbrund*", "drop": "tropfen/s", "bolt": "blitz/e/en/es",
    "flower": "blume/n blute/n",
    "red": "rot*", "yellow": "gelb*", "lime": "hellgrun* limette limettengrun*", "green": "grun*",
    "teal": "turkis* turkisfarben* petrol", "blue": "blau*", "purple": "lila violett* purpurn*",
    "pink": "rosa rosafarben*", "brown": "braun*", "black": "schwarz*", "grey": "grau*", "orange": "orangefarben*",
    "solid": "einfarbig* ungemustert*", "striped": "gestreift* streifen", "dotted": "gepunktet* punkte/n getupft*",
    "checkered": "kariert* karo/s", "ringed": "geringelt* ringe/n", "split": "geteilt* zweifarbig* halbiert*",
}  # fmt: skip
_FRENCH: Final[Mapping[str, str]] = {
    "circle": "cercle/s rond/e/s/es circulaire/s", "square": "carre/e/s/es", "triangle": "triangulaire/s triangles",
    "rectangle": "rectangulaire/s", "diamond": "losange/s", "oval": "ovale/s", "hexagon": "hexagone/s hexagonal/e/s/es",
    "star": "etoile/s", "heart": "coeur/s", "crescent": "croissant/s lune/s", "cross": "croix", "arrow": "fleche/s",
    "semicircle": "demi-cercle/s", "drop": "goutte/s", "bolt": "eclair/s", "flower": "fleur/s",
    "red": "rouge/s", "yellow": "jaune/s", "green": "vert/e/s/es", "teal": "turquoise/s", "blue": "bleu/e/s/es",
    "purple": "violet/te/s/tes pourpre/s", "pink": "rose/s", "brown": "marron/s brun/e/s/es", "black": "noir/e/s/es",
    "grey": "gris/e/es", "lime": "citron-vert", "solid": "uni/e/s/es", "striped": "raye/e/s/es rayures",
    "dotted": "pois pointille/e/s/es", "checkered": "carreaux damier", "ringed": "anneaux cercles-concentriques",
    "split": "bicolore/s",
}  # fmt: skip
_ENDINGS: Final = ("", "e", "er", "es", "en", "em")


def translations() -> dict[str, str]:
    """Each word, without accents, with the world's word: `rotes` → `red`, `etoile` → `star`."""
    return {fold(form): word for table in (_FRENCH, _GERMAN) for word, forms in table.items() for form in _all(forms)}


def _all(forms: str) -> Iterable[str]:
    """Expand `kreis/e/en` and `rot*`."""
    for form in forms.split():
        root, *endings = form.split("/")
        if root.endswith("*"):
            endings, root = list(_ENDINGS), root[:-1]
        yield root.replace("-", " ")
        yield from (f"{root}{ending}".replace("-", " ") for ending in endings)
