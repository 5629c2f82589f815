"""CLIP judge for the sketch world, with its vocabulary, hard negatives, and thresholds tuned on its drawings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from imagerag.agent.ports import Embedder
from imagerag.agent.rephrasing import Rephrased
from imagerag.agent.types import Requirement, SamplingParams
from imagerag.tools.judges.clip import checklist as checklists
from imagerag.tools.judges.clip.checklist import split_style
from imagerag.tools.judges.clip.feedback import RevisedChecklist
from imagerag.tools.judges.clip.judge import FREE, ClipJudge
from imagerag.tools.judges.clip.region_scorer import Unclear
from imagerag.tools.sketch.caption_text import SYNONYMS
from imagerag.tools.sketch.edit_parser import Edit, is_instruction, read_edits, requirements_of, revised
from imagerag.tools.sketch.image_comparison import sketch_comparisons
from imagerag.tools.sketch.out_of_domain import is_known
from imagerag.tools.sketch.rephrasing import rephrased
from imagerag.tools.sketch.style_transfer import untangle
from imagerag.tools.sketch.text_parser import ParsedMention, parse, phrases
from imagerag.tools.sketch.world import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, article, articles

AROUND: Final = 0.06
"""Tight crops separate circle and hexagon without a tolerance: no rival may score higher than the requirement. With a
margin of 0.15 around a thing the same rule misses one in ninety present things, and a tolerance that finds those (0.02)
accepts every ninth circle as a hexagon."""
FLOOR: Final = 0.2
"""Present things have a cosine of at least 0.3."""


class SketchJudge(ClipJudge):
    """A `ClipJudge` that can also rephrase a prompt of the sketch world."""

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """The prompt with its rare words replaced by descriptions; unchanged if it has none."""
        words = rephrased(prompt)
        return Rephrased(prompt=words, raw=words, cost_usd=FREE)


def sketch_clip_judge(embedder: Embedder) -> ClipJudge:
    """A `ClipJudge` with the sketch world's vocabulary; it gets pixels only, through the embedder."""
    return SketchJudge(
        embedder,
        hard_negatives=hard_negatives,
        others=lambda _: (),
        wordings=wordings,
        split=checklist,
        whole=False,
        around=AROUND,
        floor=FLOOR,
        unchecked=unchecked,
        comparisons=sketch_comparisons(embedder),
        split_edit=edit_checklist,
        revise=revise,
        reworded=reworded,
        identity="sketch",
    )


def checklist(prompt: str) -> tuple[Requirement, ...]:
    """Requirements of a prompt: its things in canonical wording, then its style; at least one unless it is blank."""
    prompt = untangle(prompt)[0]
    background = parse(prompt).background
    rest, styles = split_style(prompt)
    grounds = [article(f"{background} background")] if background else []
    grounds += [style for style in styles if parse(f"on {style}").background is None]
    requirements = [Requirement(text=text) for text in dict.fromkeys(map(_phrase, parse(rest).mentions))]
    requirements += [Requirement(text=text, kind="style") for text in dict.fromkeys(grounds)]
    whole = " ".join(prompt.split())
    return tuple(requirements) or ((Requirement(text=whole),) if whole else ())


def revise(prompt: str, feedback: Sequence[str]) -> RevisedChecklist:
    """The checklist of a prompt after feedback, the words of either understood as descriptions or as changes."""
    prompt = untangle(prompt)[0]
    if is_instruction(prompt):
        first, *points = _points_after([], [prompt, *feedback])[1]
        return RevisedChecklist(first, tuple(points))
    left, points = _points_after(parse(split_style(prompt)[0]).mentions, feedback)
    phrases_left = {_phrase(mention) for mention in left}
    replaced = any(_is_ground(one) for each in points for one in each)

    def stays(one: Requirement) -> bool:
        return not (replaced and _is_ground(one)) if one.kind == "style" else one.text in phrases_left

    return RevisedChecklist(tuple(filter(stays, checklist(prompt))), tuple(points))


def _is_ground(requirement: Requirement) -> bool:
    return requirement.kind == "style" and bool(parse(f"on {requirement.text}").background)


def _points_after(
    mentions: Sequence[ParsedMention], feedback: Sequence[str]
) -> tuple[list[ParsedMention], list[tuple[Requirement, ...]]]:
    left, changes = revised(mentions, feedback)
    return left, [_points(edits, words) for edits, words in zip(changes, feedback, strict=True)]


