"""Questions about generated images: the three kinds of prompts of ImageRAG's appendix E.5, and harder ones.

An image shows a concept. Type 1 asks for that concept: the judge should agree. Type 2 asks for it and for another
that is not there, type 3 only for the other: the judge should disagree, and for type 2 name the other and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from imagerag.agent.ports import ImagePart
from imagerag.evals.judges.questions import JudgeQuestion
from imagerag.evals.synthetic_images import SyntheticImage, caption_text, chance, different_things, hard_negative
from imagerag.tools.sketch.caption_text import CaptionClaim, caption_spec, say
from imagerag.tools.sketch.world import BACKGROUNDS, Scene, Thing, describe, random_scene

SIDE: Final = 256
"""Pixels, the size of generated images."""


@dataclass(frozen=True)
class Question:
    """An image, what is asked of it, and what a judge that sees right says.

    Attributes:
        scene: what the image shows.
        aligned: whether it shows all that is asked for.
        missing: the things it lacks, where naming them is part of the answer; None where it is not asked.
    """

    scene: Scene
    prompt: str
    aligned: bool
    missing: frozenset[Thing] | None = None

    def for_judge(self, kind: str) -> JudgeQuestion:
        """The question as a judge is asked it, in words, with the scene drawn."""
        missing = None if self.missing is None else tuple(describe(thing) for thing in self.missing)
        return JudgeQuestion(kind, self.prompt, self.image, self.aligned, caption_text(self.scene.things), missing)

    async def image(self) -> ImagePart:
        """Draw the scene."""
        return SyntheticImage.of(self.scene, SIDE).part


def one_there(rng: Random) -> Question:
    """Type 1: a concept that is there."""
    scene = _scene(rng)
    return Question(scene, describe(scene.things[0]), aligned=True)


def one_of_two(rng: Random) -> Question:
    """Type 2: one that is there and one that is not."""
    scene = _scene(rng)
    (other,) = different_things(rng, 1, without=scene.things)
    asked = rng.sample((scene.things[0], other), 2)
    return Question(scene, caption_text(asked), aligned=False, missing=frozenset({other}))


def none_there(rng: Random) -> Question:
    """Type 3: one that is not there."""
    scene = _scene(rng)
    (other,) = different_things(rng, 1, without=scene.things)
    return Question(scene, describe(other), aligned=False)


def near_by(rng: Random) -> Question:
    """Type 3 at its hardest: what is asked for differs in a single word from what is there."""
    scene = _scene(rng)
    return Question(scene, describe(hard_negative(rng, scene.things[0], without=scene.things)), aligned=False)


def three_things(rng: Random) -> Question:
    """Three things, all of them there, or one of them not."""
    things = different_things(rng, 3)
    scene = random_scene(rng, things)
    if rng.random() < 0.5:
        return Question(scene, caption_text(rng.sample(things, 3)), aligned=True, missing=frozenset())
    (other,) = different_things(rng, 1, without=things)
    return Question(scene, caption_text(rng.sample((*things[1:], other), 3)), aligned=False, missing=frozenset({other}))


def on_background(rng: Random) -> Question:
    """A thing on a background, which is the right one or not."""
    scene = random_scene(rng, different_things(rng, 1))
    right = rng.random() < 0.5
    ground = scene.background if right else rng.choice([word for word in BACKGROUNDS if word != scene.background])
    return Question(scene, caption_text(scene.things, ground), aligned=right)


def free_text(rng: Random) -> Question:
    """A thing that is there, or one that is not, said in one of the many ways there are: synonyms, order, frames."""
    scene = _scene(rng)
    right = rng.random() < 0.5
    thing = scene.things[0] if right else different_things(rng, 1, without=scene.things)[0]
    return Question(scene, say(rng, CaptionClaim((caption_spec(thing),))), aligned=right)


KINDS: Final[dict[str, Callable[[Random], Question]]] = {
    "type_1": one_there,
    "type_2": one_of_two,
    "type_3": none_there,
    "near_miss": near_by,
    "three_things": three_things,
    "background": on_background,
    "free_words": free_text,
}


def _scene(rng: Random) -> Scene:
    """A scene with one thing; with two in one of three cases."""
    return random_scene(rng, different_things(rng, 2 if rng.random() < 1 / 3 else 1))


def questions(seed: int, cases: int) -> Iterator[tuple[str, Question]]:
    """(id, question): so many of every kind."""
    for kind, make in KINDS.items():
        rng = chance(seed, "judge", kind)
        for at in range(cases):
            yield f"judge/{kind}/{at:04}", make(rng)


def generated_questions(cases: int, seed: int = 0) -> list[JudgeQuestion]:
    """The same number of questions of every kind, for `evaluate_judge`."""
    return [question.for_judge(name.split("/")[1]) for name, question in questions(seed, cases)]
