"""Parse edits: `make the red circle blue`, `replace the star with a heart`, `on a mint background`.

Only the text is parsed. A clause that is not understood as a change describes the content of the edited image, like any
prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagerag.tools.judges.clip.checklist import ABSENT
from imagerag.tools.judges.clip.feedback import POLITE, REPLACE
from imagerag.tools.sketch.caption_text import SYNONYMS
from imagerag.tools.sketch.text_parser import ParsedMention, parse, phrases
from imagerag.tools.sketch.world import BACKGROUNDS, articles


@dataclass(frozen=True, slots=True)
class Edit:
    """One change.

    Attributes:
        target: the thing that is changed or removed; None if something is added.
        result: the thing that replaces it or is added; None if something is removed.
        background: word of the new background; an unknown word if this world has no such background.
    """

    target: ParsedMention | None = None
    result: ParsedMention | None = None
    background: str = ""


_VERB: Final = (
    r"change|turn|make|recolou?r|paint|colou?r|dye|replace|swap|exchange|remove|delete|erase|add|insert|put|place|set|"
    r"draw|take|give|keep|leave"
)
_SPLIT: Final = re.compile(rf"\s*[,;.]\s*(?:and\s+|then\s+)*|\s+(?:and|then)\s+(?=(?:also\s+|then\s+)?(?:{_VERB})\b)")
_GROUND: Final = re.compile(r"\b(?:background|backdrop|paper)\b")
_KEEP: Final = re.compile(r"^(?:keep|leave|do not|don't|nothing else)\b")
_REMOVE: Final = re.compile(r"^(?:remove|delete|erase|take away|take out|get rid of)\s+(?P<target>.+)$")
_CHANGE: Final = re.compile(
    r"^(?:change|turn|make|recolou?r|paint|colou?r|dye|set)\s+(?:the\s+(?:colou?r|pattern|shape)\s+of\s+)?"
    r"(?P<target>.+?)\s+(?:into|to|to be)\s+(?P<result>.+)$"
)
_MAKE: Final = re.compile(r"^(?:make|paint|colou?r|recolou?r|dye|turn)\s+(?P<both>(?:the|that|this)\s+.+)$")
_ADD: Final = re.compile(r"^(?:add|insert|put|place|draw)\s+(?P<result>.+)$")
_FORMS: Final = {form: word for word in BACKGROUNDS for form in (word, *SYNONYMS.get(word, ()))}


def read_edits(text: str) -> tuple[Edit, ...]:
    """Parse the changes of a text, in order."""
    clauses = (POLITE.sub("", clause.strip()) for clause in _SPLIT.split(text.lower().replace("’", "'")))
    return tuple(edit for clause in clauses if clause and not _KEEP.match(clause) for edit in _read(clause))


def is_instruction(text: str) -> bool:
    """Whether a text is an editing instruction, not a description of an image."""
    return bool(_TELLS.match(text.lower().strip())) and any(edit.target or edit.background for edit in read_edits(text))


_TELLS: Final = re.compile(rf"^(?:(?:please|now|just)\s+)*(?:{_VERB.replace('draw|', '')})\b")


def _read(clause: str) -> list[Edit]:
    on = parse(_ADD.sub(r"\g<result>", clause))
    if on.background:
        return [*(Edit(result=one) for one in on.mentions if one.has_meaning), Edit(background=on.background)]
    if _GROUND.search(clause) and (ground := _background(clause)):
        return [Edit(background=ground)]
    if removal := _REMOVE.match(clause):
        return [Edit(target=mention) for mention in parse(removal["target"]).mentions]
    pair = REPLACE.match(clause)
    if pair is None and (changed := _CHANGE.match(clause)) is not None:
        return _change_edits(changed["target"], changed["result"])
    if pair is not None:
        targets, results = parse(pair["target"]).mentions, parse(pair["result"]).mentions
        return [Edit(target=targets[0], result=results[0])] if targets and results else []
    if make := _MAKE.match(clause):
        words = make["both"].split()
        for end in range(2, len(words)):
            if (mentions := parse(" ".join(words[:end])).mentions) and mentions[0].shape:
                return _change_edits(" ".join(words[:end]), " ".join(words[end:]))
    added = _ADD.match(clause)
    reading = parse(added["result"] if added else clause)
    return [Edit(result=mention) for mention in reading.mentions]


def _change_edits(target: str, result: str) -> list[Edit]:
    """Apply a change to a thing: attributes that the change leaves open stay."""
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
    """Word of the new background: the vocabulary's if there is one, otherwise the clause's last words."""
    rest = _GROUND.sub(" ", re.sub(rf"^(?:{_VERB})\b", " ", clause))
    content = [word for word in re.findall(r"[\w'-]+", rest) if word not in _LITTLE]
    background = next((_FORMS[form] for size in (3, 2, 1) for form in _runs(content, size) if form in _FORMS), "")
    return background or " ".join(content)


_LITTLE: Final = frozenset("a an the to into of with by on in it its as is be plain paper colour color please".split())  # noqa: SIM905


def _runs(words: list[str], size: int) -> list[str]:
    return [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]


def revised(mentions: Sequence[ParsedMention], feedback: Sequence[str]) -> tuple[list[ParsedMention], list[list[Edit]]]:
    """Apply feedback to the things of a prompt.

    Returns:
        The things that no feedback changes or removes, and for each feedback its changes, without those whose result a
        later one changes.
    """
    left, changes = list(mentions), list[list[Edit]]()
    for words in feedback:
        edits = read_edits(words)
        for edit in edits:
            if edit.background:
                changes = [[one for one in earlier if not one.background] for earlier in changes]
            if edit.target is None:
                continue
            target = edit.target
            if (match := next((one for one in left if _fits(one, target)), None)) is not None:
                left.remove(match)
                continue
            changes = [
                [one for one in earlier if not (one.result and _fits(one.result, target))] for earlier in changes
            ]
        changes.append(list(edits))
    return left, changes


def after_feedback(prompt: str, feedback: Sequence[str]) -> str:
    """A description of the image that a prompt and feedback ask for."""
    reading = parse(prompt)
    left, changes = revised(reading.mentions, feedback)
    edits = [edit for each in changes for edit in each]
    ground = next((edit.background for edit in reversed(edits) if edit.background), reading.background)
    things = ", ".join(phrases([*left, *(edit.result for edit in edits if edit.result)]))
    return f"{things} on a {ground} background" if ground else things


def _fits(mention: ParsedMention, target: ParsedMention) -> bool:
    """Whether words for a thing that is to be changed can mean this one."""
    if not target.has_meaning:
        return bool(set(mention.unknown) & set(target.unknown))
    own = (target.shape, mention.shape), (target.colour, mention.colour), (target.pattern, mention.pattern)
    return all(wanted is None or wanted == there for wanted, there in own)


def requirements_of(edits: Sequence[Edit]) -> tuple[list[str], list[str]]:
    """Requirements on the image after edits, things and backgrounds, in canonical wording."""
    things = phrases([edit.result for edit in edits if edit.result])
    things += [ABSENT + edit.target.bare_phrase for edit in edits if edit.target and not edit.result]
    grounds = articles([f"{edit.background} background" for edit in edits if edit.background])
    return list(dict.fromkeys(things)), list(dict.fromkeys(grounds))
