"""Feedback as an encoder can check it: what there should be after each change, and what of the prompt is still valid.

Grammar rules, as in `checklist`: `make the boots red` is checked as `red boots`, and what the prompt says of boots is
not checked any more; `remove the tent` is met where no tent is seen. A later change of the same thing overrides an
earlier one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from imagerag.agent.types import Requirement
from imagerag.tools.judges.clip.checklist import ABSENT, ADJECTIVES, DETERMINERS, checklist

OVERRIDDEN: Final = "a later change overrides it"
"""Evidence for a feedback of which nothing is left to check."""


@dataclass(frozen=True)
class RevisedChecklist:
    """What is left of a prompt after feedback, and for each feedback what is checked; `no …` is absent."""

    of_prompt: tuple[Requirement, ...]
    of_feedback: tuple[tuple[Requirement, ...], ...] = ()


Revise: TypeAlias = Callable[[str, Sequence[str]], RevisedChecklist]
"""(prompt, feedback) → what is checked."""

POLITE: Final = re.compile(r"^(?:please|now|also|then|just|only|and|can you|could you)\s+", re.IGNORECASE)
_REMOVE: Final = re.compile(
    r"^(?:remove|delete|erase|take away|take out|get rid of|without|no)\s+(?P<target>.+)$", re.I
)
REPLACE: Final = re.compile(r"^(?:replace|swap|exchange)\s+(?P<target>.+?)\s+(?:with|by|for)\s+(?P<result>.+)$", re.I)
_CHANGE: Final = re.compile(
    r"^(?:change|turn|make|recolou?r|paint|colou?r|dye|set)\s+(?:the\s+colou?r\s+of\s+)?(?P<target>.+?)\s+(?:in)?to\s+"
    r"(?P<result>.+)$",
    re.IGNORECASE,
)
_MAKE: Final = re.compile(
    r"^(?:make|paint|colou?r|recolou?r|dye|turn)\s+(?P<target>(?:the|that|this|his|her)\s+.+)$", re.I
)
_ADD: Final = re.compile(
    r"^(?:add|insert|put|place|draw|give|use|show|also show|in this style:)\s+(?P<result>.+)$", re.I
)


def revise(prompt: str, feedback: Sequence[str]) -> RevisedChecklist:
    """The checklist of a prompt after feedback."""
    own = list(checklist(prompt))
    points: list[list[Requirement]] = []
    for words in feedback:
        changed, results = _change(words)
        for earlier in [own, *points] if changed else ():
            earlier[:] = [left for one in earlier if (left := _without(one, changed)) is not None]
        points.append(list(results))
    return RevisedChecklist(tuple(own), tuple(map(tuple, points)))


def _without(requirement: Requirement, noun: str) -> Requirement | None:
    """A requirement without what it says of a thing that is changed; None if it is about this thing."""
    if _noun(requirement.text) == noun:
        return None
    words: list[str] = []
    for word in requirement.text.split():
        while _noun(word) == noun and words and words[-1].lower() in ADJECTIVES:
            words.pop()
        words.append(word)
    return requirement.model_copy(update={"text": " ".join(words)})


def _change(feedback: str) -> tuple[str, tuple[Requirement, ...]]:
    """The noun of what a feedback changes, if any, and what there should be then."""
    words = POLITE.sub("", " ".join(feedback.split())).rstrip(" .!")
    if removal := _REMOVE.match(words):
        return _noun(removal["target"]), (Requirement(text=ABSENT + _bare(removal["target"])),)
    if replacement := REPLACE.match(words):
        return _noun(replacement["target"]), checklist(replacement["result"])
    if change := _CHANGE.match(words):
        return _noun(change["target"]), checklist(f"{change['result']} {_nouns(change['target'])}")
    if make := _MAKE.match(words):
        target, result = _parted(make["target"])
        return _noun(target), checklist(f"{result} {_nouns(target)}")
    added = _ADD.match(words)
    return "", checklist(added["result"] if added else words)


def _parted(words: str) -> tuple[str, str]:
    """`the boots bright red` → `the boots`, `bright red`; without a property at the end, the last word is one."""
    parts = words.split()
    at = len(parts)
    while at > 2 and parts[at - 1].lower() in ADJECTIVES:
        at -= 1
    at = at if at < len(parts) else max(len(parts) - 1, 1)
    return " ".join(parts[:at]), " ".join(parts[at:])


def _bare(text: str) -> str:
    words = text.split()
    return " ".join(words[1:] if words[1:] and words[0].lower() in DETERMINERS else words)


def _nouns(text: str) -> str:
    """A thing without its article and its properties."""
    return " ".join(word for word in _bare(text).split() if word.lower() not in ADJECTIVES)


def _noun(text: str) -> str:
    """The last word of a thing, without a plural's s."""
    words = re.findall(r"[\w'-]+", _MORE.split(text.lower().removeprefix(ABSENT), maxsplit=1)[0])
    return words[-1].removesuffix("s") if words else ""


_MORE: Final = re.compile(r"\s(?:of|with|in|on|at|from|that|which|for)\s")
