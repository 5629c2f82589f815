"""Read what an edit asks for: `make the red circle blue`, `replace the star with a heart`, `on a mint background`.

Like the rest of the sketch world's language it reads the text alone. What is not understood as a change is taken for
what should be in the image afterwards, as any prompt is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from imagerag.tools.judges.clip.checklist import ABSENT
from imagerag.tools.sketch.caption_text import SYNONYMS
from imagerag.tools.sketch.text_parser import ParsedMention, parse, phrases
from imagerag.tools.sketch.world import BACKGROUNDS, articles


@dataclass(frozen=True, slots=True)
class Edit:
    """One change.

    Attributes:
        target: the thing in the image that is changed or taken away; None where something is added.
        result: what there is in its place, or beside the rest; None where something is taken away.
        background: the word of the new background; another word where this world has no such background.
    """

    target: ParsedMention | None = None
    result: ParsedMention | None = None
    background: str = ""


_VERB: Final = (
    r"change|turn|make|recolou?r|paint|colou?r|dye|replace|swap|exchange|remove|delete|erase|add|insert|put|place|set|"
    r"draw|take|give|keep|leave"
)
_SPLIT: Final = re.compile(rf"\s*[,;.]\s*(?:and\s+|then\s+)*|\s+(?:and|then)\s+(?=(?:also\s+|then\s+)?(?:{_VERB})\b)")
_POLITE: Final = re.compile(r"^(?:please|now|also|then|just|only|and|can you|could you)\s+")
_GROUND: Final = re.compile(r"\b(?:background|backdrop|paper)\b")
_KEEP: Final = re.compile(r"^(?:keep|leave|do not|don't|nothing else)\b")
_REMOVE: Final = re.compile(r"^(?:remove|delete|erase|take away|take out|get rid of)\s+(?P<target>.+)$")
_REPLACE: Final = re.compile(r"^(?:replace|swap|exchange)\s+(?P<target>.+?)\s+(?:with|by|for)\s+(?P<result>.+)$")
_CHANGE: Final = re.compile(
    r"^(?:change|turn|make|recolou?r|paint|colou?r|dye|set)\s+(?:the\s+(?:colou?r|pattern|shape)\s+of\s+)?"
    r"(?P<target>.+?)\s+(?:into|to|to be)\s+(?P<result>.+)$"
)
_MAKE: Final = re.compile(r"^(?:make|paint|colou?r|recolou?r|dye|turn)\s+(?P<both>(?:the|that|this)\s+.+)$")
_ADD: Final = re.compile(r"^(?:add|insert|put|place|draw)\s+(?P<result>.+)$")
_FORMS: Final = {form: word for word in BACKGROUNDS for form in (word, *SYNONYMS.get(word, ()))}


def read_edits(text: str) -> tuple[Edit, ...]:
    """The changes that a text asks for, in their order."""
    clauses = (_POLITE.sub("", clause.strip()) for clause in _SPLIT.split(text.lower().replace("’", "'")))
    return tuple(edit for clause in clauses if clause and not _KEEP.match(clause) for edit in _read(clause))


def is_instruction(text: str) -> bool:
    """Whether a text is an instruction to change an image, rather than a description of one."""
    return bool(_TELLS.match(text.lower().strip())) and any(edit.target or edit.background for edit in read_edits(text))


_TELLS: Final = re.compile(rf"^(?:(?:please|now|just)\s+)*(?:{_VERB.replace('draw|', '')})\b")


def _read(clause: str) -> list[Edit]:
    on = parse(_ADD.sub(r"\g<result>", clause))
    if on.background:
        return [*(Edit(result=one) for one in on.mentions if one.known), Edit(background=on.background)]
    if _GROUND.search(clause) and (ground := _background(clause)):
        return [Edit(background=ground)]
    if found := _REMOVE.match(clause):
        return [Edit(target=mention) for mention in parse(found["target"]).mentions]
    pair = _REPLACE.match(clause)
    if pair is None and (changed := _CHANGE.match(clause)) is not None:
        return _changed(changed["target"], changed["result"])
    if pair is not None:
        targets, results = parse(pair["target"]).mentions, parse(pair["result"]).mentions
        return [Edit(target=targets[0], result=results[0])] if targets and results else []
    if made := _MAKE.match(clause):
        words = made["both"].split()
        for end in range(2, len(words)):
            if (said := parse(" ".join(words[:end])).mentions) and said[0].shape:
                return _changed(" ".join(words[:end]), " ".join(words[end:]))
    added = _ADD.match(clause)
    reading = parse(added["result"] if added else clause)
    return [Edit(result=mention) for mention in reading.mentions]


def _changed(target: str, result: str) -> list[Edit]:
    """A thing that keeps of its own look what is not said to change."""
    before, after = parse(target).mentions, parse(result).mentions
    if not before or not after:
        return []
    old, new = before[0], after[0]
    unknown = new.unknown if not new.shape else ()
    merged = ParsedMention(
        shape=new.shape or (None if unknown else old.shape),
        colour=new.colour or old.colour,
        pattern=new.pattern or old.pattern,
        unknown=unknown,
    )
    return [Edit(target=old, result=replace(merged, text=merged.bare_phrase))]


def _background(clause: str) -> str:
    """The word for the new background: this world's where it has one, else the clause's own last words."""
    rest = _GROUND.sub(" ", re.sub(rf"^(?:{_VERB})\b", " ", clause))
    said = [word for word in re.findall(r"[\w'-]+", rest) if word not in _LITTLE]
    known = next((_FORMS[form] for size in (3, 2, 1) for form in _runs(said, size) if form in _FORMS), "")
    return known or " ".join(said)


_LITTLE: Final = frozenset("a an the to into of with by on in it its as is be plain paper colour color please".split())  # noqa: SIM905


def _runs(words: list[str], size: int) -> list[str]:
    return [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]


def requirements_of(edits: tuple[Edit, ...]) -> tuple[list[str], list[str]]:
    """Requirements on the image after some edits, things and backgrounds, in canonical words."""
    things = phrases([edit.result for edit in edits if edit.result])
    things += [ABSENT + edit.target.bare_phrase for edit in edits if edit.target and not edit.result]
    grounds = articles([f"{edit.background} background" for edit in edits if edit.background])
    return list(dict.fromkeys(things)), list(dict.fromkeys(grounds))
