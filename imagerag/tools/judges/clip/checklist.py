"""Split a prompt into atomic requirements by grammar rules, without a model.

Content and style are separate: `an oil painting of a red ball and a blue cube on a white background` has the content
requirements red ball and blue cube, and the style requirements oil painting and white background. A relation between
things (`holding`, `next to`) separates phrases and is not a requirement: an encoder of whole images cannot tell who
holds whom.
"""

import re
from typing import Final, Literal

from imagerag.agent.prompts import says_something
from imagerag.agent.types import Requirement

DETERMINERS: Final = frozenset(
    "a an the one two three four five six seven eight nine ten several many some my your his her its our their".split()  # noqa: SIM905
)
ADJECTIVES: Final = frozenset(
    """
    red orange yellow lime green teal turquoise blue purple violet pink brown black white grey gray golden silver beige
    solid striped dotted checkered ringed split plain spotted checked plaid patterned
    big small large little tiny huge tall short long wide round square flat thick thin old young new ancient modern
    wooden metal metallic glass plastic stone leather paper shiny matte bright dark light pale soft hard hot cold wet
    """.split()  # noqa: SIM905, prose is easier to read than a list of quoted words
)
ABSENT: Final = "no "
"""First words of a requirement that something is absent, as edits produce it."""
RELATIONS: Final = (
    "in front of", "on top of", "on the left of", "on the right of", "to the left of", "to the right of", "next to",
    "close to", "together with", "surrounded by", "made up of", "as well as", "standing on", "sitting on", "lying on",
    "looking at", "leaning on", "leaning against", "filled with", "covered with", "covered in", "beside", "near",
    "behind", "under", "underneath", "below", "above", "over", "between", "inside", "beneath", "against", "alongside",
    "with", "holding", "carrying", "wearing", "riding", "eating", "plus", "on", "in", "at", "from", "into",
)  # fmt: skip
FRAMES: Final = frozenset(
    """
    draw show generate create make paint render please me i want us of photo photograph picture image that depicting
    showing there is are and or then also
    """.split()  # noqa: SIM905
)
"""Words that introduce a request and are not a requirement themselves."""

_STYLES: Final = frozenset(
    """
    style styled styles painting drawing sketch illustration watercolor watercolour artwork art render rendering anime
    cartoon comic manga engraving woodcut mosaic photorealistic realistic photorealism cinematic lighting palette
    impressionist cubist minimalist surreal vaporwave background backdrop monochrome photography lineart bokeh detailed
    4k 8k hd hdr
    """.split()  # noqa: SIM905
)
_MEDIUM: Final = re.compile(
    r"^(?P<medium>(?:(?:an?|the)\s+)?(?:[\w-]+\s+){0,4}?"
    r"(?:photo|photograph|picture|image|painting|drawing|sketch|illustration|render|rendering|watercolou?r|cartoon|"
    r"comic|poster|icon|logo|engraving|woodcut|mosaic|portrait))\s+(?:of|showing|depicting)\s+(?=\S)",
    re.IGNORECASE,
)
_COMMAND: Final = re.compile(r"^(?:please\s+)?(?:draw|show|generate|create|make|paint|render)\s+(?:me\s+)?(?=\S)", re.I)
_GROUND: Final = re.compile(
    r"\b(?:on|against|over|with|in front of)\s+"
    r"(?P<style>(?:an?\s+|the\s+)?(?:[\w-]+\s+){1,4}?(?:background|backdrop))\b",
    re.IGNORECASE,
)
_MANNER: Final = re.compile(
    r"\b(?P<style>in\s+the\s+style\s+of\s+[^,.;:!?\n]+|in\s+(?:an?\s+)?(?:[\w-]+\s+){1,3}?style)(?=[\s,.;:!?]|$)",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"\"[^\"]*\"|“[^”]*”|[\w'’#%&/+-]+|[^\w\s]")
_RELATION: Final = tuple(tuple(relation.split()) for relation in RELATIONS)
_STOPS: Final = frozenset(".;:!?()[]{}\n")


