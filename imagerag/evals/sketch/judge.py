"""Does the judge see what is there? The three kinds of prompts of ImageRAG's appendix E.5, and harder ones.

A picture shows a concept. Type 1 asks for that concept: the judge should agree. Type 2 asks for it and for another
that is not there, type 3 only for the other: the judge should disagree, and for type 2 name the other and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from imagerag.agent.ports import Judge
from imagerag.agent.types import Concept, SamplingParams, Verdict
from imagerag.evals.sketch.context import SketchContext
from imagerag.evals.sketch.report_document import Case, unscored
from imagerag.evals.sketch.synthetic_images import Picture, caption_text, chance, different_things, named, near_miss
from imagerag.tools.sketch.caption_text import CaptionClaim, caption_spec, say
from imagerag.tools.sketch.world import BACKGROUNDS, Scene, Thing, describe, random_scene

SIDE: Final = 256
"""Pixels, what the painter draws."""


@dataclass(frozen=True)
class Question:
    """A picture, what is asked of it, and what a judge that sees right says.

    Attributes:
        scene: what the picture shows.
        aligned: whether it shows all that is asked for.
        missing: the things it lacks, where naming them is part of the answer; None where it is not asked.
    """

    scene: Scene
    prompt: str
    aligned: bool
    missing: frozenset[Thing] | None = None


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
    return Question(scene, describe(near_miss(rng, scene.things[0], without=scene.things)), aligned=False)


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
    """One thing, or two in one of three scenes."""
    return random_scene(rng, different_things(rng, 2 if rng.random() < 1 / 3 else 1))


def questions(seed: int, cases: int) -> Iterator[tuple[str, Question]]:
    """(id, question): so many of every kind."""
    for kind, make in KINDS.items():
        rng = chance(seed, "judge", kind)
        for at in range(cases):
            yield f"judge/{kind}/{at:04}", make(rng)


async def evaluate_judge(lab: SketchContext) -> list[Case]:
    """Every kind of question, `lab.cases` of each."""
    lab.begin("judge", len(KINDS) * lab.cases)
    found = []
    for name, question in questions(lab.seed, lab.cases):
        found.append(await judge_answer(lab.judge, name, question))
        lab.tell()
    return found


async def judge_answer(judge: Judge, id: str, question: Question) -> Case:
    """Put one question to the judge and score its answer; one that abstains is not scored."""
    kind = id.split("/")[1]
    right, names = f"judge.{kind}", f"judge.{kind}.named"
    metrics = (right,) if question.missing is None else (right, names)
    try:
        verdict, missing = await _ask(judge, question)
    except Exception as error:
        return unscored(id, question.prompt, metrics, error)
    if verdict.aligned is None:
        case = Case(id=id, asked=question.prompt, results=dict.fromkeys(metrics), note=verdict.reason)
        return case.model_copy(update={"error": "abstained"})
    results = {right: verdict.aligned == question.aligned}
    if question.missing is not None:
        results[names] = {thing for concept in missing for thing in named(concept.text)} == question.missing
    return Case(
        id=id, asked=question.prompt, results=results, note="" if all(results.values()) else _note(question, verdict)
    )


async def _ask(judge: Judge, question: Question) -> tuple[Verdict, tuple[Concept, ...]]:
    """The verdict and what it names as missing; a judge that does not say so by itself is asked."""
    picture = Picture.of(question.scene, SIDE).part
    critique = await judge.critique(
        question.prompt, picture, subjects=(), requirements=(), mode="fused", variation=SamplingParams()
    )
    verdict = critique.verdict
    if verdict.aligned is not False or verdict.missing:
        return verdict, verdict.missing
    asked = await judge.missing_concepts(question.prompt, picture, verdict=verdict, variation=SamplingParams())
    return verdict, asked.concepts


def _note(question: Question, verdict: Verdict) -> str:
    checks = "; ".join(f"{check.requirement.text}: {'met' if check.met else 'not met'}, {check.evidence}"
                       for check in verdict.checks)  # fmt: skip
    return f"shows {caption_text(question.scene.things)} on {question.scene.background}. {checks or verdict.reason}"