def _points(edits: Sequence[Edit], feedback: str) -> tuple[Requirement, ...]:
    """What there should be after a feedback; the words themselves where no change is understood."""
    if not edits and not read_edits(feedback):
        return (Requirement(text=feedback),)
    unclear = (Requirement(text=feedback),) if any(edit.is_unclear for edit in edits) else ()
    return (*unclear, *_after(edits))


def edit_checklist(prompt: str) -> tuple[Requirement, ...]:
    """Requirements on the image after an edit; the prompt itself if no change is understood."""
    return _after(read_edits(untangle(prompt)[0])) or checklist(prompt)


def _after(edits: Sequence[Edit]) -> tuple[Requirement, ...]:
    things, grounds = requirements_of(edits)
    return (
        *(Requirement(text=text) for text in things),
        *(Requirement(text=text, kind="style") for text in grounds),
    )


def _phrase(mention: ParsedMention) -> str:
    return mention.phrase() if mention.has_meaning or len(mention.unknown) < 2 else mention.text


def unchecked(requirement: Requirement) -> str:
    """Reason why the sketch judge cannot check a text: it names nothing of this world. Empty if it can.

    A shape, colour or pattern can be checked, and an unknown word besides does not change that; but if the thing's own
    name is unknown, no drawing can be recognised as it.
    """
    reading = parse(requirement.text)
    if wordless := checklists.unchecked(requirement):
        return wordless
    if any(edit.of_the_only for edit in read_edits(requirement.text)):
        return Unclear(f"the sketch judge does not know which thing “{requirement.text}” means: name it")
    if reading.background or (reading.mentions and all(map(is_known, reading.mentions))):
        return ""
    words = [word for mention in reading.mentions for word in mention.unknown if not mention.shape]
    word_list = ", ".join(f"“{word}”" for word in dict.fromkeys(words)) or "it"
    return f"the sketch judge does not know {word_list}"


def hard_negatives(text: str) -> list[str]:
    """The phrase with one of its words replaced by each other of its kind; open attributes stay open.

    A shape that the world does not have gets all shapes as rivals.
    """
    reading = parse(text)
    if reading.background and not reading.mentions:
        return articles([f"{word} background" for word in BACKGROUNDS if word != reading.background])
    if not reading.mentions:
        return []
    mention = replace(reading.mentions[0], name="")
    rivals = [replace(mention, shape=word, unknown=()) for word in (SHAPES if mention.shape or mention.unknown else ())]
    rivals += [replace(mention, colour=word) for word in (COLOURS if mention.colour else ())]
    rivals += [replace(mention, pattern=word) for word in (PATTERNS if mention.pattern else ())]
    own, *others = phrases([mention, *rivals])
    return [phrase for phrase in others if phrase != own]


def reworded(requirement: Requirement, variant: int) -> tuple[Requirement, ...]:
    """The same thing in other wordings: synonyms, another order. Unknown words are left out.

    It stays the whole thing: an image of a part would replace it in a drawing, and be no better.
    """
    reading = parse(requirement.text)
    if reading.background and not reading.mentions:
        texts = [f"{_synonym(reading.background, 1)} backdrop", f"{_synonym(reading.background, 2)} background"]
    elif reading.mentions and reading.mentions[0].shape:
        texts = _other_words(reading.mentions[0])
    else:
        return ()
    others = [text for text in dict.fromkeys(articles(texts)) if text != requirement.text.lower()]
    return tuple(Requirement(text=text, kind=requirement.kind) for text in others[variant - 1 : variant])


def _other_words(mention: ParsedMention) -> list[str]:
    """A thing in other word orders, each with the next synonyms."""
    words = [word for word in (mention.colour, mention.pattern) if word]
    forms = ("{adjectives} {shape}", "{shape} that is {joined}", "{shape}, {joined}")
    forms = forms if words else ("{shape}", "{shape} shape", "simple {shape}")
    variants = []
    for nth, form in enumerate(forms, start=1):
        adjectives = [_synonym(word, nth) for word in words]
        fields = {"adjectives": " ".join(adjectives), "joined": " and ".join(adjectives)}
        variants.append(form.format(shape=_synonym(mention.shape or "", nth), **fields))
    return variants


def _synonym(word: str, nth: int) -> str:
    others = SYNONYMS.get(word)
    return others[(nth - 1) % len(others)] if others else word


def wordings(phrases: Sequence[str], kind: str) -> list[str]:
    """Format phrases as the sketch CLIP was trained: a background is the background of something."""
    return [f"something with {text}" for text in phrases] if kind == "style" else [*phrases]
