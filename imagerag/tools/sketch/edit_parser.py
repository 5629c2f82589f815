"""Parse edits: `make the red circle blue`, `replace the star with a heart`, `on a mint background`.

`make it blue` and `blue, please` name no thing: they change the only one that there is, and of several none, as nobody
knows which; `make them blue` changes all.

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
from imagerag.tools.sketch.text_parser import NOUNS, ParsedMention, parse, phrases
from imagerag.tools.sketch.world import BACKGROUNDS, articles


@dataclass(frozen=True, slots=True)
class Edit:
    """One change.

    Attributes:
        target: the thing that is changed or removed; None if something is added.
        result: the thing that replaces it or is added; None if something is removed.
        background: word of the new background; an unknown word if this world has no such background.
        is_unclear: whether it names no thing where there are several.
    """

    target: ParsedMention | None = None
    result: ParsedMention | None = None
    background: str = ""
    is_unclear: bool = False

    @property
    def of_the_only(self) -> bool:
        """Whether it changes the only thing, without its name."""
        return self.target == IT

    @property
    def of_all(self) -> bool:
        """Whether it changes all things."""
        return self.target == THEM


IT: Final = ParsedMention(text="it")
THEM: Final = ParsedMention(text="them")

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
_NOUN: Final = r"(?:thing|shape|object|figure|item|drawing|picture|image)"
_ONE: Final = rf"it|this|that|(?:the|this|that)\s+{_NOUN}"
_MANY: Final = (
    rf"all\s+of\s+(?:it|them)|(?:all\s+)?(?:of\s+)?(?:the|these|those)\s+{_NOUN}s|them|these|those|all|both|everything"
)
_NAMELESS: Final = re.compile(
    r"^(?:(?:change|turn|make|recolou?r|paint|colou?r|dye|set|draw|i\s+want|i'd\s+like)\s+"
    rf"(?:the\s+(?:colou?r|pattern|shape)\s+of\s+)?(?:(?P<many>{_MANY})|(?P<one>{_ONE}))"
    rf"|(?P<they>they|{_MANY})\s+(?:should|must|have\s+to)\s+be"
    rf"|(?:the\s+colou?r|{_ONE})\s+(?:should|must|has\s+to)\s+be"
    r"|(?:the\s+)?same,?(?:\s+but)?)\s+(?:(?:into|to\s+be|to|in)\s+)?(?P<result>.+)$"
)
_REMOVED: Final = re.compile(rf"^(?:(?P<many>{_MANY})|{_ONE})$")
_BARE: Final = re.compile(
    r"^(?:in\s+)?(?P<result>(?!(?:an?|the|one|two|three)\b).+?)(?:\s+(?:please|instead|rather))*$"
)
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
    if nameless := _nameless(clause):
        return [nameless, *([Edit(background=on.background)] if on.background else [])]
    if on.background:
        return [*(Edit(result=one) for one in on.mentions if one.has_meaning), Edit(background=on.background)]
    if _GROUND.search(clause) and (ground := _background(clause)):
        return [Edit(background=ground)]
    if removal := _REMOVE.match(clause):
        if pronoun := _REMOVED.match(removal["target"]):
            return [Edit(target=THEM if pronoun["many"] else IT)]
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


def _nameless(clause: str) -> Edit | None:
    """The change of a thing that is not named; None for any other clause."""
    if change := _NAMELESS.match(clause):
        results = parse(change["result"]).mentions
        replaced = bool(re.match(r"an?\b", change["result"]))
        if len(results) != 1 or not (results[0].has_meaning or replaced):
            return None
        return Edit(target=THEM if change["many"] or change["they"] else IT, result=results[0])
    bare = _BARE.match(clause)
    results = parse(bare["result"]).mentions if bare else ()
    if len(results) != 1 or not results[0].has_meaning or results[0].shape or results[0].unknown:
        return None
    return None if NOUNS & set(results[0].text.split()) else Edit(target=IT, result=results[0])


def _change_edits(target: str, result: str) -> list[Edit]:
    """Apply a change to a thing: attributes that the change leaves open stay."""
    before, after = parse(target).mentions, parse(result).mentions
    if not before or not after:
        return []
    return [changed(before[0], after[0])]


def changed(old: ParsedMention, new: ParsedMention) -> Edit:
    """The change of a thing to another one: attributes that this one leaves open stay."""
    unknown = new.unknown if not new.shape else ()
    merged = ParsedMention(
        shape=new.shape or (None if unknown else old.shape),
        colour=new.colour or old.colour,
        pattern=new.pattern or old.pattern,
        unknown=unknown or (() if new.shape else old.unknown),
    )
    return Edit(target=old, result=replace(merged, text=merged.bare_phrase))


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
        there = [*left, *(edit.result for each in changes for edit in each if edit.result and not edit.is_unclear)]
        edits = [named for edit in read_edits(words) for named in with_names(edit, there)]
        for edit in edits:
            if edit.background:
                changes = [[one for one in earlier if not one.background] for earlier in changes]
            if edit.target is None or edit.is_unclear:
                continue
            target = edit.target
            if (match := next((one for one in left if _fits(one, target)), None)) is not None:
                left.remove(match)
                continue
            changes = [
                [one for one in earlier if not (one.result and _fits(one.result, target))] for earlier in changes
            ]
        changes.append(edits)
    return left, changes


def with_names(edit: Edit, things: Sequence[ParsedMention]) -> list[Edit]:
    """An edit that names no thing as edits of the things that there are; one of the only thing is unclear where there
    are several, and stays as it is where none is known."""
    if not things or not (edit.of_the_only or edit.of_all):
        return [edit]
    if edit.of_the_only and len(things) > 1:
        return [replace(edit, is_unclear=True)]
    return [changed(thing, edit.result) if edit.result else Edit(target=thing) for thing in things]


def after_feedback(prompt: str, feedback: Sequence[str]) -> str:
    """A description of the image that a prompt and feedback ask for."""
    reading = parse(prompt)
    left, changes = revised(reading.mentions, feedback)
    edits = [edit for each in changes for edit in each if not edit.is_unclear]
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
    clear = [edit for edit in edits if not edit.is_unclear]
    things = phrases([edit.result for edit in clear if edit.result])
    things += [ABSENT + edit.target.bare_phrase for edit in clear if edit.target and not edit.result]
    grounds = articles([f"{edit.background} background" for edit in edits if edit.background])
    return list(dict.fromkeys(things)), list(dict.fromkeys(grounds))
