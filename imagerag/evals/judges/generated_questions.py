"""Questions about generated images: the three kinds of prompts of ImageRAG's appendix E.5, and harder ones.

An image shows a concept. The prompt of type 1 names that concept: the judge should agree. Type 2 names it and an absent
concept, type 3 only an absent one: the judge should disagree and, for type 2, name exactly the absent concept.
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
    """A scene, a prompt, and the correct verdict.

    Attributes:
        scene: the content of the image.
        aligned: whether the image shows all that the prompt asks for.
        missing: the missing things, where naming them is scored; None where it is not.
    """

    scene: Scene
    prompt: str
    aligned: bool
    missing: frozenset[Thing] | None = None

    def for_judge(self, kind: str) -> JudgeQuestion:
        """The question in the form that `ask` takes: concepts as text, the scene drawn."""
        missing = None if self.missing is None else tuple(describe(thing) for thing in self.missing)
        return JudgeQuestion(kind, self.prompt, self.image, self.aligned, caption_text(self.scene.things), missing)

    async def image(self) -> ImagePart:
        """Draw the scene."""
        return SyntheticImage.of(self.scene, SIDE).part


def one_there(rng: Random) -> Question:
    """Type 1: a concept that the image shows."""
    scene = _scene(rng)
    return Question(scene, describe(scene.things[0]), aligned=True)


def one_of_two(rng: Random) -> Question:
    """Type 2: one concept that the image shows and one that it does not."""
    scene = _scene(rng)
    (other,) = different_things(rng, 1, without=scene.things)
    things = rng.sample((scene.things[0], other), 2)
    return Question(scene, caption_text(things), aligned=False, missing=frozenset({other}))


def none_there(rng: Random) -> Question:
    """Type 3: a concept that the image does not show."""
    scene = _scene(rng)
    (other,) = different_things(rng, 1, without=scene.things)
    return Question(scene, describe(other), aligned=False)


def hard_negative_prompt(rng: Random) -> Question:
    """Hardest form of type 3: the concept in the prompt differs from that in the image by a single word."""
    scene = _scene(rng)
    return Question(scene, describe(hard_negative(rng, scene.things[0], without=scene.things)), aligned=False)


def three_things(rng: Random) -> Question:
    """Three things, all of them in the image, or one of them missing."""
    things = different_things(rng, 3)
    scene = random_scene(rng, things)
    if rng.random() < 0.5:
        return Question(scene, caption_text(rng.sample(things, 3)), aligned=True, missing=frozenset())
    (other,) = different_things(rng, 1, without=things)
    return Question(scene, caption_text(rng.sample((*things[1:], other), 3)), aligned=False, missing=frozenset({other}))


def on_background(rng: Random) -> Question:
    """A thing on a background, which is correct or wrong."""
    scene = random_scene(rng, different_things(rng, 1))
    right = rng.random() < 0.5
    ground = scene.background if right else rng.choice([word for word in BACKGROUNDS if word != scene.background])
    return Question(scene, caption_text(scene.things, ground), aligned=right)


def free_text(rng: Random) -> Question:
    """A thing that is in the image or not, in varied wording: synonyms, word order, sentence frames."""
    scene = _scene(rng)
    right = rng.random() < 0.5
    thing = scene.things[0] if right else different_things(rng, 1, without=scene.things)[0]
    return Question(scene, say(rng, CaptionClaim((caption_spec(thing),))), aligned=right)


KINDS: Final[dict[str, Callable[[Random], Question]]] = {
    "type_1": one_there,
    "type_2": one_of_two,
    "type_3": none_there,
    "hard_negative": hard_negative_prompt,
    "three_things": three_things,
    "background": on_background,
    "free_words": free_text,
}


def _scene(rng: Random) -> Scene:
    """A scene with one thing, or (one in three) with two."""
    return random_scene(rng, different_things(rng, 2 if rng.random() < 1 / 3 else 1))


def questions(seed: int, cases: int) -> Iterator[tuple[str, Question]]:
    """(id, question), the same number of every kind."""
    for kind, make in KINDS.items():
        rng = chance(seed, "judge", kind)
        for at in range(cases):
            yield f"judge/{kind}/{at:04}", make(rng)


def generated_questions(cases: int, seed: int = 0) -> list[JudgeQuestion]:
    """The same number of questions of every kind, for `evaluate_judge`."""
    return [question.for_judge(name.split("/")[1]) for name, question in questions(seed, cases)]