def checklist(prompt: str) -> tuple[Requirement, ...]:
    """Requirements of a prompt in its own wording, content first; at least one unless the prompt is blank.

    Each word of the prompt is in one requirement, except `RELATIONS`, `FRAMES` and conjunctions. Numbers of things
    (`two cats`) stay in the text; no check here counts.
    """
    rest, styles = split_style(prompt)
    requirements = [Requirement(text=text, kind=_kind(text)) for text in phrases(rest)]
    requirements += [Requirement(text=style, kind="style") for style in styles]
    distinct = {requirement.text.lower(): requirement for requirement in reversed(requirements)}
    ordered = sorted(distinct.values(), key=lambda one: (one.kind == "style", requirements.index(one)))
    whole = " ".join(prompt.split())
    return tuple(ordered) or ((Requirement(text=whole),) if whole else ())


def unchecked(requirement: Requirement) -> str:
    """Reason why no image can show a requirement; empty if one can."""
    return "" if says_something(requirement.text) else "it has no words"


def split_style(prompt: str) -> tuple[str, list[str]]:
    """Split a prompt into the rest, and its style phrases (medium, manner, background) in order."""
    rest = _COMMAND.sub("", " ".join(prompt.split()))
    medium = _MEDIUM.match(rest)
    styles = []
    if medium:
        rest = rest[medium.end() :]
        words = set(re.findall(r"[\w'-]+", medium["medium"].lower()))
        if words - DETERMINERS - FRAMES:
            styles.append(medium["medium"])
    for pattern in (_GROUND, _MANNER):
        styles += [match["style"].strip() for match in pattern.finditer(rest)]
        rest = pattern.sub(" , ", rest)
    return rest, styles


def phrases(text: str) -> list[str]:
    """Noun phrases of a text, in order, split at punctuation, conjunctions and relations between things."""
    tokens = _TOKEN.findall(text)
    word_groups: list[list[str]] = [[]]
    at = 0
    while at < len(tokens):
        skip = _boundary(tokens, at, word_groups[-1])
        if skip:
            word_groups.append([])
            at += skip
        else:
            word_groups[-1].append(tokens[at])
            at += 1
    return [joined for joined in map(_join, _merged(word_groups)) if joined]


def _boundary(tokens: list[str], at: int, sofar: list[str]) -> int:
    """Number of tokens at `at` that separate two phrases; 0 for none."""
    word = tokens[at].lower()
    following = tokens[at + 1].lower() if at + 1 < len(tokens) else ""
    if word in _STOPS:
        return 1
    if not sofar:
        return 1 if word in ("and", "or", "then", ",") else 0
    complete = sofar[-1].lower() not in ADJECTIVES
    if word in ("and", "or", ",", "then"):
        return 1 if following in DETERMINERS or complete else 0
    for relation in _RELATION:
        if tuple(token.lower() for token in tokens[at : at + len(relation)]) == relation:
            after = tokens[at + len(relation)].lower() if at + len(relation) < len(tokens) else ""
            opens = after in DETERMINERS or (relation == ("with",) and after not in ("no", "out", ""))
            return len(relation) if opens and complete else 0
    return 0


def _merged(word_groups: list[list[str]]) -> list[list[str]]:
    """Merge a phrase of adjectives alone into the noun phrase before it: `a circle, red and solid`."""
    merged: list[list[str]] = []
    for words in word_groups:
        bare = all(word.lower() in ADJECTIVES | {"and", ","} for word in words)
        if words and bare and merged and len(merged[-1]) > 1:
            merged[-1] = [*merged[-1], ",", *words]
        elif words:
            merged.append(words)
    return merged


def _join(words: list[str]) -> str:
    while words and (words[0].lower() in ("and", "or", ",", "then") or not re.search(r"\w", words[0])):
        words = words[1:]
    while words and (words[-1].lower() in ("and", "or", "then") or not re.search(r"\w", words[-1])):
        words = words[:-1]
    if all(word.lower() in FRAMES | DETERMINERS for word in words):
        return ""
    return re.sub(r"\s+([^\w\s\"“'#&/+(-])", r"\1", " ".join(words))


def _kind(text: str) -> Literal["content", "style"]:
    words = re.findall(r"[\w-]+", text.lower())
    return "style" if words and words[0] not in DETERMINERS and _STYLES & set(words) else "content"
