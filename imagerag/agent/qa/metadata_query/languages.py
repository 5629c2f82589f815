"""Plain German and French questions, made into the English that `parser.py` reads.

Only the frame of a question is translated, by phrases: what is asked for, orders, bounds, "not" and "or". Names of
things stay as they are; what a library or an answerer's synonyms know of them is met later. Nothing is guessed: a word
that is not here stays, and counts as unknown.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Final

from imagerag.agent.qa.metadata_query.word_forms import fold


def _table(text: str) -> dict[str, str]:
    """`english: word, word` a line."""
    table: dict[str, str] = {}
    for line in text.strip().splitlines():
        english, _, words = line.partition(":")
        table |= {word.strip(): english.strip() for word in words.split(",")}
    return table


_ORDINALS: Final = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def _german() -> dict[str, str]:
    table = _table(
        """
        how much is: was kostet, was kosten, wie viel kostet, wie viel kosten, wieviel kostet, wie teuer ist
        how many: wie viele, wieviele, wie viel, wieviel, anzahl der
        what is: was ist, welches ist, welcher ist, welche ist, wie ist
        what are: was sind, welche sind
        which: welche, welches, welcher, welchen, welchem
        what: was
        who made: wer hat
        show: zeig, zeige, zeigt, zeigen, nenn, nenne, finde
        list: liste, auflisten
        me: mir, uns
        i: ich, wir
        you: du, ihr, sie, man
        my: mein, meine, meinen, meiner, unser, unsere, unserer
        have: habe, hast, hat, haben, habt
        are there: gibt es, gibts, gibt's
        is: ist
        are: sind, waren
        need: brauche, brauchen, benotige, benotigen
        want: will, mochte, mochten, wollen, suche, suchen
        options: moglichkeit, moglichkeiten, auswahl, optionen
        recommend: empfehlen, empfiehlst, empfehlt, vorschlagen
        product: produkt, produkte, produkten, produkts, artikel, artikeln, ding, dinge, sache, sachen, ware, waren
        picture: bild, bilder, foto, fotos
        catalogue: katalog, kataloges, katalogs, sortiment, bibliothek, angebot
        everything: alles, alle, allen, aller
        something: etwas, was fur, irgendetwas, irgendwas
        the: der, die, das, den, dem, des
        a: ein, eine, einen, einem, einer, eines
        in: im, in, am, an, auf
        of: von, vom, aus
        for: fur
        with: mit
        to: zu, zum, zur
        it: es, davon
        and: und, sowie
        or: oder
        not: nicht
        no: kein, keine, keinen, keiner, keines, keinem
        without: ohne
        except: ausser, bis auf
        exactly: genau, exakt
        that: dass
        there: da
        than: als
        under: unter, unterhalb von, weniger als, billiger als, gunstiger als
        over: uber, oberhalb von, mehr als, teurer als
        at most: hochstens, maximal, bis zu, bis
        at least: mindestens, ab
        between: zwischen
        dollars: dollar
        cost: kostet, kosten
        price: preis, preise, preisen
        sort by price: nach preis sortiert, nach preis sortieren, nach dem preis sortiert
        sort: sortiere, sortiert, sortieren, ordne, geordnet
        by: nach
        descending: absteigend
        ascending: aufsteigend
        first: zuerst
        average: durchschnitt, durchschnittlich, durchschnittliche, durchschnittlichen, mittlere
        average price: durchschnittspreis
        total: gesamt, gesamte, insgesamt, summe
        cheaper: billiger, gunstiger, preiswerter
        more expensive: teurer
        two: zwei, beiden
        three: drei
        four: vier
        five: funf
        """
    )
    highest = [f"teuerste{end}" for end in ("", "n", "r", "s", "m")]
    lowest = [f"{root}ste{end}" for root, end in product(("billig", "gunstig", "preiswerte"), ("", "n", "r", "s", "m"))]
    prefixes = ("zweit", "dritt", "viert", "funft", "sechst", "siebt", "acht", "neunt", "zehnt")
    for english, words in (("most expensive", highest), ("cheapest", lowest)):
        for word in words:
            table |= {word: english, f"am {word}": english}
            table |= {f"{p}{word}": f"{o} {english}" for p, o in zip(prefixes, _ORDINALS, strict=True)}
    for prefix, ordinal in zip(prefixes, _ORDINALS, strict=True):
        table |= {f"{prefix}e{end}": ordinal for end in ("", "n", "r", "s")}
    return table


def _french() -> dict[str, str]:
    table = _table(
        """
        how much is: combien coute, combien coutent, quel est le prix de, quel est le prix du, a combien est
        how many: combien de, combien d, combien y a t il de, combien
        what is: quel est, quelle est, qu est ce que, c est quoi, qu est ce qui
        what are: quels sont, quelles sont
        which: quel, quelle, quels, quelles, lequel, laquelle, lesquels, lesquelles
        who made: qui a fait, qui a dessine
        show: montre, montrez, affiche, affichez, donne, donnez, trouve, trouvez
        list: liste, listez
        me: moi, nous
        i: je, j
        you: vous, tu
        my: mon, ma, mes, notre, nos
        have: ai, avez, avons, as
        need: besoin
        want: veux, voudrais, voulons, cherche, cherchons
        options: options, choix, possibilites
        recommend: recommander, recommandez, conseiller, conseillez
        are there: y a t il, il y a, est ce qu il y a, existe t il
        is: est, est ce que
        are: sont
        product: produit, produits, article, articles, chose, choses, objet, objets
        picture: image, images, photo, photos
        catalogue: catalogue, bibliotheque, gamme
        everything: tout, tous, toute, toutes
        something: quelque chose, quelque chose de, quelque chose d
        the: le, la, les, l, ceux, celui, celle, celles
        a: un, une
        of: de, du, des, d
        in: dans, en
        at: au, aux
        for: pour
        with: avec
        that: qui, que
        and: et
        or: ou
        not: ne sont pas, n est pas, pas, non
        no: aucun, aucune
        without: sans
        except: sauf, hormis, autre que, autres que, a part
        exactly: exactement
        under: moins de, en dessous de, moins cher que, moins chers que, moins chere que, moins cheres que
        over: plus de, au dessus de, plus cher que, plus chers que, plus chere que, plus cheres que
        at most: au plus, au maximum, jusqu a, maximum
        at least: au moins, au minimum, a partir de
        between: entre
        cost: coute, coutent
        price: prix
        sort: trie, trier, triez, tries, triees, classe, classer, classes
        by: par
        descending: decroissant
        ascending: croissant
        first: d abord
        average: moyen, moyenne
        total: total, somme
        two: deux
        three: trois
        four: quatre
        five: cinq
        """
    )
    for ending in ("cher", "chere", "chers", "cheres"):
        for the in ("le ", "la ", "les ", ""):
            table |= {f"{the}plus {ending}": "the most expensive" if the else "more expensive"}
            table |= {f"{the}moins {ending}": "the cheapest" if the else "cheaper"}
    ordinals = ("deuxieme", "troisieme", "quatrieme", "cinquieme", "sixieme", "septieme", "huitieme", "neuvieme")
    table |= {**dict(zip(ordinals, _ORDINALS, strict=False)), "second": "second", "seconde": "second"}
    return table


NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "German": _table(
        """
        colour: farbe, farben
        shape: form, formen
        pattern: muster
        category: kategorie, kategorien
        licence: lizenz, lizenzen
        author: autor, urheber
        """
    ),
    "French": _table(
        """
        colour: couleur, couleurs
        shape: forme, formes
        pattern: motif, motifs
        category: categorie, categories
        licence: licence, licences
        author: auteur
        """
    ),
}
"""Names of keys, which are left as they are where a library has them so."""

_COMMA: Final = re.compile(r"(\d),(\d{1,2})(?!\d)")
_JOINTS: Final = re.compile(r"(?<=\w)['’-](?=\w)")


def in_english(question: str, has_word: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """The question in English from each language that changes anything in it: the language, and the words.

    Args:
        has_word: whether a library has a word for itself.
    """
    normalized = _COMMA.sub(r"\1.\2", _JOINTS.sub(" ", fold(question)))
    for language in NAMES:
        pattern, table = _phrases(language)

        def english(match: "re.Match[str]", language: str = language, table: Mapping[str, str] = table) -> str:
            word = match[0]
            return word if word in NAMES[language] and has_word(word) else table[word]

        changed = pattern.sub(english, normalized)
        if changed != normalized:
            yield language, " ".join(_swapped(changed).split())


def _swapped(text: str) -> str:
    """`the second product the most expensive` (French order) as `the second most expensive product`."""
    return _BEHIND.sub(lambda match: f"{match[1]} {match[3]} {match[2]}", text)


_COUNTED: Final = "|".join((*_ORDINALS, "two", "three", "four", "five"))
_BEHIND: Final = re.compile(rf"\b({_COUNTED}) ((?:\w+ ){{0,2}}\w+) the (most expensive|cheapest)\b")


@cache
def _phrases(language: str) -> tuple["re.Pattern[str]", Mapping[str, str]]:
    table = {**NAMES[language], **(_german() if language == "German" else _french())}
    longest = sorted(table, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b"), table
