"""Hard negatives of a phrase, and a list of common objects as rivals.

A cosine alone says little: its level differs between encoders and between phrases. Whether a phrase beats alternatives
is the zero-shot classification that CLIP was made for (Radford et al., 2021, section 3.1).
"""

import re
from typing import Final

from imagerag.agent.types import Requirement
from imagerag.tools.judges.clip.checklist import ADJECTIVES, DETERMINERS

_GROUPS: Final = (
    ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey", "golden"),
    ("striped", "dotted", "checkered", "plain", "floral"),
    ("wooden", "metal", "glass", "plastic", "stone", "leather", "paper"),
    ("one", "two", "three", "four", "five", "six"),
    ("small", "large"), ("tiny", "huge"), ("old", "new"), ("young", "old"), ("open", "closed"), ("empty", "full"),
    ("summer", "winter", "autumn", "spring"), ("day", "night"),
    ("painting", "photograph", "drawing", "sculpture"), ("watercolor", "oil", "pencil", "ink"),
)  # fmt: skip
_SAME: Final = {"gray": "grey", "violet": "purple", "gold": "golden", "spotted": "dotted", "big": "large",
                "watercolour": "watercolor", "photo": "photograph"}  # fmt: skip

NOUNS: Final = tuple(
    """
    dog cat horse cow sheep pig goat chicken duck bird eagle owl parrot penguin fish shark whale dolphin turtle snake
    lizard frog spider bee butterfly ant bear lion tiger elephant giraffe zebra monkey rabbit mouse squirrel fox wolf
    deer man woman child baby crowd face hand tree flower rose grass leaf forest mountain beach ocean river lake
    waterfall desert field garden sky cloud sunset moon snow rain fire rock island cave house building skyscraper church
    castle bridge tower street road city village kitchen bedroom bathroom office classroom library shop market stadium
    car bus truck train bicycle motorcycle airplane helicopter boat ship rocket tractor chair table sofa bed desk lamp
    door window mirror clock shelf stairs cup plate bowl bottle knife fork spoon pan stove bread cake pizza sandwich
    burger apple banana orange lemon strawberry tomato carrot potato cheese egg soup coffee tea wine book newspaper
    letter map sign poster painting statue camera phone laptop keyboard television guitar piano violin drum ball kite
    doll toy robot hat shirt dress shoe coat glasses watch ring umbrella backpack box bag basket candle key hammer
    scissors ladder fence flag crown
    """.split()  # noqa: SIM905, prose is easier to read than a list of quoted words
)


def hard_negatives(text: str) -> list[str]:
    """The phrase with one word replaced by another of its kind: colours, patterns, materials, numbers, opposites."""
    swaps = []
    for match in re.finditer(r"[\w'-]+", text):
        word = match[0].lower()
        word = _SAME.get(word, word)
        for group in _GROUPS:
            if word in group:
                swaps += [f"{text[: match.start()]}{other}{text[match.end() :]}" for other in group if other != word]
    return list(dict.fromkeys(swaps))


def common_objects(text: str) -> list[str]:
    """`NOUNS` with an article, except those that the phrase names."""
    words = set(re.findall(r"[\w'-]+", text.lower()))
    words |= {word.removesuffix("s") for word in words} | {word.removesuffix("es") for word in words}
    return [f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in NOUNS if noun not in words]


def reworded(requirement: Requirement, variant: int) -> tuple[Requirement, ...]:
    """More general wordings of a content phrase: without its properties, then the noun alone. None for style."""
    if requirement.kind == "style":
        return ()
    head = _MORE.split(" ".join(requirement.text.lower().split()), maxsplit=1)[0]
    words = re.findall(r"[\w'-]+", head)
    before = words[:1] if words and words[0] in DETERMINERS else []
    rest = [word for word in words[len(before) :] if word not in ADJECTIVES | {"and", "or"}]
    general = rest if variant == 1 else rest[-1:]
    if not general or general == words[len(before) :]:
        return ()
    if before in (["a"], ["an"]):
        before = ["an" if general[0][0] in "aeiou" else "a"]
    return (Requirement(text=" ".join([*before, *general])),)


_MORE: Final = re.compile(r"\s(?:of|with|in|on|at|from|that|which|without|for)\s")
